"""The losses against their formulas written out."""

from __future__ import annotations

import pytest
import torch

from napari_ois.training.losses import (
    bce_dice_loss,
    depth_correlation,
    depth_loss,
    mask_iou,
    normalized_focal_loss,
)
from napari_ois.training.step import crowd_weights


def literal_nfl(logits, target, alpha=0.5, gamma=2.0, eps=1e-12):
    """RITM's formula, step by step and with its epsilons; -log p_t of ignored pixels has weight 0."""
    p = torch.sigmoid(logits[:, 0])
    valid = target != 255
    y = (target == 1).to(p)
    p_t = torch.where(valid, 1 - (y - p).abs(), torch.ones_like(p))
    beta = (1 - p_t) ** gamma
    multiplier = valid.sum(dim=(1, 2)) / (beta.sum(dim=(1, 2)) + eps)
    weight = torch.where(y == 1, alpha, 1 - alpha) * valid
    loss = -weight * beta * multiplier.detach()[:, None, None]
    loss = loss * torch.clamp_max(p_t + eps, 1).log()
    return (loss.sum(dim=(1, 2)) / valid.sum(dim=(1, 2)).clamp_min(1)).mean()


def sample(ignored=True):
    logits = torch.randn(3, 1, 8, 9, dtype=torch.float64).mul(3).requires_grad_()
    target = (torch.rand(3, 8, 9) > 0.6).to(torch.uint8)
    if ignored:
        target[torch.rand(3, 8, 9) > 0.8] = 255
    return logits, target


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize(("alpha", "gamma"), [(0.5, 2.0), (0.25, 1.5)])
def test_focal_loss_is_the_literal_formula(ignored, alpha, gamma):
    logits, target = sample(ignored)
    expected = literal_nfl(logits, target, alpha, gamma)
    (gradient,) = torch.autograd.grad(expected, logits)
    value = normalized_focal_loss(logits, target, alpha=alpha, gamma=gamma)
    (own_gradient,) = torch.autograd.grad(value, logits)
    # Ours is computed in float32, whatever comes in.
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(own_gradient, gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("loss", [normalized_focal_loss, bce_dice_loss])
def test_an_empty_target_pulls_down(loss):
    logits = torch.randn(2, 1, 8, 8, requires_grad=True)
    value = loss(logits, torch.zeros(2, 8, 8, dtype=torch.uint8))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.sum() > 0  # a step against it lowers every probability


@pytest.mark.parametrize("loss", [normalized_focal_loss, bce_dice_loss])
def test_ignored_pixels_have_no_say(loss):
    logits, target = sample()
    logits = logits.detach().float().requires_grad_()
    ignored = target == 255
    value = loss(logits, target)
    value.backward()
    assert not logits.grad[:, 0][ignored].any()
    changed = logits.detach().clone()
    changed[:, 0][ignored] = 50.0
    torch.testing.assert_close(loss(changed, target), value.detach())


@pytest.mark.parametrize("loss", [normalized_focal_loss, bce_dice_loss])
def test_an_object_that_is_ignored_whole_is_finite(loss):
    logits = torch.randn(1, 1, 8, 8, requires_grad=True)
    value = loss(logits, torch.full((1, 8, 8), 255, dtype=torch.uint8))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("loss", [normalized_focal_loss, bce_dice_loss])
def test_extreme_logits_stay_finite(loss):
    logits = torch.full((1, 1, 8, 8), 300.0)
    logits[..., :4] = -300.0
    target = torch.zeros(1, 8, 8, dtype=torch.uint8)
    target[..., 4:] = 1
    for sign in (1, -1):
        given = (logits * sign).requires_grad_()
        value = loss(given, target)
        value.backward()
        assert torch.isfinite(value)
        assert torch.isfinite(given.grad).all()


def test_every_object_counts_alike():
    logits, target = sample(ignored=False)
    logits = logits.detach().float()
    each = torch.stack([normalized_focal_loss(logits[i : i + 1], target[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(normalized_focal_loss(logits, target), each.mean())


def test_depth_loss_is_zero_for_the_truth_and_sees_known_pixels_only():
    truth = torch.rand(2, 1, 16, 16)
    hidden = truth.clone()
    hidden[:, :, :4] = float("nan")
    assert depth_loss(truth, truth) < 1e-3
    wrong = truth.clone()
    wrong[:, :, :4] = 9.0
    torch.testing.assert_close(depth_loss(wrong, hidden), depth_loss(truth, hidden))
    assert depth_loss(1 - truth, hidden) > 0.5


def test_depth_loss_without_truth_has_a_zero_gradient():
    predicted = torch.rand(2, 1, 16, 16, requires_grad=True)
    depth_loss(predicted, torch.full((2, 1, 16, 16), float("nan"))).backward()
    assert not predicted.grad.any()


def test_depth_loss_moves_a_constant_map():
    predicted = torch.full((1, 1, 16, 16), 0.5, requires_grad=True)
    depth_loss(predicted, torch.rand(1, 1, 16, 16)).backward()
    assert torch.isfinite(predicted.grad).all()
    assert predicted.grad.std() > 0


def test_correlation_is_pearsons():
    p, t = torch.rand(1, 1, 16, 16), torch.rand(1, 1, 16, 16)
    expected = torch.corrcoef(torch.stack([p.flatten(), t.flatten()]))[0, 1]
    torch.testing.assert_close(depth_correlation(p, t, torch.ones_like(p))[0], expected, atol=1e-4, rtol=1e-4)


def test_iou_by_hand():
    logits = torch.full((2, 1, 4, 4), -1.0)
    logits[0, 0, :2] = 1.0
    target = torch.zeros(2, 4, 4, dtype=torch.uint8)
    target[0, 1:3] = 1
    target[0, 0] = 255  # 4 pixels in common of 8
    assert mask_iou(logits, target).tolist() == [0.5, 0.0]


def test_an_object_in_company_counts_less():
    weights = crowd_weights(torch.tensor([0, 1, 1, 3, 3, 3]))
    torch.testing.assert_close(weights, torch.tensor([2.0, 1, 1, 2 / 3, 2 / 3, 2 / 3]).sqrt())
    logits, target = torch.randn(2, 1, 8, 8), torch.ones(2, 8, 8, dtype=torch.uint8)
    alone = [bce_dice_loss(logits[i : i + 1], target[i : i + 1]) for i in range(2)]
    both = bce_dice_loss(logits, target, weights=torch.tensor([3.0, 1.0]))
    torch.testing.assert_close(both, (3 * alone[0] + alone[1]) / 2)
