"""An appearance is applied the same way each time, and what is written down gives the same pixels."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_ois.errors import InputError
from napari_ois.segmentation.appearance import PLAIN, Appearance, Tint
from napari_ois.segmentation.colour import to_plane

RED, GREEN = ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0)), ((0.0, 0.0, 0.0), (0.0, 1.0, 0.0))
SEEN = Appearance("seen", tints=(Tint((20.0, 120.0), 0.5),))
ALL = (
    PLAIN,
    Appearance("percentiles", (2.0, 98.0)),
    SEEN,
    Appearance(channel_axis=1, channels=(2, 0)),
    Appearance(
        "seen", composite=True, tints=(Tint((0.0, 9.5), 1.2, RED, "a"), Tint((1.0, 7.0), 1.0, GREEN, "b")), level=2
    ),
)


@pytest.fixture
def grey() -> np.ndarray:
    return np.linspace(0, 200, 600).reshape(20, 30)


def test_as_it_is_made_nothing_is_done(grey) -> None:
    assert PLAIN.plain and PLAIN.paint([grey]) is grey
    np.testing.assert_array_equal(PLAIN.seen([grey]), to_plane(grey))


@pytest.mark.parametrize("appearance", ALL, ids=lambda one: one.stretch)
def test_what_is_written_down_is_read_back(appearance: Appearance) -> None:
    record = json.loads(json.dumps(appearance.to_record()))
    assert Appearance.from_record(record) == appearance
    assert (record == {}) == appearance.plain
    assert hash(appearance) == hash(Appearance.from_record(record))


def test_percentiles_become_the_ends(grey) -> None:
    painted = Appearance("percentiles", (10.0, 60.0)).paint([grey])
    assert painted.shape == (20, 30, 3) and painted.dtype == np.float32
    low, high = np.percentile(grey, (10, 60))
    np.testing.assert_allclose(painted[..., 0], np.clip((grey - low) / (high - low), 0, 1), atol=1e-6)
    # A predictor takes colours between 0 and 1 as they are: what it sees in the end is this.
    np.testing.assert_array_equal(to_plane(painted), painted)


def test_percentiles_of_colours_keep_the_hue() -> None:
    image = np.zeros((10, 10, 4), np.uint8)
    image[:5, :, 0], image[:5, :, 1], image[..., 3] = 100, 50, 255
    painted = Appearance("percentiles", (0.0, 100.0)).paint([image])
    np.testing.assert_allclose(painted[0, 0], (1.0, 0.5, 0.0), atol=1e-6)


def test_as_seen_is_limits_and_gamma(grey) -> None:
    expected = np.clip((grey - 20) / 100, 0, 1) ** 0.5
    np.testing.assert_allclose(SEEN.paint([grey])[..., 1], expected, atol=1e-6)
    colours = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    assert SEEN.paint([colours]) is colours


def test_channels_become_grey_or_colours(grey) -> None:
    one, two = grey, grey[::-1]
    single = Appearance(channel_axis=0, channels=(1,)).paint([two])
    assert single.shape == (20, 30, 3) and np.array_equal(single[..., 0], single[..., 2])
    both = Appearance(channel_axis=0, channels=(0, 1)).paint([one, two])
    np.testing.assert_array_equal(both, to_plane(np.stack([one, two]), channel_axis=0))
    assert not both[..., 2].any()


def test_a_composite_adds_layers_in_their_colours(grey) -> None:
    tints = (Tint((0.0, 200.0), colours=RED), Tint((0.0, 200.0), colours=GREEN))
    painted = Appearance("seen", composite=True, tints=tints).paint([grey, 200 - grey])
    np.testing.assert_allclose(painted[..., 0], grey / 200, atol=1e-6)
    np.testing.assert_allclose(painted[..., 1], 1 - grey / 200, atol=1e-6)
    over = Appearance("seen", composite=True, tints=(tints[0], tints[0])).paint([grey, grey])
    np.testing.assert_allclose(over[..., 0], np.clip(grey / 100, 0, 1), atol=1e-6)


def test_a_colour_map_is_read_between_its_colours() -> None:
    tint = Tint((0.0, 1.0), colours=((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (1.0, 1.0, 1.0)))
    shown = tint.coloured(np.array([[0.25, 0.75]], np.float32))
    np.testing.assert_allclose(shown, [[[0.5, 0, 0], [1.0, 0.5, 0.5]]], atol=1e-6)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: Appearance("loud"), "no way"),
        (lambda: Appearance(percentiles=(60.0, 40.0)), "lower first"),
        (lambda: Appearance(channels=(1,)), "need an axis"),
        (lambda: Appearance(composite=True), "composite"),
        (lambda: Appearance("seen"), "contrast limits"),
        (lambda: Appearance.from_record({"tints": [{}]}), "damaged"),
        (lambda: Appearance.from_record([]), "damaged"),
        (lambda: PLAIN.paint([np.zeros((3, 3)), np.zeros((3, 3))]), "1 arrays are needed"),
        (lambda: Appearance(channel_axis=0, channels=(0, 1)).paint([np.zeros((3, 3)), np.zeros((4, 3))]), "different"),
        (lambda: Appearance(channel_axis=0, channels=(0,)).paint([np.zeros((3, 3, 3), np.uint8)]), "RGB image"),
        (lambda: PLAIN.paint([np.zeros((3, 3), complex)]), "dtype"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(made, words: str) -> None:
    with pytest.raises(InputError, match=words):
        made()


def test_what_a_replay_lacks_is_said() -> None:
    assert [bool(one.missing_for_replay()) for one in ALL] == [False, False, False, False, True]
    assert '"a", "b"' in ALL[-1].missing_for_replay()
    assert "level 2" in Appearance(level=2).missing_for_replay()
