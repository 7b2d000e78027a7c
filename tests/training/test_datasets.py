from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2", reason="training needs the extra 'train'")

from napari_ois.errors import InputError  # noqa: E402
from napari_ois.segmentation.colour import to_plane  # noqa: E402
from napari_ois.training.batches import BatchStream, Phase  # noqa: E402
from napari_ois.training.datasets import licensed, nearness, read_image, read_manifest  # noqa: E402
from napari_ois.training.packing import load_pack, pack, packed_size  # noqa: E402
from napari_ois.training.recipe import Recipe  # noqa: E402
from napari_ois.training.run import real_images, train  # noqa: E402
from napari_ois.training.windows import sample_whole, sample_window  # noqa: E402

HEADER = [
    "set",
    "image",
    "mask",
    "depth",
    "depth_kind",
    "width",
    "height",
    "kind",
    "union_ok",
    "licence",
    "licence_class",
]


def write_manifest(folder, rows, header=HEADER):
    with (folder / "MANIFEST.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])


def row(stem, *, mask=True, depth="", size=(40, 30), name="a", kind="instances", union="0", licence="permissive"):
    return [
        name,
        f"{stem}.png",
        f"{stem}_mask.png" if mask else "",
        f"{stem}_depth.png" if depth else "",
        depth,
        *size,
        kind,
        union,
        "free, as in beer",
        licence,
    ]


@pytest.fixture
def collection(tmp_path):
    folder = tmp_path / "collection"
    folder.mkdir()
    rng = np.random.default_rng(0)

    def write(name, array):
        assert cv2.imwrite(str(folder / name), array)

    small = rng.integers(0, 255, (30, 40, 3)).astype(np.uint8)
    small[0, 0] = (0, 0, 255)  # red in OpenCV's order
    write("small.png", small)
    labels = np.zeros((30, 40), np.uint8)
    labels[5:15, 5:15], labels[18:28, 20:32], labels[:, 39] = 1, 2, 255
    write("small_mask.png", labels)
    distance = np.tile(np.linspace(500, 3000, 40).astype(np.uint16), (30, 1))
    distance[:3] = 0
    write("small_depth.png", distance)
    write("large.png", rng.integers(0, 255, (100, 200, 3)).astype(np.uint8))
    wide = np.zeros((100, 200), np.uint16)
    wide[10:60, 10:90], wide[70:90, 100:160], wide[:, :4] = 255, 300, 65535
    write("large_mask.png", wide)
    write("none.png", small)
    write("none_depth.png", distance)
    write_manifest(
        folder,
        [
            row("small", depth="depth_mm"),
            row("large", size=(200, 100), name="b", kind="regions", union="1"),
            row("none", mask=False, depth="disparity_px", name="c", kind="none"),
        ],
    )
    return folder


def test_manifest_is_read_field_by_field(collection):
    small, large, none = read_manifest(collection)
    assert (small.set, small.kind, small.union_ok) == ("a", "instances", False)
    assert (large.kind, large.union_ok, large.depth) == ("regions", True, None)
    assert (none.mask, none.depth_kind) == (None, "disparity_px")
    assert (large.width, large.height, large.licence_class) == (200, 100, "permissive")


def test_read_image_has_one_convention_for_ids_and_depth(collection):
    small, large, none = read_manifest(collection)
    rgb, ids, depth = read_image(small)
    assert rgb[0, 0].tolist() == [255, 0, 0]
    assert ids.dtype == np.uint16
    assert np.unique(ids).tolist() == [0, 1, 2, 65535]
    assert (depth[:3] == 0).all()
    # distance: nearer (left) is larger; disparity: larger is nearer as it stands
    assert depth[10, 0] == 65535
    assert depth[10, 39] == 1
    assert read_image(none)[2][10, 0] == 1
    # 255 is an object in a 16-bit map
    assert np.unique(read_image(large)[1]).tolist() == [0, 255, 300, 65535]


def test_grey_is_stretched_as_in_use_and_colours_stay_as_filed(collection):
    rng = np.random.default_rng(1)
    pictures = {
        "dark": rng.integers(3, 20, (30, 40)).astype(np.uint8),
        "colour": rng.integers(3, 20, (30, 40, 3)).astype(np.uint8),
        "deep": rng.integers(300, 2000, (30, 40, 3)).astype(np.uint16),
    }
    for name, picture in pictures.items():
        assert cv2.imwrite(str(collection / f"{name}.png"), picture if picture.ndim == 2 else picture[..., ::-1])
    write_manifest(collection, [row(name, mask=False, kind="none") for name in pictures])
    dark, colour, deep = (read_image(item)[0] for item in read_manifest(collection))
    np.testing.assert_array_equal(dark, np.round(255 * to_plane(pictures["dark"])))
    assert dark.min() == 0 and dark.max() == 255
    np.testing.assert_array_equal(colour, pictures["colour"])
    np.testing.assert_array_equal(deep, np.round(255 * to_plane(pictures["deep"])))


def test_nearness_without_a_known_pixel_is_unknown():
    assert not nearness(np.zeros((4, 5), np.uint16), distance=True).any()


def test_missing_things_are_named(collection, tmp_path):
    with pytest.raises(InputError, match="elsewhere"):
        read_manifest(tmp_path / "elsewhere")
    (collection / "large_mask.png").unlink()
    with pytest.raises(InputError, match=r"large_mask\.png"):
        read_manifest(collection)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row("small")[:5]], "too few fields"),
        ([row("small", size=("wide", 30))], "whole number"),
        ([row("small", depth="metres_or_so")], "depth_kind"),
        ([["a", "", *row("small")[2:]]], "no image"),
    ],
)
def test_damaged_rows_are_named(collection, rows, message):
    write_manifest(collection, rows)
    with pytest.raises(InputError, match=message):
        read_manifest(collection)


def test_damaged_files_are_named(collection):
    write_manifest(collection, [row("small", size=(41, 30))])
    with pytest.raises(InputError, match="size"):
        read_image(read_manifest(collection)[0])
    (collection / "small.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="cannot be read"):
        read_image(read_manifest(collection)[0])
    write_manifest(collection, [], header=["set", "image"])
    with pytest.raises(InputError, match="lacks the columns mask"):
        read_manifest(collection)
    (collection / "MANIFEST.csv").write_text("set,image\nKüche,a.png\n", encoding="utf-16")  # as a spreadsheet may
    with pytest.raises(InputError, match=r"cannot be read as a table .* save it as CSV in UTF-8"):
        read_manifest(collection)


def test_packed_size_never_grows():
    assert packed_size(30, 40, 100) == (30, 40)
    assert packed_size(100, 200, 100) == (50, 100)
    assert packed_size(1, 900, 100) == (1, 100)


def test_pack_keeps_pixels_ids_and_depth(collection, tmp_path):
    packed = pack(collection, tmp_path / "pack", longest=100, progress=False)
    assert len(packed) == 3
    rgb, ids, depth = packed.image(0)
    for view, original in zip((rgb, ids, depth), read_image(read_manifest(collection)[0]), strict=True):
        np.testing.assert_array_equal(view, original)
    rgb, ids, depth = packed.image(1)
    assert rgb.shape == (50, 100, 3)
    assert depth is None
    assert np.unique(ids).tolist() == [0, 255, 300, 65535]
    assert packed.images[1].areas == {255: 25 * 40, 300: 10 * 30}
    assert packed.images[1].union_ok
    assert packed.images[2].has_depth
    np.testing.assert_array_equal(packed.image(2)[2], read_image(read_manifest(collection)[2])[2])


def test_pack_views_do_not_copy(collection, tmp_path):
    packed = pack(collection, tmp_path / "pack", progress=False)
    rgb, ids, depth = packed.image(2)
    assert np.shares_memory(rgb, packed.rgb)
    assert np.shares_memory(ids, packed.ids)
    assert np.shares_memory(depth, packed.depth)


def test_draw_balances_sets_and_skips_images_without_objects(collection, tmp_path):
    write_manifest(
        collection,
        [row("small")] * 16 + [row("small", name="b")] + [row("none", mask=False, name="c", kind="none")],
    )
    packed = pack(collection, tmp_path / "pack", progress=False)
    share = packed.weights / packed.weights.sum()
    assert share[:16].sum() == pytest.approx(4 / 5)
    assert share[16] == pytest.approx(1 / 5)
    rng = np.random.default_rng(0)
    drawn = [packed.draw(rng) for _ in range(200)]
    assert 17 not in drawn
    assert drawn.count(16) > 10
    only_none = packed.subset(np.array([entry.kind == "none" for entry in packed.images]))
    assert len(only_none) == 1
    with pytest.raises(InputError, match="no image with an object"):
        only_none.draw(rng)


def test_unfinished_or_damaged_pack_is_refused(collection, tmp_path):
    out = tmp_path / "pack"
    pack(collection, out, progress=False)
    index = out / "index.json"
    for number in (1, 99):  # of 1, grey images lie there as filed
        index.write_text(json.dumps({"format": number, "images": []}), encoding="utf-8")
        with pytest.raises(InputError, match="another format"):
            load_pack(out)
    index.write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="damaged"):
        load_pack(out)
    index.unlink()
    with pytest.raises(InputError, match=r"index\.json is missing"):
        load_pack(out)


def scene(shape=(96, 128)):
    """Objects whose ids, colours and depth tell the same, so that a window can be checked."""
    ids = np.zeros(shape, np.int16)
    ids[10:50, 12:60], ids[40:80, 70:110], ids[60:90, 10:40] = 1, 2, 3
    rgb = np.repeat((ids * 80)[..., None], 3, axis=2).astype(np.uint8)
    return rgb, ids, (ids / 3).astype(np.float16)


def test_beyond_the_image_a_window_goes_on_and_a_whole_image_is_black():
    rgb, ids = np.full((40, 96, 3), 200, np.uint8), np.zeros((40, 96), np.uint16)
    ids[5:30, 10:80] = 1
    window = sample_window(np.random.default_rng(0), rgb, ids, size=64, whole=1.0, augment=False)
    assert (~window.valid).mean() > 0.3
    assert (window.rgb == 200).all()
    whole = sample_whole(np.random.default_rng(0), rgb, ids, size=64, augment=False)
    assert (~whole.valid).mean() > 0.3
    assert (whole.rgb[~whole.valid] == 0).all()


@pytest.mark.parametrize("frame", [(96, 128), (128, 64), (96, 96)])
def test_windows_that_stay_inside_show_nothing_beyond_the_picture(frame):
    ids = np.zeros((60, 90), np.uint16)
    ids[20:40, 30:70], ids[2:8, 3:9] = 1, 2
    rgb = np.random.default_rng(0).integers(0, 255, (60, 90, 3)).astype(np.uint8)
    beyond = []
    for seed in range(60):
        window = sample_window(np.random.default_rng(seed), rgb, ids, size=frame, whole=0.5, tight=0.3, inside=True)
        assert window.rgb.shape == (*frame, 3) and window.targets.shape[1:] == frame == window.valid.shape
        assert (window.targets[0] == 1).sum() >= 20
        beyond.append(1 - window.valid.mean())
    assert np.median(beyond) < 0.02 and np.mean(beyond) < 0.05  # the rest is turned ones, whose corners reach out
    nothing = sample_window(np.random.default_rng(0), rgb, ids * 0, size=frame, kind="none", inside=True)
    assert nothing.rgb.shape == (*frame, 3) and nothing.valid.mean() > 0.97


def test_a_whole_picture_of_the_window_s_own_shape_is_seen_whole():
    ids = np.zeros((64, 96), np.uint16)
    ids[8:56, 12:84] = 1
    rgb = np.repeat(ids[..., None] * 255, 3, axis=2).astype(np.uint8)
    shares = [
        (sample_window(np.random.default_rng(s), rgb, ids, size=(64, 96), whole=1.0, inside=True).targets == 1).mean()
        for s in range(12)
    ]
    assert np.abs(np.array(shares) / (ids > 0).mean() - 1).max() < 0.3  # but for zoom and turning


@pytest.mark.parametrize("seed", range(40))
def test_picture_targets_and_depth_stay_aligned(seed):
    rgb, ids, depth = scene()
    window = sample_window(np.random.default_rng(seed), rgb, ids, depth, size=64, augment=False)
    assert window.rgb.shape == (64, 64, 3)
    assert window.rgb.dtype == np.uint8
    assert 1 <= len(window.targets) <= 3
    assert window.depth.dtype == np.float32
    assert (window.targets[:, ~window.valid] == 255).all()
    assert np.isnan(window.depth[~window.valid]).all()
    assert np.isfinite(window.depth[window.valid]).all()
    taken = np.zeros((64, 64), int)
    for target in window.targets:
        assert np.count_nonzero(target == 1) >= 20
        # away from the outline, colour and depth name one and the same object
        inside = cv2.erode((target == 1).astype(np.uint8), np.ones((7, 7))) > 0
        levels = np.unique(np.round(window.rgb[inside] / 80))
        assert len(levels) <= 1
        if inside.any():
            np.testing.assert_allclose(window.depth[inside], levels[0] / 3, atol=1e-3)
        taken += target == 1
    assert taken.max() == 1


def test_windows_differ_and_repeat_with_the_seed():
    rgb, ids, depth = scene()
    first, again, other = (sample_window(np.random.default_rng(seed), rgb, ids, depth, size=48) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.rgb, again.rgb)
    np.testing.assert_array_equal(first.targets, again.targets)
    assert not np.array_equal(first.rgb, other.rgb)


def test_ignored_ids_stay_ignored():
    rgb, ids, _ = scene()
    ids[:, 64:] = -1
    ignored = 0
    for seed in range(10):
        window = sample_window(np.random.default_rng(seed), rgb, ids, size=64)
        inside = window.targets[0][window.valid]
        ignored += np.count_nonzero(inside == 255)
        assert window.depth is None
        assert set(np.unique(window.targets)) <= {0, 1, 255}
    assert ignored > 0


def test_unions_are_drawn_where_they_are_objects():
    ids = np.zeros((60, 60), np.uint16)
    ids[10:30, 10:50], ids[30:50, 10:50] = 1, 2
    rgb = np.zeros((60, 60, 3), np.uint8)

    def largest_share(**options):
        shares = []
        for seed in range(40):
            window = sample_window(np.random.default_rng(seed), rgb, ids, size=48, **options)
            objects = [np.count_nonzero(target == 1) for target in window.targets]
            shares.append(len(objects) == 1 and objects[0] > 200)
        return sum(shares)

    # one target alone in a window that shows both halves is their union
    assert largest_share() < largest_share(kind="regions")
    two = largest_share(union_ok=True)
    ids[20:40, 30:50] = 3
    assert largest_share() < two < largest_share(union_ok=True)  # of two parts hardly ever, of many mostly


def test_packed_depth_turns_into_nearness_with_unknown_pixels():
    rgb, ids, _ = scene()
    depth = np.full(ids.shape, 65535, np.uint16)
    depth[:, :64] = 0
    window = sample_window(np.random.default_rng(3), rgb, ids.astype(np.uint16), depth, size=64)
    known = window.depth[np.isfinite(window.depth)]
    assert np.isnan(window.depth).any()
    assert (known == 1.0).all()


def test_images_without_objects():
    rgb, ids, depth = scene()
    rng = np.random.default_rng(0)
    window = sample_window(rng, rgb, np.zeros_like(ids), depth, size=32, kind="none")
    assert window.targets.shape == (0, 32, 32)
    assert window.valid.any()
    with pytest.raises(InputError, match="no object of 20 pixels"):
        sample_window(rng, rgb, np.zeros_like(ids), size=32)


def test_objects_that_shrink_to_nothing_are_replaced_or_refused():
    ids = np.zeros((400, 400), np.uint16)
    ids[100:105, 100:105] = 1  # 25 pixels, fewer than 20 when the whole image is shown at 64
    rgb = np.zeros((400, 400, 3), np.uint8)
    for seed in range(20):
        window = sample_window(np.random.default_rng(seed), rgb, ids, size=64)
        assert np.count_nonzero(window.targets[0] == 1) >= 20
    scattered = np.zeros_like(ids)
    scattered[20::80, 20::80] = 1  # 25 lone pixels: hardly one of them is met at 64
    with pytest.raises(InputError, match="draw another image"):
        sample_window(np.random.default_rng(0), rgb, scattered, size=64)


def test_object_that_fills_its_image_is_still_shown():
    rgb, ids = np.zeros((40, 40, 3), np.uint8), np.ones((40, 40), np.uint16)
    window = sample_window(np.random.default_rng(0), rgb, ids, size=32)
    assert (window.targets[0][window.valid] == 1).all()


def test_images_are_chosen_by_their_licence_packed_or_not(collection, tmp_path):
    write_manifest(collection, [row("small"), row("large", size=(200, 100), licence="nc")])
    small = Phase(1.0, 32, 4)
    for phase, cache in ((small, "packed"), (replace(small, size=400), "files")):
        recipe = Recipe(steps=3, phases=(phase,), licences=("permissive",))
        source = real_images(collection, tmp_path / cache, recipe)
        stream = BatchStream(source, None, phases=[phase], steps=3, licences=recipe.licences)
        for step in range(3):
            stream[step]
        assert [image.licence_class for image in stream._pack.images] == ["permissive"]
    with pytest.raises(InputError, match="licence class public domain or mixed; there are nc, permissive"):
        licensed(read_manifest(collection), ("public domain", "mixed"))


def test_scenes_have_surfaces_of_chosen_licences_alone(collection, tmp_path, monkeypatch):
    write_manifest(collection, [row("small"), row("large", size=(200, 100), licence="nc")])
    recipe = Recipe(steps=1, phases=(Phase(1.0, 32, 2),), licences=("permissive",), warmup=1)
    seen = []
    monkeypatch.setattr("napari_ois.training.run.surface_textures", lambda pack: seen.append(len(pack)) or [])
    options = {"data": collection, "cache": tmp_path / "cache", "scenes": 2, "workers": 0}
    train(recipe, tmp_path / "run", **options)
    assert seen == [1] and (tmp_path / "cache" / "scenes-permissive" / "complete").exists()
    assert train(recipe, tmp_path / "run", **options).step == 1
    with pytest.raises(InputError, match="another recipe"):
        train(replace(recipe, licences=()), tmp_path / "run", **options)
