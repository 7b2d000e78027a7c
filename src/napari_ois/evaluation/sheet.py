"""Rule: the worst and the median objects are looked at, not only counted.

Masks are not kept during a run; the few objects on the sheet are clicked again with the clicks that the
run wrote down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage.segmentation import find_boundaries

from napari_ois.evaluation.metrics import IGNORE
from napari_ois.evaluation.run import ClickPredictor, ObjectResult, whole_mask
from napari_ois.evaluation.samples import Collection, EvalImage
from napari_ois.segmentation.colour import to_plane
from napari_ois.segmentation.image import resize

_SIDE, _GAP, _CAPTION = 260, 8, 34
_TRUTH, _MASK, _POSITIVE, _NEGATIVE = (0, 200, 255), (255, 220, 0), (46, 204, 64), (255, 65, 54)
_MARGIN = 0.6
"""A tile shows the object's box and so much of its size around it: small objects are to be seen."""


def choose(results: Sequence[ObjectResult], *, clicks: int, count: int) -> list[tuple[str, ObjectResult]]:
    """Pick the `count` worst objects and the `count` about the median, by IoU after `clicks` clicks.

    Returns
    -------
    list of ("worst" or "median", result)
        Worst first; no object twice.
    """
    ordered = sorted(results, key=lambda result: result.ious[min(clicks, len(result.ious)) - 1])
    worst = ordered[:count]
    middle = max(len(worst), (len(ordered) - count) // 2)
    return [*(("worst", r) for r in worst), *(("median", r) for r in ordered[middle : middle + count])]


def draw_sheet(
    predictor: ClickPredictor,
    collection: Collection,
    results: Sequence[ObjectResult],
    *,
    clicks: int = 3,
    count: int = 6,
    measured_depth: bool = False,
) -> Image.Image:
    """Draw a contact sheet: truth in blue, mask in yellow, positive clicks green, negative ones red.

    Parameters
    ----------
    predictor : ClickPredictor
        The method whose results they are.
    collection : Collection
        Where the objects come from.
    results : sequence of ObjectResult
    clicks : int
        The mask shown is the one after so many clicks.
    count : int
        So many worst objects, and as many median ones.
    measured_depth : bool
        As in the run.

    Returns
    -------
    PIL image, RGB
    """
    tiles = []
    places = {(e.set, e.image): index for index in range(len(collection)) for e in collection.entries_of(index)}
    for kind, result in choose(results, clicks=clicks, count=count):
        sample = collection.read(places[result.set, result.image], [(result.set, result.object)])
        predictor.set_image(sample.image, depth=sample.depth if measured_depth else None)
        mask = replay(predictor, result.points[:clicks], (sample.image.shape[0], sample.image.shape[1]))
        iou = result.ious[min(clicks, len(result.ious)) - 1]
        caption = f"{kind}: {result.set} {result.object}\nIoU {iou:.2f} after {min(clicks, result.clicks)} clicks"
        tiles.append((_tile(sample, mask, result.points[:clicks]), caption))
    return _arrange(tiles, count)


def replay(
    predictor: ClickPredictor, points: Sequence[tuple[int, int, int]], shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Make the clicks one after the other, as the run did; the image, of this shape, must be set."""
    answer: Any = None
    for number in range(1, len(points) + 1):
        given = np.array(points[:number])
        answer = predictor.predict(
            given[:, :2].astype(np.float32), given[:, 2], previous=None if answer is None else answer.state
        )
    return whole_mask(answer, shape)


def _tile(sample: EvalImage, mask: NDArray[np.bool_], points: Sequence[tuple[int, int, int]]) -> Image.Image:
    target = sample.objects[0].target
    rows, columns = np.nonzero((target == 1) | mask)
    wanted = _MARGIN * max(np.ptp(rows), np.ptp(columns)) / 2 + 8
    top, bottom = int(max(rows.min() - wanted, 0)), int(min(rows.max() + wanted + 1, mask.shape[0]))
    left, right = int(max(columns.min() - wanted, 0)), int(min(columns.max() + wanted + 1, mask.shape[1]))
    box = np.s_[top:bottom, left:right]
    scale = _SIDE / max(bottom - top, right - left)
    shape = (max(1, round((bottom - top) * scale)), max(1, round((right - left) * scale)))
    pixels = (resize(to_plane(sample.image)[box], shape).clip(0, 1) * 255).astype(np.uint8)
    pixels[resize(target[box] == IGNORE, shape) > 0.5] //= 2
    for region, colour in ((target[box] == 1, _TRUTH), (mask[box], _MASK)):
        # Two pixels wide, and the truth inside of its border, so that the two do not hide each other.
        mode = "inner" if colour == _TRUTH else "outer"
        pixels[find_boundaries(resize(region, shape) > 0.5, mode=mode)] = colour
    tile = Image.fromarray(pixels)
    draw = ImageDraw.Draw(tile)
    for number, (row, column, label) in enumerate(points, start=1):
        y, x = (row + 0.5 - top) * scale - 0.5, (column + 0.5 - left) * scale - 0.5
        draw.ellipse((x - 5, y - 5, x + 5, y + 5), fill=_POSITIVE if label else _NEGATIVE, outline=(255, 255, 255))
        draw.text((x + 6, y - 6), str(number), fill=(255, 255, 255))
    return tile


def _arrange(tiles: Sequence[tuple[Image.Image, str]], columns: int) -> Image.Image:
    rows = -(-len(tiles) // columns)
    across = min(columns, len(tiles))
    size = (_GAP + across * (_SIDE + _GAP), _GAP + rows * (_SIDE + _CAPTION + _GAP))
    sheet = Image.new("RGB", size, (24, 24, 28))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=12)
    for index, (tile, caption) in enumerate(tiles):
        left = _GAP + (index % columns) * (_SIDE + _GAP)
        top = _GAP + (index // columns) * (_SIDE + _CAPTION + _GAP)
        sheet.paste(tile, (left, top + _CAPTION))
        draw.text((left, top), caption, fill=(235, 235, 235), font=font)
    return sheet
