"""Steps of matrices are orthogonal and as large as Adam's; all else is Adam's, to the last digits."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_ois.network import build
from napari_ois.training.muon import Muon, is_matrix, orthogonal
from napari_ois.training.recipe import make_optimizer, recipe_for


@pytest.mark.parametrize("shape", [(24, 160), (160, 24), (32, 32)])
def test_a_matrix_becomes_nearly_orthogonal_and_keeps_its_directions(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape) @ torch.diag(torch.logspace(0, -1.5, shape[1]))
    found = orthogonal(matrix)
    values = torch.linalg.svdvals(found)
    assert found.shape == matrix.shape
    assert 0.5 < values.min() and values.max() < 1.4
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    exact = left @ right
    assert (found * exact).sum() / found.norm() / exact.norm() > 0.97


def test_the_short_cut_is_the_iteration_that_was_published():
    torch.manual_seed(0)
    matrix = torch.randn(20, 90)
    plain = matrix / matrix.norm()
    for _ in range(5):
        square = plain @ plain.T
        plain = 3.4445 * plain + (-4.7750 * square + 2.0315 * square @ square) @ plain
    assert torch.allclose(orthogonal(matrix), plain, atol=1e-5)


def test_a_gradient_of_nothing_moves_nothing():
    assert torch.equal(orthogonal(torch.zeros(16, 40)), torch.zeros(16, 40))


def test_a_convolution_moves_in_all_directions_as_far_as_by_adam():
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(32, 24, 3, 3).contiguous(memory_format=torch.channels_last))
    before = weight.detach().clone()
    # a gradient that is almost all in one direction
    weight.grad = torch.outer(torch.randn(32), torch.randn(216)).view(32, 24, 3, 3) + 0.01 * torch.randn(32, 24, 3, 3)
    Muon([weight], lr=0.1).step()
    moved = (before - weight.detach()).reshape(32, 216)
    values = torch.linalg.svdvals(moved)
    assert values[-1] > 0.3 * values[0]
    assert moved.square().mean().sqrt() == pytest.approx(0.1 * 0.2, rel=0.3)


def test_vectors_and_narrow_heads_are_adams():
    torch.manual_seed(0)
    shapes = [(40,), (1, 64, 1, 1), (8, 200)]
    ours = [nn.Parameter(torch.randn(shape)) for shape in shapes]
    theirs = [nn.Parameter(p.detach().clone()) for p in ours]
    assert not any(is_matrix(p) for p in ours)
    options = {"lr": 0.01, "betas": (0.9, 0.98), "weight_decay": 0.1}
    one, two = Muon(ours, **options), torch.optim.AdamW(theirs, **options)
    for _ in range(5):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        one.step()
        two.step()
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_what_it_keeps_is_written_down_and_read_back(tmp_path):
    def steps(optimizer, weight, numbers):
        for number in numbers:
            weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(number))
            optimizer.step()

    torch.manual_seed(0)
    for shape in ((16, 32), (16,)):
        straight = nn.Parameter(torch.randn(shape))
        stopped = nn.Parameter(straight.detach().clone())
        steps(Muon([straight], lr=0.1), straight, range(4))
        first = Muon([stopped], lr=0.1)
        steps(first, stopped, range(2))
        torch.save(first.state_dict(), tmp_path / "state.pt")
        second = Muon([stopped], lr=0.1)
        second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        steps(second, stopped, range(2, 4))
        assert torch.equal(straight, stopped)


def test_a_recipe_asks_for_it_and_leaves_norms_without_decay():
    model = build("ois-compact")
    optimizer = make_optimizer(model, recipe_for("ois-compact", optimizer="muon"))
    assert isinstance(optimizer, Muon)
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        assert decay[id(parameter)] == (0.03 if parameter.ndim >= 2 else 0), name
    matrices = sum(p.numel() for p in model.parameters() if is_matrix(p))
    assert matrices > 0.95 * sum(p.numel() for p in model.parameters())
