"""What was embedded once is not embedded again, on whatever day; what is broken is; bounds hold."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_ois.errors import InputError
from napari_ois.network import ImageEmbedding
from napari_ois.segmentation.embedding_cache import EmbeddingCache, embedding_bytes
from napari_ois.segmentation.embedding_store import EmbeddingStore, default_folder
from napari_ois.segmentation.predictor import Predictor

CPU = torch.device("cpu")


def embedding(seed: int = 0, dtype: torch.dtype = torch.float32) -> ImageEmbedding:
    torch.manual_seed(seed)
    depth = torch.rand(1, 1, 32, 32)
    skips = tuple(torch.randn(1, 4, side, side).to(dtype) for side in (8, 16))
    surface = 9 * torch.rand(1, 4, 16, 16)
    return ImageEmbedding(torch.randn(1, 8, 8, 8).to(dtype), skips, depth, 3 * depth, torch.rand(1, 64, 8), surface)


def counted(predictor: Predictor) -> list[int]:
    """Counts how often the network embeds."""
    times: list[int] = []
    plain = predictor._runner.network.embed_image

    def embed(*args: Any) -> Any:
        times.append(1)
        return plain(*args)

    predictor._runner.network.embed_image = embed  # type: ignore[method-assign]
    return times


IMAGES = np.random.default_rng(0).integers(0, 255, (3, 80, 100), dtype=np.uint8)


# -- in a predictor -----------------------------------------------------------------------------------


def test_an_image_set_again_is_not_embedded_again() -> None:
    predictor = Predictor(cache=EmbeddingCache(), close_up=False, device="cpu")
    times = counted(predictor)
    first = []
    for image in IMAGES:
        predictor.set_image(image)
        first.append(predictor.predict([(40, 50)], [1]).probability)
    assert len(times) == 3
    twin = predictor.twin()
    for image, before in zip(IMAGES, first, strict=True):
        twin.set_image(image)
        np.testing.assert_array_equal(twin.predict([(40, 50)], [1]).probability, before)
    assert len(times) == 3


def test_slices_that_differ_in_one_place_only_are_two_images() -> None:
    """A sample of their pixels would take them for one."""
    predictor = Predictor(cache=EmbeddingCache(), close_up=False, device="cpu")
    times = counted(predictor)
    image = np.zeros((3000, 3000), np.uint8)
    image[0, 0] = 255
    predictor.set_image(image)
    image = image.copy()
    image[1501:1530, 1501:1530] = 255
    predictor.set_image(image)
    assert len(times) == 2


def test_another_day_it_is_read_from_the_disk_and_answers_the_same(tmp_path: Path) -> None:
    answers, calls = [], []
    for _ in range(2):
        predictor = Predictor(cache=tmp_path, device="cpu")
        calls.append(counted(predictor))
        predictor.set_image(IMAGES[0])
        answers.append(predictor.predict([(40, 50)], [1]))
    assert calls[0] and not calls[1]
    np.testing.assert_array_equal(answers[0].probability, answers[1].probability)
    np.testing.assert_array_equal(answers[0].depth, answers[1].depth)
    plain = Predictor(device="cpu")
    plain.set_image(IMAGES[0])
    exact = plain.predict([(40, 50)], [1])
    np.testing.assert_allclose(answers[0].probability, exact.probability, atol=0.02)  # half precision


def test_a_given_depth_is_another_embedding(tmp_path: Path) -> None:
    predictor = Predictor(cache=tmp_path, close_up=False, device="cpu")
    times = counted(predictor)
    predictor.set_image(IMAGES[0])
    predictor.set_image(IMAGES[0], depth=IMAGES[1])
    assert len(times) == 2


def test_a_cache_needs_to_know_the_weights(tiny_network: Any) -> None:
    predictor = Predictor.from_network(tiny_network(), input_size=64, multiple=32, device="cpu")
    with pytest.raises(InputError, match="loaded by its name"):
        predictor.keep_embeddings(EmbeddingCache())


# -- in memory ----------------------------------------------------------------------------------------


def test_memory_has_a_bound_and_the_least_used_goes_first() -> None:
    one = embedding_bytes(embedding())
    cache = EmbeddingCache(memory=3 * one)
    for name in "abc":
        cache.put(name, embedding())
    assert cache.get("a", CPU) is not None
    cache.put("d", embedding())
    assert cache.get("b", CPU) is None
    assert all(cache.get(name, CPU) is not None for name in "acd")
    assert cache.used <= 3 * one
    assert (cache.hits, cache.misses) == (4, 1)


# -- on disk ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_it_comes_back_as_it_was_rounded(tmp_path: Path, dtype: torch.dtype) -> None:
    store = EmbeddingStore(tmp_path)
    rounded = store.rounded(embedding(dtype=dtype))
    store.write("key", rounded)
    back = store.read("key")
    assert back is not None and back.features.dtype == dtype
    torch.testing.assert_close(back.features, rounded.features, rtol=0, atol=0)
    for one, other in zip(back.skips, rounded.skips, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    torch.testing.assert_close(back.depth, embedding().depth, rtol=0, atol=0)
    torch.testing.assert_close(back.position, embedding().position, rtol=0, atol=0)
    torch.testing.assert_close(back.surface, embedding().surface, rtol=0, atol=0)


def test_what_half_precision_cannot_hold_is_kept_in_full(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path)
    large = embedding()
    large.features[0, 0, 0, 0] = 1e6
    store.write("key", store.rounded(large))
    back = store.read("key")
    assert back is not None
    torch.testing.assert_close(back.features, large.features, rtol=0, atol=0)


@pytest.mark.parametrize("damage", ["cut", "changed", "lost", "strange"])
def test_a_damaged_embedding_is_deleted_and_said(tmp_path: Path, damage: str, caplog: Any) -> None:
    store = EmbeddingStore(tmp_path)
    store.write("key", embedding())
    chunk = next(path for path in (tmp_path / "key" / "features").rglob("*") if path.is_file() and path.name == "0")
    if damage == "cut":
        chunk.write_bytes(chunk.read_bytes()[:20])
    elif damage == "changed":
        data = bytearray(chunk.read_bytes())
        data[len(data) // 2] ^= 255
        chunk.write_bytes(bytes(data))
    elif damage == "lost":
        chunk.unlink()  # zarr reads it as zeros
    else:
        (tmp_path / "key" / "zarr.json").write_text("{}")
    assert store.read("key") is None
    assert "made again" in caplog.text
    assert "key" not in store and not (tmp_path / "key").exists()
    store.write("key", embedding())
    assert store.read("key") is not None


def test_the_folder_has_a_bound_and_the_least_used_goes_first(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path)
    store.write("a", embedding(0))
    size = store.used
    store = EmbeddingStore(tmp_path, limit=int(2.5 * size))
    store.write("b", embedding(1))
    for age, name in enumerate("ba"):  # b was used before a
        os.utime(tmp_path / name / "zarr.json", (1_000 + age, 1_000 + age))
    store.write("c", embedding(2))
    assert "b" not in store and "a" in store and "c" in store
    assert store.used <= 2.5 * size
    assert store.read("a") is not None  # used now, so c is the older one
    os.utime(tmp_path / "c" / "zarr.json", (2_000, 2_000))
    store.write("d", embedding(3))
    assert "c" not in store and "a" in store


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path)
    store.write("key", embedding())
    store.write("key", embedding(1))
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path, caplog: Any) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    predictor = Predictor(cache=blocked / "inside", device="cpu")
    predictor.set_image(IMAGES[0])
    assert "cannot be kept" in caplog.text
    assert predictor.predict([(40, 50)], [1]).mask.shape == IMAGES[0].shape


def test_the_folder_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert default_folder().name == "embeddings"
    monkeypatch.setenv("NAPARI_OIS_CACHE", str(tmp_path))
    assert default_folder() == tmp_path
