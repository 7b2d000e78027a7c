"""One rule: one picture that shows what was clicked, what came out and which order guided it.

Panels from left to right: the image with the mask's contour and the clicks, the depth (bright =
near), the order map of the positive clicks and of the first negative clicks (dark = at the depth of
the click).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage.segmentation import find_boundaries

from napari_ois.segmentation.image import resize
from napari_ois.segmentation.prediction import Prediction

PANEL_SIDE = 512
"""Longest side of one panel in pixels."""
MAX_NEGATIVE_PANELS = 4
"""Further negative clicks have no panel, but they have their files."""

_GAP, _CAPTION, _MIN_SIDE = 8, 22, 120
_POSITIVE, _NEGATIVE, _CONTOUR = (46, 204, 64), (255, 65, 54), (255, 220, 0)
# Dark blue over teal to pale yellow: lightness grows all the way, so it reads in grey too.
_RAMP = np.array(
    [(18, 12, 60), (40, 64, 132), (24, 126, 142), (70, 180, 110), (190, 216, 70), (253, 244, 190)],
    dtype=np.float32,
)


def colour_ramp(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Colour (H, W) values in [0, 1] as (H, W, 3) uint8, dark to bright; those that are not known, brightest."""
    values = np.nan_to_num(values, nan=1.0)
    at = np.linspace(0.0, 1.0, len(_RAMP))
    return np.stack([np.interp(values, at, channel) for channel in _RAMP.T], axis=-1).astype(np.uint8)


def draw_overview(plane: NDArray[np.float32], prediction: Prediction) -> NDArray[np.uint8]:
    """Draw the panels.

    Parameters
    ----------
    plane : (H, W, 3) float32 in [0, 1]
        The image where the prediction lies, as :func:`napari_ois.segmentation.results.plane_under` gives it.
    prediction : Prediction

    Returns
    -------
    (h, w, 3) uint8
    """
    shape = _panel_shape(prediction.mask.shape)
    panels = [("image, mask and clicks", _draw_image(plane, prediction, shape))]
    maps = [("depth, bright = near", prediction.depth)]
    maps.append(("order, positive clicks", prediction.positive_order_map))
    for number, negative in enumerate(prediction.negative_order_maps[:MAX_NEGATIVE_PANELS], start=1):
        maps.append((f"order, negative click {number}", negative))
    panels += [(title, Image.fromarray(colour_ramp(resize(values, shape)))) for title, values in maps]

    width = max(shape[1], 10 * _GAP + _MIN_SIDE)  # wide enough for its caption
    sheet = Image.new("RGB", (_GAP + len(panels) * (width + _GAP), shape[0] + _CAPTION + 2 * _GAP), (24, 24, 28))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=13)
    for index, (title, panel) in enumerate(panels):
        left = _GAP + index * (width + _GAP)
        draw.text((left, _GAP // 2), title, fill=(235, 235, 235), font=font)
        sheet.paste(panel, (left, _CAPTION + _GAP // 2))
    return np.asarray(sheet)


def _panel_shape(image_shape: tuple[int, ...]) -> tuple[int, int]:
    scale = PANEL_SIDE / max(image_shape)
    rows, columns = (max(1, round(side * scale)) for side in image_shape[:2])
    return rows, columns


def _draw_image(plane: NDArray[np.float32], prediction: Prediction, shape: tuple[int, int]) -> Image.Image:
    pixels = (resize(plane, shape).clip(0.0, 1.0) * 255).astype(np.uint8)
    mask = resize(prediction.mask, shape) > 0.5
    pixels[mask] = (0.65 * pixels[mask] + 0.35 * np.array(_CONTOUR)).astype(np.uint8)
    pixels[find_boundaries(mask, mode="inner")] = _CONTOUR
    panel = Image.fromarray(pixels)
    draw = ImageDraw.Draw(panel)
    scale = np.asarray(shape) / np.asarray(prediction.mask.shape)
    for (row, column), label in zip(prediction.local_points, prediction.labels, strict=True):
        y, x = (np.array([row, column]) + 0.5) * scale - 0.5
        colour = _POSITIVE if label == 1 else _NEGATIVE
        draw.ellipse((x - 6, y - 6, x + 6, y + 6), fill=colour, outline=(255, 255, 255), width=2)
    return panel
