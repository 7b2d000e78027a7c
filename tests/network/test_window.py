"""Inside of a window, the numbers are those of the whole map."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from napari_ois.network.decoder import compact_decoder
from napari_ois.network.window import cut, grown, resize_within, sources

BOXES = [(0, 0, 70, 98), (0, 0, 1, 1), (69, 97, 70, 98), (13, 20, 40, 77), (0, 60, 70, 61), (30, 0, 33, 98)]


@pytest.mark.parametrize("source", [(40, 56), (70, 98), (1, 3), (140, 50)])
@pytest.mark.parametrize("box", BOXES)
def test_resize_within_a_box(source, box):
    x, target = torch.randn(2, 3, *source), (70, 98)
    whole = F.interpolate(x, size=target, mode="bilinear", align_corners=True)
    known = sources(box, source, target)
    part = resize_within(cut(x, known), known, box, source, target)
    torch.testing.assert_close(part, cut(whole, box), rtol=1e-5, atol=1e-5)


def test_a_grown_box_stays_inside():
    assert grown((0, 5, 10, 20), 2, (11, 40)) == (0, 3, 11, 22)


@pytest.mark.parametrize("box", BOXES)
def test_a_decoder_answers_inside_of_a_window(dpt, box):
    dpt.output = torch.nn.Identity()
    features = dpt.image_part([torch.randn(1, 8, 5, 7) for _ in range(4)])
    with torch.no_grad():
        whole, part = dpt.click_part(features, (70, 98)), dpt.click_part(features, (70, 98), box)
    assert whole.abs().max() > 0.01
    torch.testing.assert_close(part, cut(whole, box), rtol=1e-5, atol=1e-6)


def test_less_is_computed_for_a_small_window(dpt):
    features = dpt.image_part([torch.randn(1, 8, 10, 14) for _ in range(4)])
    seen = []
    dpt.head.conv2.register_forward_hook(lambda module, args, out: seen.append(out.shape[-2:].numel()))
    dpt.click_part(features, (140, 196))
    dpt.click_part(features, (140, 196), (50, 60, 80, 90))
    assert seen == [140 * 196, 32 * 32]


def test_the_compact_decoder_cuts_its_answer():
    decoder = compact_decoder((4, 6, 8, 10), (4, 6, 16, 12), output=torch.nn.Identity())
    features = decoder.image_part([torch.randn(1, c, 64 // s, 96 // s) for c, s in ((4, 2), (6, 4), (8, 8), (10, 16))])
    whole = decoder.click_part(features, (64, 96))
    assert torch.equal(decoder.click_part(features, (64, 96), (3, 5, 20, 30)), whole[..., 3:20, 5:30])
