"""Microscopy and medical scenes: many soft, similar objects in grey or in a few colours.

Depth is the stacking order where objects can lie on each other, and flat where the picture is a section.
"""

from __future__ import annotations

import cv2
import numpy as np

from napari_ois.training.scene_canvas import Canvas, finish_colours
from napari_ois.training.scene_shapes import fill, outline
from napari_ois.training.scene_textures import (
    FAMILIES,
    PATTERN_COUNT,
    noise_field,
    octaves,
    patterns,
    random_colour,
)

Picture = tuple[np.ndarray, np.ndarray, np.ndarray]
_NATURAL = (0, 1, 0, 1, 6, 8, 9, 10)  # pattern families without man-made regularity


def _grain(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return a piece of a stored pattern, (height, width) float32 in [0, 1], magnified at random."""
    family = _NATURAL[int(rng.integers(len(_NATURAL)))]
    source = patterns()[family + FAMILIES * int(rng.integers(PATTERN_COUNT // FAMILIES))]
    limit = source.shape[0]
    scale = rng.uniform(0.3, 1.0)
    tall, wide = (int(np.clip(side * scale, 1, limit)) for side in (height, width))
    top, left = rng.integers(0, limit - tall + 1), rng.integers(0, limit - wide + 1)
    piece = cv2.resize(source[top : top + tall, left : left + wide], (width, height))
    return piece.astype(np.float32) / 255


def _cell(rng: np.random.Generator, height: int, width: int, bumps: float) -> np.ndarray:
    """Return the coverage of one turned cell, float32 (h, w) in [0, 1]."""
    turn = rng.uniform(0, np.pi)
    points = outline(rng, bumps, 32) * np.array([height, width]) / 2
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    points = points @ matrix
    points -= points.min(axis=0) - 2
    box = np.ceil(points.max(axis=0)).astype(int) + 3
    mask = np.zeros(box, np.uint8)
    fill(mask, points)
    return mask.astype(np.float32) / 255


def _places(rng: np.random.Generator, size: int, radius: float, count: int, apart: float) -> list[tuple[float, float]]:
    """Return centres (row, column), clustered in part, at least `apart` radii from each other."""
    centres: list[tuple[float, float]] = []
    clustered = rng.random() < 0.5
    for _ in range(3 * count):
        if clustered and centres and rng.random() < 0.6:
            base = centres[int(rng.integers(len(centres)))]
            spot = np.array(base) + rng.normal(0, 1.8 * radius, 2)
        else:
            spot = rng.uniform(0, size, 2)
        near = any(np.hypot(spot[0] - r, spot[1] - c) < apart * radius for r, c in centres)
        if not near and -radius < spot.min() and spot.max() < size + radius:
            centres.append((float(spot[0]), float(spot[1])))
        if len(centres) == count:
            break
    return centres


def _population(rng: np.random.Generator, size: int) -> tuple[float, int]:
    """Return (radius in pixels, number) of cells; few large ones or many small ones."""
    radius = np.exp(rng.uniform(np.log(0.032), np.log(0.25)))
    most = int(np.clip(0.9 / (np.pi * radius**2), 2, 90))
    return float(radius * size), int(rng.integers(max(most // 8, 1), most + 1))


def _stack_depth(number: int, count: int) -> float:
    return 0.15 + 0.8 * number / max(count, 1)


def _fluorescence(rng: np.random.Generator, size: int) -> Picture:
    radius, count = _population(rng, size)
    dark = rng.uniform(0.0, 0.12)
    glow = dark * noise_field(rng, (size, size), 3)
    canvas = Canvas(np.repeat(glow[..., None], 3, axis=2), np.zeros((size, size), np.float32))
    hue = np.ones(3) if rng.random() < 0.4 else np.eye(3)[rng.integers(3)] * 0.85 + 0.15 * rng.random(3)
    second = random_colour(rng)
    nuclei, see_through = rng.random() < 0.35, rng.random() < 0.4
    bumps, spread, rim = rng.uniform(0.03, 0.45), rng.uniform(0.05, 0.5), rng.uniform(-0.6, 0.8)
    centres = _places(rng, size, radius, count, rng.uniform(0.7, 2.1))
    for number, (row, column) in enumerate(centres, 1):
        scale = np.exp(rng.normal(0, spread, 2) * 0.6)
        alpha = _cell(rng, *np.maximum(2 * radius * scale, 5), bumps)
        height, width = alpha.shape
        bright = rng.uniform(0.25, 1.0) * (1 - rng.uniform(0, 0.5) * _grain(rng, height, width))
        dome = cv2.GaussianBlur(alpha, (0, 0), max(0.25 * radius, 0.8))
        bright = bright * np.clip(1 + rim * (dome - 0.75), 0.15, 1.5)
        rgb = (bright[..., None] * hue).astype(np.float32)
        if nuclei:
            core = cv2.resize(alpha, (max(width // 3, 2), max(height // 3, 2)))
            top, left = height // 3, width // 3
            spot = rgb[top : top + core.shape[0], left : left + core.shape[1]]
            spot += (second * rng.uniform(0.6, 1) - spot) * core[: spot.shape[0], : spot.shape[1], None]
        start = (round(row - height / 2), round(column - width / 2))
        level = _stack_depth(number, len(centres))
        if see_through:
            found = canvas.window(*start, alpha.shape)
            if found is not None:
                rgb[found[1]] += 0.5 * canvas.rgb[found[0]] * (canvas.ids[found[0]] > 0)[..., None]
        canvas.paint(alpha, rgb, np.full(alpha.shape, level, np.float32), *start, number)
    rgb = cv2.GaussianBlur(canvas.rgb, (0, 0), rng.uniform(0.5, 2.2) * size / 256)
    if rng.random() < 0.4:  # out-of-focus light
        rgb += rng.uniform(0.1, 0.4) * cv2.blur(rgb, (size // 6, size // 6))
    photons = rng.uniform(15, 400)
    rgb = np.clip(rgb, 0, 1.5)
    rgb += np.sqrt(rgb / photons + 1e-5) * rng.standard_normal(rgb.shape, dtype=np.float32)
    return (
        finish_colours(rng, rgb.astype(np.float32), rng.uniform(0, 0.02)),
        canvas.ids,
        canvas.depth,
    )


def _phase(rng: np.random.Generator, size: int) -> Picture:
    radius, count = _population(rng, size)
    grey = rng.uniform(0.3, 0.7)
    field = grey + rng.uniform(0.02, 0.15) * (octaves(rng, (size, size), 4, 0.6) - 0.9)
    canvas = Canvas(np.repeat(field[..., None], 3, axis=2), np.zeros((size, size), np.float32))
    bumps, contrast, halo = rng.uniform(0.05, 0.6), rng.uniform(0.03, 0.3), rng.uniform(0.05, 0.5)
    dark, aspect = rng.choice([-1, 1], p=[0.7, 0.3]), rng.uniform(0.4, 1)
    centres = _places(rng, size, radius, count, rng.uniform(0.9, 2.2))
    for number, (row, column) in enumerate(centres, 1):
        scale = np.exp(rng.normal(0, 0.2, 2)) * np.array([1, aspect])
        alpha = _cell(rng, *np.maximum(2 * radius * scale, 6), bumps)
        height, width = alpha.shape
        margin = max(int(0.3 * radius), 2)
        wide = cv2.GaussianBlur(np.pad(alpha, margin), (0, 0), 0.5 * margin)
        start = (round(row - height / 2), round(column - width / 2))
        canvas.darken(wide, start[0] - margin, start[1] - margin, -halo)
        dome = wide[margin:-margin, margin:-margin]
        inside = grey + dark * contrast + 0.3 * contrast * (_grain(rng, height, width) - 0.5)
        inside = inside + halo * 0.6 * np.clip(0.8 - dome, 0, 1)
        rgb = np.repeat(inside[..., None], 3, axis=2).astype(np.float32)
        level = _stack_depth(number, len(centres))
        canvas.paint(alpha, rgb, np.full(alpha.shape, level, np.float32), *start, number)
    rgb = cv2.GaussianBlur(canvas.rgb, (0, 0), rng.uniform(0.4, 1.2) * size / 256)
    if rng.random() < 0.3:
        rgb = rgb * (0.8 + 0.3 * random_colour(rng))
    return finish_colours(rng, rgb, rng.uniform(0, 0.04)), canvas.ids, canvas.depth


def _histology(rng: np.random.Generator, size: int) -> Picture:
    radius, count = _population(rng, size)
    radius = min(radius, 0.1 * size)
    pink = np.array([0.88, 0.62, 0.78]) + rng.normal(0, 0.06, 3)
    pale = np.clip(pink + rng.uniform(0.05, 0.25), 0, 1)
    purple = np.clip(np.array([0.42, 0.26, 0.58]) + rng.normal(0, 0.07, 3), 0.05, 0.9)
    mix = np.clip(octaves(rng, (size, size), rng.uniform(3, 9), 0.7) - 0.6, 0, 1)[..., None]
    rgb = (pale + (pink - pale) * mix).astype(np.float32)
    rgb *= 0.92 + 0.16 * _grain(rng, size, size)[..., None]
    canvas = Canvas(rgb, np.full((size, size), 0.1, np.float32))
    number = 0
    for _ in range(int(rng.integers(0, 4)) if rng.random() < 0.5 else 0):  # glands around a lumen
        number += 1
        side = rng.uniform(0.25, 0.6, 2) * size
        alpha = _cell(rng, *side, 0.25)
        wall = np.broadcast_to((purple + pink) / 2 * rng.uniform(0.9, 1.1), (*alpha.shape, 3))
        start = rng.integers(-size // 8, size - size // 6, 2)
        level = np.full(alpha.shape, 0.12 + 0.01 * number, np.float32)
        canvas.paint(alpha, wall.astype(np.float32), level, *start, number)
        inner = cv2.erode(alpha, np.ones((3, 3)), iterations=max(int(0.06 * size), 1))
        white = np.full((*alpha.shape, 3), 0.93, np.float32)
        canvas.paint(inner, white, level, *start, number)
    bumps, stain = rng.uniform(0.03, 0.3), rng.uniform(0.15, 0.5)
    centres = _places(rng, size, radius, min(count + 6, 90), rng.uniform(1.0, 2.2))
    for order, (row, column) in enumerate(centres, 1):
        scale = np.exp(rng.normal(0, 0.25, 2)) * np.array([1, rng.uniform(0.5, 1)])
        alpha = _cell(rng, *np.maximum(2 * radius * scale, 5), bumps)
        tone = purple * rng.uniform(0.75, 1.25) + stain * (_grain(rng, *alpha.shape) - 0.5)[..., None]
        start = (round(row - alpha.shape[0] / 2), round(column - alpha.shape[1] / 2))
        level = np.full(alpha.shape, 0.3 + 0.4 * order / len(centres), np.float32)
        canvas.paint(alpha * rng.uniform(0.75, 1), tone.astype(np.float32), level, *start, number + order)
    rgb = cv2.GaussianBlur(canvas.rgb, (0, 0), rng.uniform(0.4, 1.3) * size / 256)
    return finish_colours(rng, rgb, rng.uniform(0, 0.03)), canvas.ids, canvas.depth


def _mosaic(rng: np.random.Generator, size: int) -> Picture:
    count = int(np.exp(rng.uniform(np.log(4), np.log(110))))
    seeds = np.full((size, size), 255, np.uint8)
    seeds[rng.integers(0, size, count), rng.integers(0, size, count)] = 0
    _, labels = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    pitch = float(size / np.sqrt(count))  # a plain float, so that the arrays stay float32
    swing = rng.uniform(0.1, 1.1) * pitch
    cells = min(2.2 * size / pitch, size / 3)
    shift = [swing * (noise_field(rng, (size, size), cells) - 0.5) for _ in range(2)]
    labels = cv2.remap(
        labels.astype(np.float32), columns + shift[1], rows + shift[0], cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_REFLECT,
    ).astype(np.int16)  # fmt: skip
    edge = np.zeros((size, size), np.uint8)
    edge[:, 1:] |= (labels[:, 1:] != labels[:, :-1]).astype(np.uint8)
    edge[1:] |= (labels[1:] != labels[:-1]).astype(np.uint8)
    thick = max(int(rng.uniform(0.5, 1 + 0.08 * pitch)), 1)
    edge = cv2.dilate(edge, np.ones((3, 3), np.uint8), iterations=min(thick, 4))
    tones = rng.uniform(0.45, 0.85) + rng.normal(0, rng.uniform(0.01, 0.1), count + 1)
    grey = tones[labels].astype(np.float32)
    grey += rng.uniform(0, 0.25) * (_grain(rng, size, size) - 0.5)
    for _ in range(int(rng.integers(0, 40))):  # organelles
        spot = tuple(int(v) for v in rng.integers(0, size, 2))
        axes = tuple(int(v) for v in np.maximum(rng.uniform(0.03, 0.14, 2) * pitch, 1))
        tone = float(np.clip(grey[spot[1], spot[0]] * rng.uniform(0.4, 1.1), 0, 1))
        cv2.ellipse(grey, spot, axes, float(rng.uniform(0, 180)), 0, 360, tone, -1)
    soft = cv2.GaussianBlur(edge.astype(np.float32), (0, 0), rng.uniform(0.5, 1.5))
    membrane = rng.uniform(0.05, 0.4)
    grey += (membrane - grey) * soft
    if rng.random() < 0.25:  # bright membranes on dark cells
        grey = 1 - grey
    rgb = np.repeat(grey[..., None], 3, axis=2)
    if rng.random() < 0.25:
        rgb = rgb * (0.4 + 0.6 * random_colour(rng))
    ids = np.where(edge > 0, 0, labels)
    depth = 0.45 + rng.uniform(0, 0.1) * noise_field(rng, (size, size), 2)
    rgb = np.ascontiguousarray(rgb, dtype=np.float32)
    return finish_colours(rng, rgb, rng.uniform(0, 0.08)), ids, depth


def microscopy(rng: np.random.Generator, size: int) -> Picture:
    """Return (rgb uint8, object numbers, depth float32) of a microscopy-like scene."""
    makers = (_fluorescence, _phase, _histology, _mosaic)
    return makers[int(rng.choice(4, p=[0.36, 0.18, 0.22, 0.24]))](rng, size)


def _organs(rng: np.random.Generator, size: int, full: bool) -> tuple[np.ndarray, list[tuple]]:
    """Return soft tissue on a grey canvas: list of (alpha, row, column, depth, tone), far to near."""
    layers = []
    centre = np.array([0.5, 0.5]) * size
    reach = size * 0.5
    if full:
        body = _cell(rng, *(rng.uniform(0.7, 0.98, 2) * size), 0.08)
        start = np.round(centre - np.array(body.shape) / 2).astype(int)
        layers.append((body, *start, 0.3, rng.uniform(0.2, 0.55)))
        reach = size * 0.32
    for n in range(int(rng.integers(1, 8))):
        side = np.exp(rng.uniform(np.log(0.08), np.log(0.5))) * size
        alpha = _cell(rng, *np.maximum(side * rng.uniform(0.6, 1.3, 2), 6), rng.uniform(0.05, 0.4))
        start = centre + rng.uniform(-reach, reach, 2) - np.array(alpha.shape) / 2
        start = np.round(start).astype(int)
        depth = 0.4 + 0.04 * n
        layers.append((alpha, *start, depth, rng.uniform(0.05, 0.95)))
        if rng.random() < 0.5:  # a lesion, a chamber or a core inside it
            inner = _cell(rng, *np.maximum(np.array(alpha.shape) * rng.uniform(0.25, 0.6, 2), 5), 0.3)
            inside = start + np.round((np.array(alpha.shape) - inner.shape) * rng.uniform(0.2, 0.8, 2))
            layers.append((inner, *inside.astype(int), depth + 0.02, rng.uniform(0.05, 0.95)))
    return centre, layers


def _grey_medical(rng: np.random.Generator, size: int) -> Picture:
    style = str(rng.choice(["ct", "mri", "ultrasound"]))
    base = rng.uniform(0.3, 0.5) if style == "ultrasound" else rng.uniform(0, 0.06)
    canvas = Canvas(np.full((size, size, 3), base, np.float32), np.full((size, size), 0.1, np.float32))
    _, layers = _organs(rng, size, full=style != "ultrasound" and rng.random() < 0.85)
    squeeze = rng.uniform(0.35, 1.0)  # weak contrast is the usual case in soft tissue
    for number, (alpha, row, column, depth, tone) in enumerate(layers, 1):
        tone = 0.4 + (tone - 0.4) * squeeze
        if style == "ct" and rng.random() < 0.12:
            tone = 0.95
        if style == "ultrasound":
            tone = 0.6 * tone
        texture = rng.uniform(0, 0.2) * (_grain(rng, *alpha.shape) - 0.5)
        rgb = np.repeat((tone + texture)[..., None], 3, axis=2).astype(np.float32)
        canvas.paint(alpha, rgb, np.full(alpha.shape, depth, np.float32), row, column, number)
    grey = cv2.GaussianBlur(canvas.rgb[..., 0].copy(), (0, 0), rng.uniform(0.6, 2.5) * size / 256)
    ids = canvas.ids
    if style == "mri":
        grey *= 1 + rng.uniform(0.2, 0.9) * (noise_field(rng, (size, size), 2) - 0.5)
        noise = rng.standard_normal((2, size, size), dtype=np.float32) * rng.uniform(0.005, 0.06)
        grey = np.hypot(grey + noise[0], noise[1])
    elif style == "ct":
        grain = cv2.GaussianBlur(rng.standard_normal((size, size), dtype=np.float32), (0, 0), 0.8)
        grey += rng.uniform(0.01, 0.08) * grain
    else:
        waves = rng.standard_normal((size, size, 2), dtype=np.float32)
        waves = cv2.GaussianBlur(waves, (0, 0), rng.uniform(1, 2.2), sigmaY=rng.uniform(0.5, 1))
        speckle = np.hypot(waves[..., 0], waves[..., 1])
        grey = grey * (speckle / speckle.mean()) ** rng.uniform(0.5, 1)
        rows, columns = np.mgrid[:size, :size].astype(np.float32)
        apex = rng.uniform(-0.3, 0.05) * size
        radius = np.hypot(rows - apex, columns - size / 2)
        angle = np.abs(np.arctan2(columns - size / 2, rows - apex))
        if rng.random() < 0.7:
            fan = (angle < rng.uniform(0.45, 0.8)) & (radius < size - apex) & (radius > 0.1 * size)
            grey, ids = grey * fan, np.where(fan, ids, 0)
        grey *= np.clip(1.3 - rng.uniform(0.2, 0.9) * radius / size, 0.2, 1.3)
    rgb = np.repeat(grey[..., None], 3, axis=2).astype(np.float32)
    return finish_colours(rng, rgb, rng.uniform(0, 0.015)), ids, canvas.depth


def _surface_medical(rng: np.random.Generator, size: int) -> Picture:
    """Skin or mucosa seen by a camera: spots, polyps and hairs."""
    skin = np.array([0.85, 0.62, 0.52]) * rng.uniform(0.6, 1.1) + rng.normal(0, 0.05, 3)
    if rng.random() < 0.45:
        skin = np.array([0.75, 0.35, 0.3]) + rng.normal(0, 0.06, 3)
    tone = 0.8 + 0.2 * octaves(rng, (size, size), rng.uniform(2, 6), 0.6)
    rgb = (tone[..., None] * skin).astype(np.float32)
    canvas = Canvas(rgb, (0.2 + 0.1 * noise_field(rng, (size, size), 2)).astype(np.float32))
    raised = rng.random() < 0.5
    for number in range(1, int(rng.integers(1, 5)) + 1):
        side = np.exp(rng.uniform(np.log(0.12), np.log(0.75))) * size
        alpha = _cell(rng, *np.maximum(side * rng.uniform(0.7, 1.2, 2), 6), rng.uniform(0.1, 0.5))
        soft = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.5, 3))
        colour = skin * rng.uniform(0.9, 1.15) if raised else skin * rng.uniform(0.3, 0.75, 3)
        dome = cv2.GaussianBlur(alpha, (0, 0), 0.2 * side)
        tilt = cv2.Sobel(dome, cv2.CV_32F, 0, 1) * side * 0.08 if raised else np.float32(0)
        shade = 1 + 0.3 * (_grain(rng, *alpha.shape) - 0.5) + tilt
        start = rng.uniform(0.1, 0.9, 2) * size - np.array(alpha.shape) / 2
        lift = (0.35 + 0.1 * number + (0.08 if raised else 0.02) * dome).astype(np.float32)
        layer = (shade[..., None] * colour).astype(np.float32)
        canvas.paint(soft, layer, lift, *np.round(start).astype(int), number)
    for _ in range(int(rng.integers(0, 15)) if rng.random() < 0.3 else 0):
        ends = [tuple(int(v) for v in rng.integers(0, size, 2)) for _ in range(2)]
        cv2.line(canvas.rgb, *ends, (0.1, 0.07, 0.06), 1, cv2.LINE_AA)
    for _ in range(int(rng.integers(0, 8)) if raised else 0):
        spot = tuple(int(v) for v in rng.integers(0, size, 2))
        cv2.circle(canvas.rgb, spot, max(int(rng.uniform(0.005, 0.02) * size), 1), (1, 1, 1), -1)
    rgb = canvas.rgb
    if rng.random() < 0.5:
        axis = np.linspace(-1, 1, size, dtype=np.float32) ** 2
        rgb *= np.clip(1.6 - rng.uniform(0.6, 1.2) * (axis[:, None] + axis), 0, 1)[..., None]
    return finish_colours(rng, rgb, rng.uniform(0, 0.02)), canvas.ids, canvas.depth


def medical(rng: np.random.Generator, size: int) -> Picture:
    """Return (rgb uint8, object numbers, depth float32) of a medical scene."""
    maker = _grey_medical if rng.random() < 0.72 else _surface_medical
    return maker(rng, size)
