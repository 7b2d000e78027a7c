"""Time clicks on images of growing size, and take the memory that they need.

Each image is a zarr array on disk, uint8, in chunks of 1,024 pixels: a textured background and ellipses of several
sizes, the same ones in every image. Each object gets three clicks: in its middle, towards its end, and a negative one
beside it; mask, depth and order maps of each answer are read. All images are clicked in turns in one process; times are
of the processor (one thread), so that what else runs on the machine does not count, and ratios are to the first
image. Peak memory is that of a process of its own for each image, which embeds it and makes all clicks.

    python benchmarks/large_images.py --sizes 2000 5000 10000 20000 40000
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

CHUNK = 1024
RADII = (15, 40, 100, 250, 500)
"""Of the objects in every image, in pixels."""
LARGE_RADII = (1_500, 4_000)
"""Of further objects, in images ten times as wide; their clicks are reported apart."""


def main() -> int:
    """Make the images, start a process for the memory of each, click on all in turns, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", nargs="*", type=int, default=[2_000, 5_000, 10_000, 20_000, 40_000])
    parser.add_argument("--model", default="ois-compact")
    parser.add_argument("--rounds", type=int, default=2, help="objects of each size in each image that are clicked")
    parser.add_argument("--folder", type=Path, help="where the images are made; default: a folder that is deleted")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(_alone(Path(options.only), options.model)))
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        places = {side: make_image(folder / f"{side}.zarr", side, options.rounds) for side in options.sizes}
        alone = {side: _child(folder / f"{side}.zarr", options.model) for side in options.sizes}
        clicks = _in_turns(folder, places, options.model)
    base = clicks[options.sizes[0]]
    print(
        f"{'side':>8}{'set_image s':>13}{'first click':>13}{'next click':>12}{'all clicks':>12}{'peak MB':>9}{'IoU':>7}"
    )
    for side in options.sizes:
        mine = clicks[side]
        ratios = [statistics.median(mine[kind]) / statistics.median(base[kind]) for kind in ("first", "next")]
        ratios.append(statistics.mean(mine["all"]) / statistics.mean(base["all"]))
        cells = "".join(f"{ratio:>{width}.2f}" for ratio, width in zip(ratios, (13, 12, 12), strict=True))
        iou = statistics.mean(mine["iou"])
        print(f"{side:>8}{alone[side]['set_image']:>13.2f}{cells}{alone[side]['peak']:>9.0f}{iou:>7.2f}")
    own = [1000 * statistics.median(base[kind]) for kind in ("first", "next")] + [1000 * statistics.mean(base["all"])]
    print("Clicks are ratios to the first line, which is {:.0f}, {:.0f} (medians) and {:.0f} ms (mean).".format(*own))
    for side in options.sizes:
        for radius, iou, seconds in clicks[side]["large"]:
            print(f"{side}: object of radius {radius}: IoU {iou:.2f} after 3 clicks, first click {seconds:.2f} s")
    return 0


def make_image(path: Path, side: int, rounds: int) -> list[tuple[int, int, int]]:
    """Write an image; gives row, column and radius of each object (an ellipse, 0.7 as high as wide)."""
    import zarr

    record = path.with_suffix(".json")
    if record.exists():
        return [tuple(place) for place in json.loads(record.read_text())]  # type: ignore[misc]
    rng = np.random.default_rng(side)
    small = rng.normal(60, 12, (CHUNK // 8, CHUNK // 8))
    texture = np.kron(small, np.ones((8, 8))).clip(0, 255).astype(np.uint8)
    image = zarr.create_array(path, shape=(side, side), chunks=(CHUNK, CHUNK), dtype="uint8")
    for top in range(0, side, CHUNK):
        for left in range(0, side, CHUNK):
            part = texture[: min(CHUNK, side - top), : min(CHUNK, side - left)]
            image[top : top + CHUNK, left : left + CHUNK] = part
    wanted = [radius for _ in range(rounds) for radius in RADII]
    wanted += [radius for radius in LARGE_RADII if side >= 5 * radius * 2]
    places: list[tuple[int, int, int]] = []
    for radius in sorted(wanted, reverse=True):
        for _ in range(10_000):
            row, column = (int(at) for at in rng.integers(radius + 1, side - radius - 1, 2))
            if all(np.hypot(row - r, column - c) > 1.05 * (radius + other) for r, c, other in places):
                break
        else:
            continue  # no room for it in a small image
        places.append((row, column, radius))
        box = slice(row - radius, row + radius + 1), slice(column - radius, column + radius + 1)
        part = image[box]
        part[_ellipse(radius)] = np.minimum(part[_ellipse(radius)], 100) + 110
        image[box] = part
    places.sort(key=lambda place: place[2])
    record.write_text(json.dumps(places))
    return places


def _ellipse(radius: int) -> np.ndarray:
    rows, columns = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return (rows / 0.7) ** 2 + columns**2 <= radius**2


def _clicks(place: tuple[int, int, int], side: int) -> tuple[list[tuple[float, float]], list[int]]:
    row, column, radius = place
    beside = min(side - 1.0, row + 0.9 * radius)
    return [(row, column), (row, column + 0.6 * radius), (beside, column + 0.3 * radius)], [1, 1, 0]


def _click_on(predictor: Any, place: tuple[int, int, int]) -> tuple[list[float], float]:
    """Seconds of the processor for each click, and the IoU after the last."""
    points, labels = _clicks(place, predictor.image_shape[0])
    state, seconds = None, []
    for count in range(1, len(points) + 1):
        begin = time.process_time()
        answer = predictor.predict(points[:count], labels[:count], previous=state)
        answer.positive_order_map, answer.negative_order_maps, answer.depth  # noqa: B018 - made when read
        seconds.append(time.process_time() - begin)
        state = answer.state
    return seconds, _iou(answer, place)


def _iou(answer: Any, place: tuple[int, int, int]) -> float:
    """Overlap with the object, in cells of the answer's frame; what of the object lies outside of that is missed."""
    frame = answer.frame
    rows = frame.view.top + (np.arange(frame.shape[0]) + 0.5) * frame.cell[0] - 0.5
    columns = frame.view.left + (np.arange(frame.shape[1]) + 0.5) * frame.cell[1] - 0.5
    true = ((rows[:, None] - place[0]) / 0.7) ** 2 + (columns[None] - place[1]) ** 2 <= place[2] ** 2
    whole = 0.7 * np.pi * place[2] ** 2 / (frame.cell[0] * frame.cell[1])
    both = (answer.mask & true).sum()
    return float(both / (answer.mask.sum() + max(whole, true.sum()) - both))


def _in_turns(folder: Path, places: dict[int, list[tuple[int, int, int]]], model: str) -> dict[int, Any]:
    import torch
    import zarr

    from napari_ois import Predictor

    torch.set_num_threads(1)
    first = Predictor(model)
    predictors = {}
    for side in places:
        predictors[side] = first.twin()
        predictors[side].set_image(zarr.open_array(folder / f"{side}.zarr", mode="r"))
        _click_on(predictors[side], places[side][0])  # warm
    found: dict[int, Any] = {side: {"first": [], "next": [], "all": [], "iou": [], "large": []} for side in places}
    for turn in range(max(len(each) for each in places.values())):
        for side, predictor in predictors.items():
            if turn >= len(places[side]):
                continue
            predictor._scene._close_ups.clear()  # as on an object far from all before
            seconds, iou = _click_on(predictor, places[side][turn])
            if places[side][turn][2] in LARGE_RADII:
                found[side]["large"].append((places[side][turn][2], iou, seconds[0]))
                continue
            found[side]["first"].append(seconds[0])
            found[side]["next"] += seconds[1:]
            found[side]["all"] += seconds
            found[side]["iou"].append(iou)
    return found


def _child(path: Path, model: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--only", str(path), "--model", model]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _alone(path: Path, model: str) -> dict[str, float]:
    import torch
    import zarr

    from napari_ois import Predictor

    torch.set_num_threads(1)
    predictor = Predictor(model)
    begin = time.process_time()
    predictor.set_image(zarr.open_array(path, mode="r"))
    seconds = time.process_time() - begin
    for place in json.loads(path.with_suffix(".json").read_text()):
        _click_on(predictor, tuple(place))
    return {"set_image": seconds, "peak": _peak()}


def _peak() -> float:
    """Most memory of this process in MB; on Linux, ru_maxrss would have the parent's in it."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    scale = 1 / 1024 if sys.platform != "darwin" else 1 / 1024**2  # kilobytes, on a Mac bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


if __name__ == "__main__":
    sys.exit(main())
