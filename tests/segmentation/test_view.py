"""Small objects get a close-up; logits are carried from one view to another."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_ois.segmentation.view import NOTHING, CloseUp, View, carry, cut_off, keep_inside

SHAPE = (400, 600)
WHOLE = View.whole(SHAPE)


def seen(view: View, box: tuple[int, int, int, int], pixels: tuple[int, int] = (100, 150)) -> np.ndarray:
    """A mask of a box of the image (rows, then columns), as a view of so many pixels shows it."""
    rows = view.top + (np.arange(pixels[0]) + 0.5) * view.shape[0] / pixels[0]
    columns = view.left + (np.arange(pixels[1]) + 0.5) * view.shape[1] / pixels[1]
    return ((rows >= box[0]) & (rows < box[1]))[:, None] & ((columns >= box[2]) & (columns < box[3]))


def test_a_small_object_gets_a_square_view_twice_its_size_around_it():
    mask = seen(WHOLE, (100, 140, 300, 360))
    view = CloseUp().closer(mask, WHOLE, np.array([[120, 330]], np.float32), SHAPE)
    assert view.shape == (120, 120)
    assert abs((view.top + view.bottom) / 2 - 120) <= 1 and abs((view.left + view.right) / 2 - 330) <= 1


@pytest.mark.parametrize("box", [(0, 300, 0, 300), (100, 130, 0, 400)])
def test_a_large_object_keeps_its_view(box):
    clicks = np.array([[box[0] + 5, box[2] + 5]], np.float32)
    assert CloseUp().closer(seen(WHOLE, box), WHOLE, clicks, SHAPE) is None


def test_a_view_close_enough_is_kept():
    view = View(60, 270, 180, 390)
    mask = seen(view, (100, 140, 300, 360))
    assert CloseUp().closer(mask, view, np.array([[120, 330]], np.float32), SHAPE) is None


def test_a_close_up_stays_inside_the_image_and_is_not_too_close():
    mask = seen(WHOLE, (0, 8, 592, 600))
    view = CloseUp(smallest=50).closer(mask, WHOLE, np.array([[3, 596]], np.float32), SHAPE)
    assert view == View(0, 550, 50, 600)


def test_all_positive_clicks_stay_in_the_view():
    clicks = np.array([[120, 330], [250, 330], [120, 250]], np.float32)
    view = CloseUp().closer(seen(WHOLE, (100, 140, 300, 360)), WHOLE, clicks, SHAPE)
    assert view.holds(clicks).all()
    nothing = np.zeros((100, 150), bool)
    assert CloseUp().closer(nothing, WHOLE, clicks, SHAPE).holds(clicks).all()


def test_an_image_narrower_than_the_view_is_taken_whole():
    narrow = (40, 600)
    whole = View.whole(narrow)
    view = CloseUp().closer(seen(whole, (10, 30, 100, 132)), whole, np.array([[20, 110]], np.float32), narrow)
    assert view.rows == slice(0, 40) and view.shape[1] == 64


def test_cut_off_counts_only_where_the_image_goes_on():
    mask = np.zeros((20, 20), bool)
    mask[0, 5] = True
    assert cut_off(mask, View(10, 10, 50, 50), SHAPE)
    assert not cut_off(mask, View(0, 10, 50, 50), SHAPE)
    assert cut_off(mask.T, View(0, 10, 50, 50), SHAPE)
    assert not cut_off(np.zeros((20, 20), bool), View(10, 10, 50, 50), SHAPE)
    assert cut_off(mask[::-1], View(10, 10, 50, 50), SHAPE) and not cut_off(mask[::-1], View(350, 10, 400, 50), SHAPE)


def test_points_on_the_rim_are_held():
    points = np.array([[-0.5, -0.5], [399.5, 599.5], [10, 10]], np.float32)
    assert View.whole(SHAPE).holds(points).all()
    assert View(11, 0, 20, 20).holds(points).tolist() == [False, False, False]
    np.testing.assert_array_equal(View(5, 7, 20, 20).local(points)[2], [5, 3])


def test_logits_carried_to_the_same_view_are_the_same():
    logits = torch.randn(1, 1, 20, 30)
    assert carry(logits, WHOLE, WHOLE, (20, 30)) is logits


def test_logits_carried_closer_and_back_lie_where_they_lay():
    rows = torch.linspace(-4, 4, 100)[:, None].expand(100, 150)
    logits = rows[None, None].contiguous()
    close = View(100, 150, 200, 250)
    there = carry(logits, WHOLE, close, (64, 64))
    expected = torch.from_numpy(np.interp((np.arange(64) + 0.5) / 64 * 25 + 25, np.arange(100) + 0.5, rows[:, 0]))
    torch.testing.assert_close(there[0, 0, :, 5], expected.float(), atol=1e-4, rtol=0)
    back = carry(there, close, WHOLE, (100, 150))
    torch.testing.assert_close(back[0, 0, 27:48, 39:61], logits[0, 0, 27:48, 39:61], atol=0.1, rtol=0)
    outside = torch.ones(100, 150, dtype=torch.bool)
    outside[25:50, 37:63] = False
    assert (back[0, 0][outside] == NOTHING).all()


def test_thin_parts_survive_when_carried_to_a_coarser_view():
    logits = torch.full((1, 1, 256, 256), -10.0)
    logits[..., ::8, :] = 10.0
    close = View(0, 0, 64, 64)
    far = carry(logits, close, View(0, 0, 512, 512), (64, 64))
    assert -10 < far[0, 0, 2:6, 2:6].mean() < 0 and far[0, 0, 2:6, 2:6].std() < 2


def test_nothing_is_kept_out_of_the_bound():
    view, bound = View(100, 200, 180, 280), View(120, 190, 140, 240)
    logits = torch.ones(1, 1, 40, 20)  # cells of 2 x 4 pixels
    kept = keep_inside(logits, view, bound)[0, 0]
    inside = kept == 1
    assert (kept[~inside] == NOTHING).all()
    assert np.flatnonzero(inside.any(dim=1)).tolist() == list(range(10, 20))
    assert np.flatnonzero(inside.any(dim=0)).tolist() == list(range(10))
