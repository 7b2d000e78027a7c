"""Preparing data once, and going on with what is there."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from napari_ois.errors import InputError
from napari_ois.training import run
from napari_ois.training.batches import BatchStream, Phase
from napari_ois.training.packing import load_pack
from napari_ois.training.recipe import Recipe
from napari_ois.training.run import made_scenes, packed_images, surface_textures, train
from napari_ois.training.scenes import load_cache, write_cache

TINY = Recipe(steps=2, phases=(Phase(1.0, 64, 2),), warmup=1)


def test_scenes_are_made_once_and_made_anew_when_another_number_is_asked_for(tmp_path):
    folder = made_scenes(tmp_path / "scenes", 2, (), workers=1)
    first = np.array(load_cache(folder).rgb)
    (folder / "rgb.npy").touch()
    stamp = (folder / "rgb.npy").stat().st_mtime_ns
    made_scenes(folder, 2, (), workers=1)
    assert (folder / "rgb.npy").stat().st_mtime_ns == stamp
    made_scenes(folder, 3, (), workers=1)
    again = load_cache(folder)
    assert len(again) == 3
    np.testing.assert_array_equal(again.rgb[:2], first)


def test_scenes_left_half_made_are_made_again(tmp_path):
    folder = made_scenes(tmp_path / "scenes", 2, (), workers=1)
    (folder / "complete").unlink()
    load_cache(folder, writable=True).rgb[:] = 0
    made_scenes(folder, 2, (), workers=1)
    assert load_cache(folder).rgb.any()


def test_more_scenes_that_were_stopped_half_way_are_made_again(tmp_path, monkeypatch):
    folder = made_scenes(tmp_path / "scenes", 2, (), workers=1)

    def stopped(path, count, **options):
        write_cache(path, 1, **{**options, "workers": 1})
        for name in ("rgb", "ids", "depth", "kind"):
            found = np.load(path / f"{name}.npy")
            np.save(path / f"{name}.npy", np.concatenate([found, np.zeros((count - 1, *found.shape[1:]), found.dtype)]))
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "write_cache", stopped)
    with pytest.raises(KeyboardInterrupt):
        made_scenes(folder, 3, (), workers=1)
    monkeypatch.undo()
    made_scenes(folder, 3, (), workers=1)
    assert all(load_cache(folder).rgb[i].any() for i in range(3))


def test_images_whose_objects_vanish_at_the_size_of_training_are_refused_beforehand(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    spots = np.zeros((1200, 1200), np.uint8)
    for number, (row, column) in enumerate(np.ndindex(5, 5), start=1):
        spots[100 + 200 * row : 108 + 200 * row, 100 + 200 * column : 108 + 200 * column] = number
    Image.fromarray(spots).save(tmp_path / "images" / "a.png")
    Image.fromarray(spots).save(tmp_path / "masks" / "a.png")
    with pytest.raises(InputError, match=r"of 20 pixels or more when it is shrunk to 96 pixels; cut the images"):
        run.real_images(tmp_path, tmp_path / "cache", TINY)


def test_scenes_with_other_surfaces_are_refused_but_not_those_of_which_nobody_knows(tmp_path):
    one, other = ([np.full((40, 40, 3), value, np.uint8)] for value in (7, 9))
    folder = made_scenes(tmp_path / "scenes", 2, one, workers=1)
    assert made_scenes(folder, 2, one, workers=1) == folder
    for textures, count in ((other, 2), ((), 3)):
        with pytest.raises(InputError, match="other photographs; name another cache"):
            made_scenes(folder, count, textures, workers=1)
    assert len(load_cache(folder)) == 2
    (folder / "complete").write_text("")  # as versions before wrote it
    assert made_scenes(folder, 2, other, workers=1) == folder


def test_a_pack_of_another_collection_is_refused(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (40, 30)).save(tmp_path / name / "a.png")
        (tmp_path / name / "MANIFEST.csv").write_text(
            "set,image,mask,depth,depth_kind,width,height,kind,union_ok,licence_class\n"
            "a,a.png,,,,40,30,none,0,permissive\n"
        )
    cache = tmp_path / "cache"
    assert packed_images(tmp_path / "one", cache) == packed_images(tmp_path / "one", cache) == cache
    with pytest.raises(InputError, match="another collection"):
        packed_images(tmp_path / "two", cache)
    with (tmp_path / "one" / "MANIFEST.csv").open("a") as stream:
        stream.write("b,a.png,,,,40,30,none,0,permissive\n")
    with pytest.raises(InputError, match="another state of"):
        packed_images(tmp_path / "one", cache)
    index = json.loads((cache / "index.json").read_text())
    del index["source"]
    (cache / "index.json").write_text(json.dumps(index))
    assert packed_images(tmp_path / "two", cache) == cache  # nobody knows


def test_windows_inside_the_picture_are_cut_from_sharper_images_which_have_a_place_of_their_own(tmp_path):
    Image.new("RGB", (900, 300)).save(tmp_path / "a.png")
    (tmp_path / "MANIFEST.csv").write_text(
        "set,image,mask,depth,depth_kind,width,height,kind,union_ok,licence_class\na,a.png,,,,900,300,none,0,permissive\n"
    )
    plain = run.real_images(tmp_path, tmp_path / "cache" / "real", TINY)
    sharp = run.real_images(tmp_path, tmp_path / "cache" / "real", replace(TINY, aspects=(1.0, 1.5)))
    assert [load_pack(folder).images[0].width for folder in (plain, sharp)] == [320, 640]
    assert plain == run.real_images(tmp_path, tmp_path / "cache" / "real", TINY) != sharp


def test_training_needs_something_to_learn_from(tmp_path):
    with pytest.raises(InputError, match="Nothing to learn from"):
        train(TINY, tmp_path, scenes=0)


def test_a_finished_training_is_left_alone(tmp_path):
    first = train(TINY, tmp_path / "run", scenes=3, workers=0)
    assert first.step == 2
    weights = first.checkpoint.read_bytes()
    second = train(TINY, tmp_path / "run", scenes=3, workers=0)
    assert second.step == 2
    state = second.averaged().state_dict()
    assert all((state[k] == v).all() for k, v in first.averaged().state_dict().items())
    assert second.checkpoint.read_bytes() == weights


def test_another_recipe_in_the_same_folder_is_refused(tmp_path):
    train(TINY, tmp_path / "run", scenes=3, workers=0)
    other = Recipe(steps=3, phases=(Phase(1.0, 64, 2),), warmup=1)
    with pytest.raises(InputError, match="another recipe"):
        train(other, tmp_path / "run", scenes=3, workers=0)


def test_textures_are_square_pieces_of_photographs_only():
    class Images:
        def __init__(self) -> None:
            self.images = [type("Entry", (), {"set": name})() for name in ("bsds500", "busi")]

        def image(self, index):
            if self.images[index].set == "busi":
                raise AssertionError("ultrasound is no surface")
            return np.full((50, 200, 3), 7, np.uint8), None, None

    pieces = surface_textures(Images())
    assert len(pieces) == 240
    assert {piece.shape for piece in pieces} == {(50, 50, 3)}


def test_a_batch_has_one_shape_and_narrow_windows_are_more(tmp_path):
    folder = made_scenes(tmp_path / "scenes", 3, (), workers=1)
    phase = Phase(1.0, 96, 4)
    stream = BatchStream(None, folder, phases=[phase], steps=40, aspects=(1.5, 2 / 3, 1.0), seed=3)
    shapes = {tuple(stream[step].rgb.shape) for step in range(12)}
    assert shapes == {(6, 3, 64, 96), (6, 3, 96, 64), (4, 3, 96, 96)}
    again = BatchStream(None, folder, phases=[phase], steps=40, aspects=(1.5, 2 / 3, 1.0), seed=3)
    assert (again[7].rgb == stream[7].rgb).all() and (again[7].targets == stream[7].targets).all()
    assert phase.frame(0, 1.0) == ((96, 96), 4)
    square = BatchStream(None, folder, phases=[phase], steps=40, seed=3)
    assert square[0].rgb.shape == (4, 3, 96, 96)
