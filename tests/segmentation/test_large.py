"""A large image is read in windows only, answered in regions, and its depth is on one scale everywhere."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from napari_ois.errors import InputError
from napari_ois.segmentation import large_scene, pyramid
from napari_ois.segmentation.depth_scale import DepthScale, fit_scale, own_scale
from napari_ois.segmentation.frame import MOST, Frame
from napari_ois.segmentation.inspection import Inspection
from napari_ois.segmentation.large_scene import LargeScene, make_scene
from napari_ois.segmentation.lazy_plane import LARGE, LazyPlane, is_pyramid
from napari_ois.segmentation.predictor import Predictor
from napari_ois.segmentation.pyramid import Pyramid
from napari_ois.segmentation.regions import frame_of, region_around
from napari_ois.segmentation.view import View

SIDE = 40_000


class Painted:
    """An array computed from its coordinates where it is read; notes the most read at once. Grows with the column."""

    def __init__(self, shape: tuple[int, ...] = (SIDE, SIDE), dtype: Any = np.uint8, scale: float = 1.0) -> None:
        self.shape, self.dtype, self.ndim = shape, np.dtype(dtype), len(shape)
        self.most, self.scale = 0, scale

    def __getitem__(self, key: Any) -> np.ndarray:
        key = (*key, *(slice(None),) * (self.ndim - len(key)))
        places = [np.arange(side)[part] for side, part in zip(self.shape, key, strict=True)]
        columns = 255 * places[1] / self.shape[1]
        values = np.broadcast_to(columns[None], (len(places[0]), len(places[1])))
        for axis in places[2:]:
            values = np.repeat(values[..., None], len(axis), axis=-1)
        self.most = max(self.most, values.size)
        return values.astype(self.dtype)


@pytest.fixture(autouse=True)
def _small_overview(monkeypatch) -> None:
    """Overviews of 1024 pixels are made faster, and are as good for what is tested here."""
    monkeypatch.setattr(pyramid, "OVERVIEW", 1024)


@pytest.fixture
def predictor(network) -> Predictor:
    return Predictor.from_network(network, input_size=256, multiple=32, device="cpu", close_up=True)


# -- reading ------------------------------------------------------------------------------------------


def test_no_more_than_the_overview_and_the_regions_is_ever_read(predictor):
    image = Painted()
    predictor.set_image(image)
    assert predictor.image_shape == (SIDE, SIDE)
    assert image.most <= (2 * 1024) ** 2
    image.most = 0
    for place in [(20_000, 5_000), (39_999, 39_999), (0, 0)]:
        result = predictor.predict([place], [1])
        assert max(result.mask.shape) <= MOST
    assert image.most <= 1024**2


def test_a_mask_lies_on_its_click_in_pixels_of_the_image(predictor):
    predictor.set_image(Painted())
    result = predictor.predict([(12_345, 30_001)], [1])
    assert result.frame.native and result.frame.view.shape == (1024, 1024) == result.mask.shape
    rows, columns = np.nonzero(result.mask)
    assert abs(rows.mean() + result.frame.view.top - 12_345) < 1
    assert abs(columns.mean() + result.frame.view.left - 30_001) < 1
    # 10 of 256 input pixels: in the region of 1024 pixels 80 across, so a close-up of 160 follows, where it is 12
    assert result.view.shape == (160, 160) and 10 <= np.ptp(rows) <= 14
    for array in (result.probability, result.depth, result.positive_order_map):
        assert array.shape == result.mask.shape and array.dtype == np.float32


def test_the_next_click_goes_on_in_the_same_frame_without_another_embedding(network):
    predictor = Predictor.from_network(network, input_size=256, multiple=32, device="cpu", close_up=False)
    predictor.set_image(Painted())
    first = predictor.predict([(12_345, 30_001)], [1])
    assert len(network.embedded) == 2  # the overview and the region
    second = predictor.predict([(12_345, 30_001), (12_380, 30_020)], [1, 0], previous=first)
    assert second.frame == first.frame
    np.testing.assert_array_equal(predictor.again(second).mask, second.mask)
    assert predictor.predict([(12_400, 30_100)], [1]).frame == first.frame  # another object beside it
    assert len(network.embedded) == 2


def test_the_order_of_a_click_outside_of_the_frame_is_not_made_up(predictor):
    predictor.set_image(Painted())
    answer = predictor.predict([(1_000, 1_000), (9_000, 9_000), (1_010, 1_020)], [1, 0, 0])
    far, near = answer.negative_order_maps
    assert np.isnan(far).all() and np.isfinite(near).all()
    assert np.isnan(answer.depths_at_clicks()).tolist() == [False, True, False]


def test_clicks_far_apart_have_a_region_that_holds_both(predictor):
    predictor.set_image(Painted())
    first = predictor.predict([(10_000, 10_000)], [1])
    both = predictor.predict([(10_000, 10_000), (14_000, 16_000)], [1, 1], previous=first)
    assert both.frame.view.shape == (16_384, 16_384) and both.mask.shape == (MOST, MOST)
    for cell in both.local_points.round().astype(int):
        assert both.mask[tuple(cell)]


class FilledNetwork(torch.nn.Module):
    """Says that everything brighter than the middle is the object; its raw depth is brightness."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.views: list[float] = []

    def embed_image(self, image: torch.Tensor, depth: torch.Tensor | None = None) -> Any:
        from napari_ois.network import ImageEmbedding
        from napari_ois.network.order import normalize_depth

        raw = image[:, :1] if depth is None else depth
        return ImageEmbedding(image, (), normalize_depth(raw), raw)

    def decode_clicks(self, embedding: Any, points: Any, labels: Any, previous: Any = None) -> torch.Tensor:
        return 20 * (embedding.features[:, 1:2] - 0.5) * self.weight


class Square(Painted):
    """Dark, with a bright square of 5,000 pixels."""

    box = (20_000, 25_000)

    def __getitem__(self, key: Any) -> np.ndarray:
        inside = [(np.arange(SIDE)[part] >= self.box[0]) & (np.arange(SIDE)[part] < self.box[1]) for part in key]
        return np.where(inside[0][:, None] & inside[1][None], 200, 20).astype(np.uint8)


@pytest.mark.parametrize("close_up", [True, False])
def test_a_region_grows_until_the_object_is_in_it(close_up):
    predictor = Predictor.from_network(FilledNetwork(), input_size=128, multiple=32, device="cpu", close_up=close_up)
    predictor.set_image(Square())
    result = predictor.predict([(22_000, 23_000)], [1])
    assert result.frame.view.contains(View(20_000, 20_000, 25_000, 25_000))
    assert max(result.frame.view.shape) < 20_000  # closer than the region in which it was first seen whole
    area = result.mask.sum() * np.prod(result.frame.cell)
    assert abs(area / 5_000**2 - 1) < 0.05


def test_an_object_as_large_as_the_image_ends_at_the_whole_image():
    predictor = Predictor.from_network(FilledNetwork(), input_size=64, multiple=32, device="cpu", close_up=True)
    predictor.set_image(Painted((5_000, 60_000)))
    result = predictor.predict([(2_000, 50_000)], [1])
    assert result.view == View.whole((5_000, 60_000))
    assert result.mask.shape == (round(MOST * 5 / 60), MOST)
    assert result.mask[:, -1].all() and not result.mask[:, 0].any()


# -- regions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_every_click_lies_well_inside_its_region(seed):
    rng = np.random.default_rng(seed)
    shape = (30_000, 9_000)
    for place in rng.uniform(0, shape, (50, 2)):
        view = region_around(place, place, 1024, shape)
        assert view.shape == (1024, 1024)
        for at, start, stop, side in zip(place, (view.top, view.left), (view.bottom, view.right), shape, strict=True):
            assert at - start >= 255 or start == 0
            assert stop - at >= 255 or stop == side


def test_neighbours_share_their_region():
    here, beside = np.array([5_000.0, 5_000.0]), np.array([5_060.0, 4_980.0])
    assert region_around(here, here, 1024, (20_000, 20_000)) == region_around(beside, beside, 1024, (20_000, 20_000))


def test_a_close_up_across_the_borders_of_regions_has_a_frame_around_it():
    scene = LargeScene([Painted()], None, None, input_size=64, multiple=32)
    for corner in range(10_000, 11_100, 61):
        view = View(corner, corner, corner + 900, corner + 900)
        frame = frame_of(scene, view, None)
        assert frame.view.contains(view) and frame.native and max(frame.shape) == 1024


@pytest.mark.parametrize("side", [300, 1_500, 2_100])
def test_a_close_up_has_a_frame_that_it_can_lie_in_where_the_network_sees_more_than_a_frame_holds(side):
    scene = SimpleNamespace(region_side=2_560, shape=(SIDE, SIDE))
    view = View(10_000, 10_700, 10_000 + side, 10_700 + side)
    frame = frame_of(scene, view, None)
    assert frame.view == view or (frame.native and frame.view.contains(view))


def test_looks_are_kept_up_to_a_bound_in_bytes(monkeypatch, network):
    monkeypatch.setattr(large_scene, "KEPT_BYTES", 10 * 3 * 64 * 64 * 4)
    scene = LargeScene([Painted()], None, None, input_size=64, multiple=32)
    first = scene.look(View(0, 0, 1024, 1024))
    assert scene.look(View(0, 0, 1024, 1024)) is first
    for number in range(1, 12):
        scene.look(View(512 * number, 0, 512 * number + 1024, 1024))
    assert len(scene._close_ups) <= 11
    assert scene.look(View(0, 0, 1024, 1024)) is not first


# -- what an image may be -----------------------------------------------------------------------------


def test_ordinary_images_stay_whole(network):
    assert not isinstance(make_scene(np.zeros((300, 300)), None, None, input_size=64, multiple=32), LargeScene)
    assert LARGE == 4096**2
    lazy = LazyPlane.of(np.arange(400.0).reshape(20, 20))
    scene = make_scene(lazy, None, None, input_size=64, multiple=32)
    plain = make_scene(np.arange(400.0).reshape(20, 20), None, None, input_size=64, multiple=32)
    torch.testing.assert_close(scene.whole.image, plain.whole.image, rtol=0, atol=0)


def test_a_pyramid_is_read_from_the_level_that_is_fine_enough():
    levels = [Painted((side, side)) for side in (40_000, 10_000, 2_500)]
    assert is_pyramid(levels)
    scene = make_scene(levels, None, None, input_size=64, multiple=32)
    assert isinstance(scene, LargeScene)
    assert levels[0].most == levels[1].most == 0 and levels[2].most > 0
    scene.look(View(0, 0, 16_384, 16_384))
    assert levels[0].most == 0
    scene.look(View(0, 0, 1_024, 1_024))
    assert levels[0].most == 1_024**2


@pytest.mark.parametrize("shape", [(64, 300_000), (300_000, 64)])
def test_an_image_far_longer_than_it_is_wide_is_answered_too(predictor, shape):
    predictor.set_image(Painted(shape))
    place = tuple(side // 2 for side in shape)
    assert predictor.predict([place], [1]).mask.any()


@pytest.mark.parametrize("side", [997, 300, 128])
def test_it_is_known_which_pixels_the_overview_stands_for(side, monkeypatch):
    monkeypatch.setattr(pyramid, "OVERVIEW", 100)
    ramp = np.arange(1994.0)[:, None] * np.ones((1, 1200))
    coarse = ramp[:: 1994 // side, :: 1994 // side]
    made = Pyramid([LazyPlane.of(ramp), LazyPlane.of(coarse)])
    cell, shape = made.covered.cell, made.overview.shape
    assert made.covered.shape == shape and cell[0] > 1
    middles = (np.arange(shape[0]) + 0.5) * cell[0] - 0.5
    assert np.abs(made.overview[:, 0] - middles).max() <= cell[0] / 2 + 1


def test_a_window_has_the_same_colours_wherever_it_is_read_from():
    fine = Painted()
    levels = Pyramid([LazyPlane.of(fine)])
    for view in (View(0, 30_000, 900, 30_900), View(100, 100, 39_000, 39_000), View(5, 5, 6, 6)):
        window = levels.window(view, 512)
        want = 255 * ((view.left + view.right) / 2) / SIDE
        assert abs(float(window.mean()) - want) < 1.2
        assert 1 <= max(window.shape) <= 1100


@pytest.mark.parametrize("kind", ["dask", "zarr", "memmap", "channels"])
def test_any_array_that_can_be_sliced_will_do(kind, tmp_path, predictor):
    shape = (4_200, 4_300)
    values = (np.arange(shape[1]) / 20).astype(np.uint8)
    channel_axis = None
    if kind == "memmap":
        image = np.lib.format.open_memmap(tmp_path / "image.npy", "w+", np.uint8, shape)
        image[:] = values
    elif kind == "dask":
        image = pytest.importorskip("dask.array").broadcast_to(values, shape)
    elif kind == "zarr":
        zarr = pytest.importorskip("zarr")
        image = zarr.create_array(tmp_path / "image.zarr", shape=shape, chunks=(1050, 1075), dtype="uint8")
        image[:] = np.broadcast_to(values, shape)
    else:
        image, channel_axis = np.broadcast_to(values, (2, *shape)), -3
    predictor.set_image(image, channel_axis=channel_axis)
    result = predictor.predict([(2_000, 3_000)], [1])
    assert result.mask.any() and result.frame.view.holds(np.array([[2_000, 3_000]], np.float32)).all()
    assert predictor.geometry.image_shape == shape


@pytest.mark.parametrize("shape", [(9_000, 9_000, 3), (9_000, 9_000, 4), (9_000, 9_000, 1)])
def test_colours_are_those_of_an_ordinary_image(shape):
    scene = make_scene(Painted(shape), None, None, input_size=64, multiple=32)
    pixels = scene.look(View(1_000, 4_000, 2_000, 5_000)).image
    assert pixels.shape == (1, 3, 64, 64)
    assert pixels.mean() == pytest.approx(4_500 / 9_000, abs=0.01)


@pytest.mark.parametrize(
    ("image", "axis", "message"),
    [
        (Painted((5, 9_000, 9_000)), None, "channel_axis"),
        (Painted((9_000, 9_000), complex), None, "dtype"),
        (Painted((9_000, 9_000)), 0, "needs a 3D image"),
    ],
)
def test_what_is_no_image_is_refused_without_reading_it(image, axis, message):
    with pytest.raises(InputError, match=message):
        LargeScene([image], axis, None, input_size=64, multiple=32)
    assert image.most == 0


@pytest.mark.parametrize("axis", [0, 2])
def test_an_axis_of_channels_that_a_grey_image_lacks_is_refused_in_a_sentence(axis):
    with pytest.raises(InputError, match="needs a 3D image"):
        make_scene(np.zeros((50, 60), np.uint8), axis, None, input_size=64, multiple=32)


# -- depth --------------------------------------------------------------------------------------------


def test_a_line_is_found_again_among_contradictions():
    rng = np.random.default_rng(0)
    region = rng.random((20, 20)).astype(np.float32)
    overview = 0.3 * region + 0.2
    overview[:3] = rng.random((3, 20))
    found = fit_scale(region, overview.astype(np.float32), DepthScale(0.5, 0.0))
    assert found.slope == pytest.approx(0.3, abs=0.01) and found.offset == pytest.approx(0.2, abs=0.01)


def test_where_the_overview_is_flat_its_own_slope_holds():
    region = np.linspace(0.5, 0.5004, 100, dtype=np.float32).reshape(10, 10)
    found = fit_scale(region, np.full((10, 10), 0.7, np.float32), DepthScale(2.0, 0.0))
    assert found.slope == pytest.approx(2.0, rel=0.05)
    assert found.apply(region).mean() == pytest.approx(0.7, abs=1e-3)


def test_depth_is_never_turned_round():
    region = np.linspace(0, 1, 100, dtype=np.float32).reshape(10, 10)
    assert fit_scale(region, 1 - region, DepthScale(1.0, 0.0)).slope > 0
    assert own_scale(np.full((3, 3), 2.0, np.float32), np.zeros((3, 3), np.float32)).slope == 1.0


class Moody(FilledNetwork):
    """Its depth has another scale and another offset in each view, as that of a monocular network has."""

    def embed_image(self, image: torch.Tensor, depth: torch.Tensor | None = None) -> Any:
        mood = 0.5 + float(image.mean())
        return super().embed_image(image, mood * image[:, :1] + mood**2)


class Ramp(Painted):
    """Brightness, and so depth, has a long wave and a fine one."""

    def __getitem__(self, key: Any) -> np.ndarray:
        rows, columns = (np.arange(SIDE)[part] for part in key)
        slow = 120 + 60 * np.sin(columns / 3_000)[None] + 40 * np.cos(rows / 4_000)[:, None]
        return (slow + 15 * np.sin(columns / 90)[None]).astype(np.uint8)


def test_order_maps_agree_where_regions_overlap():
    predictor = Predictor.from_network(Moody(), input_size=128, multiple=32, device="cpu", close_up=False)
    predictor.set_image(Ramp())
    scene, embed = predictor._scene, predictor._runner.embed
    one, other = View(8_192, 8_192, 12_288, 12_288), View(8_192, 10_240, 12_288, 14_336)
    with torch.inference_mode():
        maps = [scene.depth_on(Frame(view, (1024, 1024)), embed) for view in (one, other)]
        own = [predictor._runner.embed(scene.look(view)).depth[0, 0].numpy() for view in (one, other)]
    common = maps[0][:, 512:], maps[1][:, :512]
    reference = float(common[0][500, 200]), float(common[1][500, 200])
    orders = [np.abs(depth - at) for depth, at in zip(common, reference, strict=True)]
    assert np.abs(orders[0] - orders[1]).mean() < 0.35 * orders[0].std()
    assert np.corrcoef(orders[0].ravel(), orders[1].ravel())[0, 1] > 0.98
    assert orders[0].std() > 0.03  # they agree on something
    apart = np.abs(own[0][:, 64:] - own[1][:, :64]).mean()  # each on its own scale they do not
    assert apart > 3 * np.abs(common[0] - common[1]).mean()


def test_depth_that_is_given_is_exact_in_every_region(network):
    predictor = Predictor.from_network(network, input_size=256, multiple=32, device="cpu", close_up=True)
    depth = Painted(dtype=np.float32)
    predictor.set_image(Painted(), depth=depth)
    result = predictor.predict([(12_345, 30_001)], [1])
    columns = np.arange(result.frame.view.left, result.frame.view.right)
    np.testing.assert_allclose(result.depth[5], columns / (SIDE - 1), atol=2e-4)
    with pytest.raises(InputError, match="has shape"):
        predictor.set_image(Painted(), depth=np.zeros((7, 7)))


# -- masks and inspection -----------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "closer"), [(60, True), (3_000, False)])
def test_a_mask_of_a_part_becomes_a_state(predictor, height, closer):
    predictor.set_image(Painted())
    state = predictor.state_from_mask(np.ones((height, 50), bool), corner=(9_000, 8_000))
    assert state.view.contains(View(9_000, 8_000, 9_000 + height - 1, 8_049))
    assert (max(state.view.shape) < 1024) == closer
    share = float((state.logits > 0).float().mean())
    assert share == pytest.approx(height * 50 / np.prod(state.view.shape), rel=0.3)
    assert predictor.predict([(9_030, 8_030)], [1], previous=state).mask.any()


def test_a_mask_of_a_part_of_an_ordinary_image(predictor):
    predictor.set_image(np.zeros((300, 300), np.uint8))
    full = np.zeros((300, 300), bool)
    full[100:140, 50:90] = True
    part = predictor.state_from_mask(np.ones((40, 40), bool), corner=(100, 50))
    torch.testing.assert_close(part.logits, predictor.state_from_mask(full).logits)


def test_the_inspector_reads_a_frame(tiny_network):
    predictor = Predictor.from_network(tiny_network(), input_size=64, multiple=32, device="cpu", close_up=False)
    predictor.set_image(Painted())
    seen = predictor.predict([(12_345, 30_001), (12_300, 30_100)], [1, 0], inspect=True)
    inspection = Inspection(seen)
    assert inspection.attention(0).shape == seen.mask.shape
    for shown in (inspection.depth_used(), inspection.order_used(0), inspection.order_used(1)):
        assert shown.shape == seen.mask.shape and np.isfinite(shown).all()
    assert inspection.change(predictor.again(seen, order_strength=0)).gained.shape == seen.mask.shape
    assert inspection.profile().inside.sum() == pytest.approx(1.0 if seen.mask.any() else 0.0)


@pytest.mark.parametrize("appearance", [False, True])
def test_a_first_answer_in_a_region_is_looked_at_again_by_a_network_that_counts_colours(network, appearance):
    network.appearance = appearance
    predictor = Predictor.from_network(network, input_size=256, multiple=32, device="cpu", close_up=False)
    predictor.set_image(Painted())
    network.previous.clear()
    first = predictor.predict([(20_000, 30_000)], [1])
    assert len(network.previous) == 1 + appearance
    predictor.predict([(20_000, 30_000), (20_005, 30_000)], [1, 1], previous=first.state)
    assert len(network.previous) == 2 + appearance
