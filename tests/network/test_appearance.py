"""A colour speaks for the object as often as it occurs there, whatever lies between."""

from __future__ import annotations

import pytest
import torch

from napari_ois.network import build
from napari_ois.network.appearance import APPEARANCES, BINS, appearance, colour_bins, likelihood
from napari_ois.network.surface import surface_of


@pytest.fixture
def picture():
    """Two red squares apart from each other on green, (1, 3, 64, 64)."""
    image = torch.zeros(1, 3, 64, 64)
    image[:, 1] = 0.6
    for row, column in ((8, 8), (40, 40)):
        image[0, :, row : row + 16, column : column + 16] = torch.tensor([0.8, 0.1, 0.1])[:, None, None]
    return image


def weights(*box):
    """1 in a box of the half-size map, (1, 1, 32, 32)."""
    top, left, bottom, right = box
    inside = torch.zeros(1, 1, 32, 32)
    inside[..., top:bottom, left:right] = 1
    return inside


def test_a_colour_speaks_for_the_object_wherever_it_occurs(picture):
    bins = colour_bins(surface_of(picture))
    inside = weights(5, 5, 11, 11)
    ratio = likelihood(bins, inside, weights(0, 0, 3, 32))[0, 0]
    assert ratio[8, 8] > 0.9
    assert ratio[24, 24] > 0.9  # the other square, far from any weight
    assert ratio[1, 16] < -0.9
    assert ratio[16, 16] < -0.9


@pytest.mark.parametrize(("inside", "outside"), [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
def test_without_one_of_the_two_nothing_is_said(picture, inside, outside):
    bins = colour_bins(surface_of(picture))
    ones = torch.ones(1, 1, 32, 32)
    assert (likelihood(bins, inside * ones, outside * ones) == 0).all()


def test_equal_shares_say_nothing(picture):
    bins = colour_bins(surface_of(picture))
    ones = torch.ones(1, 1, 32, 32)
    assert likelihood(bins, ones, 0.5 * ones).abs().max() < 1e-4


def test_bins_follow_the_picture_and_not_its_exposure(picture):
    plain, dim = colour_bins(surface_of(picture)), colour_bins(surface_of(picture * 0.4 + 0.05))
    assert plain.min() >= 0
    assert plain.max() < BINS**3
    # another exposure moves a colour by one bin at most
    for power in (BINS**2, BINS, 1):
        assert ((plain // power % BINS) - (dim // power % BINS)).abs().max() <= 1


def test_a_flat_picture_is_one_bin_and_says_nothing():
    surface = surface_of(torch.full((1, 3, 64, 64), 0.3))
    bins = colour_bins(surface)
    assert len(bins.unique()) == 1
    assert likelihood(bins, weights(0, 0, 9, 9), weights(20, 20, 32, 32)).abs().max() < 1e-4


def test_the_mask_before_adds_its_own_two_channels(picture):
    surface = surface_of(picture)
    near, far = weights(5, 5, 11, 11), weights(0, 0, 3, 32)
    first = appearance(surface, near, far, None)
    assert first.shape == (1, APPEARANCES, 32, 32)
    assert (first[:, 2:] == 0).all()
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 40:56, 40:56] = 1
    later = appearance(surface, near, far, mask)
    assert torch.equal(later[:, :2], first[:, :2])
    assert later[0, 2, 8, 8] > 0.8
    assert later[0, 2, 1, 16] < -0.9
    steps = later[0].diff(dim=2).abs().amax(dim=(1, 2))
    assert steps[3] < 0.6 * steps[2]  # the mean around a pixel is smoother


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_counts_as_exactly(picture, dtype):
    bins = colour_bins(surface_of(picture))
    inside, outside = weights(5, 5, 11, 11), weights(0, 0, 32, 32)
    exact = likelihood(bins, inside, outside)
    with torch.autocast("cpu", dtype=dtype):
        assert torch.equal(likelihood(bins, inside, outside), exact)


def test_pictures_of_a_batch_do_not_mix(picture):
    other = picture.flip(1) * 0.5 + torch.rand(1, 3, 64, 64, generator=torch.manual_seed(0)) * 0.3
    near = torch.cat([weights(5, 5, 11, 11), weights(20, 2, 30, 9)])
    far = torch.cat([weights(0, 0, 3, 32), weights(0, 0, 32, 2)])
    both = appearance(surface_of(torch.cat([picture, other])), near, far, None)
    for index, one in enumerate((picture, other)):
        own = appearance(surface_of(one), near[index : index + 1], far[index : index + 1], None)
        torch.testing.assert_close(both[index : index + 1], own)


def test_a_new_network_is_not_moved_by_it():
    torch.manual_seed(0)
    network = build("ois-compact", appearance=True).eval()
    image = torch.rand(1, 3, 64, 64)
    points, labels = torch.tensor([[[20.0, 20.0]]]), torch.tensor([[1]])
    assert network.appearance
    with torch.inference_mode():
        answer = network(image, points, labels)
        network.appearance = False
        network.cues.fine.weight.data = network.cues.fine.weight[:, :-APPEARANCES]
        network.cues.coarse.weight.data = network.cues.coarse.weight[:, :-APPEARANCES]
        torch.testing.assert_close(network(image, points, labels), answer)
