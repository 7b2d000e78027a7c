"""Travelling distances are the shortest paths that a slow, well-known search finds, and cues say what they claim."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from napari_ois.network.extensions import CuePrompt
from napari_ois.network.surface import CUES, click_cues, surface_of, travel

NEAR, FAR, BETWEEN, TO_BORDER, BORDER, LIKE, UNLIKE = 1, 3, 5, 6, 7, 8, 9


def slow(colour, start):
    """Dijkstra's distances over the 4-neighbour graph, by scipy."""
    _, height, width = colour.shape
    number = np.arange(height * width).reshape(height, width)
    pairs, costs = [], []
    for one, other, a, b in (
        (number[1:], number[:-1], colour[:, 1:], colour[:, :-1]),
        (number[:, 1:], number[:, :-1], colour[..., 1:], colour[..., :-1]),
    ):
        pairs.append(np.stack([one.ravel(), other.ravel()]))
        costs.append(np.abs(a - b).sum(axis=0).ravel() + 0.1)
    (rows, columns), cost = np.concatenate(pairs, axis=1), np.concatenate(costs)
    graph = coo_matrix((cost, (rows, columns)), shape=(number.size, number.size))
    return dijkstra(graph, directed=False, indices=number[start]).reshape(height, width)


@pytest.fixture
def spiral():
    """A dark corridor with three bends in a bright picture, (3, 24, 24)."""
    walls = np.ones((24, 24), np.float32)
    walls[3, 3:20] = walls[3:20, 19] = walls[19, 6:20] = walls[9:20, 6] = 0
    return torch.from_numpy(np.stack([walls * 9] * 3))


def test_distances_are_those_of_the_shortest_paths(spiral):
    start = torch.full((1, 1, 24, 24), 1e4)
    start[0, 0, 3, 3] = 0
    found = travel(start, spiral[None])[0, 0].numpy()
    np.testing.assert_allclose(found, slow(spiral.numpy(), (3, 3)), rtol=1e-4, atol=1e-2)
    corridor = found[9, 6]
    assert corridor < 6  # all the way along: sixty steps of 0.1
    assert found[10, 5] > 26  # beside the corridor: over a wall


def test_one_round_is_an_upper_bound(spiral):
    start = torch.full((1, 1, 24, 24), 1e4)
    start[0, 0, 3, 3] = 0
    assert (travel(start, spiral[None], rounds=1) >= travel(start, spiral[None], rounds=4) - 1e-3).all()


def test_maps_and_images_of_a_batch_do_not_mix(spiral):
    start = torch.full((2, 2, 24, 24), 1e4)
    start[0, 0, 3, 3] = start[0, 1, 20, 20] = start[1, 0, 5, 5] = start[1, 1, 3, 3] = 0
    both = torch.stack([spiral, spiral.flip(-1)])
    together = travel(start, both)
    for image in range(2):
        for place in range(2):
            alone = travel(start[image, place][None, None], both[image][None])
            torch.testing.assert_close(together[image, place], alone[0, 0])


def test_the_surface_forgets_contrast(image):
    torch.testing.assert_close(surface_of(image * 0.5), surface_of(image), rtol=1e-3, atol=1e-3)
    assert surface_of(image).shape == (2, 4, 32, 48)
    assert torch.isfinite(surface_of(torch.zeros(1, 3, 64, 64))).all()


def discs():
    """Two bright discs on grey, (1, 3, 64, 96): centres (32, 24) and (32, 72), radius 14."""
    rows, columns = np.mgrid[:64, :96]
    inside = ((rows - 32) ** 2 + (columns - 24) ** 2 < 196) | ((rows - 32) ** 2 + (columns - 72) ** 2 < 196)
    return torch.from_numpy(np.where(inside, 0.9, 0.3).astype(np.float32)).expand(1, 3, -1, -1)


def test_cues_tell_the_disc_from_what_is_like_it_and_from_what_is_not():
    points = torch.tensor([[[32.0, 24.0], [4.0, 90.0]]])
    cues = click_cues(surface_of(discs()), points, torch.tensor([[1, 0]]))[0]
    assert cues.shape == (CUES, 32, 48)
    assert cues.min() >= 0
    assert cues.max() <= 1
    own, other, ground = (16, 8), (16, 36), (4, 24)
    assert cues[NEAR][own] > 2 * cues[NEAR][other]  # a disc of the same colour is far: two borders lie between
    assert cues[LIKE][own] > 0.9
    assert cues[LIKE][other] > 0.9
    assert cues[LIKE][ground] < 0.1
    assert cues[UNLIKE][ground] > 0.9
    assert cues[FAR][ground] > cues[FAR][own]
    assert cues[BETWEEN][own] < 0.2 < 0.6 < cues[BETWEEN][ground]
    assert cues[TO_BORDER][own] < cues[TO_BORDER][ground]
    assert cues[BORDER][0, 0] == 1 > cues[BORDER][own]


@pytest.mark.parametrize(("row", "column"), [(0, 1), (2, 3), (14, 15), (19, 62)])
def test_paths_start_in_the_cell_that_holds_the_click(image, row, column):
    cues = click_cues(surface_of(image), torch.tensor([[[row, column]]] * 2).float(), torch.ones(2, 1).long())
    assert (cues[:, NEAR, row // 2, column // 2] == 1).all()
    assert (cues[:, LIKE, row // 2, column // 2] == 1).all()


def test_clicks_that_are_not_there_say_nothing(image):
    surface = surface_of(image)
    one = torch.tensor([[[30.0, 40.0]]] * 2)
    padded = torch.cat([one, torch.tensor([[[7.0, 9.0]]] * 2)], dim=1)
    alone = click_cues(surface, one, torch.tensor([[1], [1]]))
    torch.testing.assert_close(click_cues(surface, padded, torch.tensor([[1, -1], [1, -1]])), alone)
    assert not alone[:, [FAR, FAR + 1, BETWEEN, UNLIKE]].any()
    negative = click_cues(surface, one, torch.tensor([[0], [0]]))
    assert not negative[:, [0, NEAR, 2, TO_BORDER, LIKE]].any()


def test_the_prompt_starts_silent_and_then_speaks(image):
    prompt = CuePrompt(16, 8, 4, maps=2)
    cues, maps = torch.rand(2, CUES, 32, 48), torch.rand(2, 2, 64, 96)
    coarse, fine = prompt(cues, maps)
    assert coarse.shape == (2, 16, 8, 12)
    assert fine.shape == (2, 4, 32, 48)
    assert not coarse.any()
    assert not fine.any()
    (coarse.sum() + fine.sum()).backward()
    assert prompt.coarse.weight.grad.abs().sum() > 0
    assert prompt.fine.weight.grad.abs().sum() > 0
