"""A stack is embedded once; the second run and the viewer's predictor find it there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from napari_ois.cli import main
from napari_ois.segmentation.predictor import Predictor

STACK = np.random.default_rng(0).integers(0, 255, (3, 40, 50), dtype=np.uint8)


def run(*arguments: str) -> str:
    done = CliRunner().invoke(main, ["precompute", *arguments, "--device", "cpu"])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("kind", ["tif", "zarr"])
def test_every_plane_is_embedded_once(tmp_path: Path, kind: str) -> None:
    image, kept = tmp_path / f"stack.{kind}", tmp_path / "kept"
    if kind == "tif":
        tifffile.imwrite(image, STACK, photometric="minisblack")
    else:
        import zarr

        zarr.create_array(image, data=STACK)
    assert "3 planes: 3 embedded, 0 were there." in run(str(image), "--folder", str(kept))
    assert "3 planes: 0 embedded, 3 were there." in run(str(image), "--folder", str(kept))
    predictor = Predictor(device="cpu", cache=kept)
    predictor._runner.network.embed_image = None  # nothing is computed
    predictor.set_image(STACK[1])


def test_a_folder_that_cannot_be_written_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, taken = tmp_path / "stack.tif", tmp_path / "file"
    tifffile.imwrite(image, STACK[:1], photometric="minisblack")
    taken.touch()
    done = CliRunner().invoke(main, ["precompute", str(image), "--folder", str(taken), "--device", "cpu"])
    assert done.exit_code == 2 and "is a file" in done.output

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zarr.open_group", full)
    done = CliRunner().invoke(main, ["precompute", str(image), "--folder", str(tmp_path / "kept"), "--device", "cpu"])
    assert done.exit_code == 2 and "Not every plane could be kept" in done.output


def test_colour_is_not_a_stack(tmp_path: Path) -> None:
    image = tmp_path / "image.npy"
    np.save(image, np.moveaxis(STACK, 0, -1))
    assert "1 planes: 1 embedded" in run(str(image), "--folder", str(tmp_path / "kept"))


def test_a_folder_without_an_image_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["precompute", str(tmp_path)])
    assert done.exit_code == 2
    assert "without a zarr array" in done.output
