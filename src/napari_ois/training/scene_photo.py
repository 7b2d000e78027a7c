"""Photograph-like scenes: everything is planned with a depth first and then painted from far to near.

Colours never decide depth, and depth decides size, contact with the ground, haze and defocus.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from napari_ois.training.scene_canvas import Canvas, finish_colours
from napari_ois.training.scene_shapes import SHAPES, draw_shape
from napari_ois.training.scene_textures import (
    Texture,
    noise_field,
    pick_texture,
    ramp,
    random_colour,
)

_GAP = 0.02  # smallest difference in depth of two objects
_NAMES = tuple(SHAPES)
_WEIGHTS = np.array([SHAPES[name][1] for name in _NAMES]) / sum(s[1] for s in SHAPES.values())


@dataclass(frozen=True)
class _Ground:
    """Ground plane: depth `far` at row `horizon`, `near` at the bottom row, linear between."""

    horizon: float
    far: float
    near: float
    size: int

    def depth(self, row: float) -> float:
        share = np.clip((row - self.horizon) / (self.size - self.horizon), 0.0, 1.0)
        return float(self.far + share * (self.near - self.far))

    def row(self, depth: float) -> float:
        share = (depth - self.far) / (self.near - self.far)
        return self.horizon + float(np.clip(share, 0.03, 1.25)) * (self.size - self.horizon)


@dataclass(frozen=True)
class _Thing:
    """One planned object; positions and sizes in pixels, `bottom` is its lowest row."""

    name: str
    seed: int
    height: int
    width: int
    bottom: float
    column: float
    depth: float
    standing: bool
    textures: tuple[Texture, ...]
    split: int
    roundness: float


def _ground_rgb(rng: np.random.Generator, texture: Texture, size: int) -> np.ndarray:
    flat = texture.render(rng, size, size)
    inner = rng.uniform(0.25, 0.42) * size
    source = np.array([[0, 0], [size, 0], [size - inner, size], [inner, size]], np.float32)
    target = np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float32)
    matrix = cv2.getPerspectiveTransform(source, target)
    return cv2.warpPerspective(flat, matrix, (size, size), borderMode=cv2.BORDER_REFLECT)


def _sky(rng: np.random.Generator, size: int) -> np.ndarray:
    top = random_colour(rng) if rng.random() < 0.3 else np.array([0.3, 0.5, 0.85]) * rng.uniform(0.5, 1.1)
    low = np.clip(top + rng.uniform(0.0, 0.4), 0, 1)
    rows = np.linspace(0, 1, size, dtype=np.float32)[:, None, None]
    sky = (top + (low - top) * rows).astype(np.float32) * np.ones((1, size, 1), np.float32)
    if rng.random() < 0.5:
        cloud = np.clip(noise_field(rng, (size, size), 7) * 2.2 - 1.1, 0, 1)[..., None]
        sky += (0.95 - sky) * cloud * rng.uniform(0.3, 0.9)
    return sky


def _backdrop(
    rng: np.random.Generator, size: int, pick: Sequence[Texture]
) -> tuple[np.ndarray, np.ndarray, _Ground | None]:
    """Return background colours, background depth and the ground, if there is one."""
    rows, columns = np.mgrid[:size, :size].astype(np.float32) / size
    layout = rng.choice(["sky", "wall", "corner", "frontal", "top"], p=[0.2, 0.28, 0.14, 0.26, 0.12])
    far = float(rng.uniform(0.0, 0.2))
    if layout == "sky":
        rgb, depth = _sky(rng, size), np.zeros((size, size), np.float32)
        far = 0.0
        if rng.random() < 0.5:  # hills
            hills = pick[2].render(rng, size, size)
            line = rng.uniform(0.2, 0.5) - 0.2 * noise_field(rng, (1, size), rng.uniform(3, 9))
            beyond = rows > line
            rgb[beyond] = hills[beyond]
            depth[beyond] = far = 0.04
    elif layout in ("wall", "frontal", "top"):
        rgb = pick[1].render(rng, size, size)
        slope = rng.uniform(-0.2, 0.2) if rng.random() < 0.5 else 0.0
        depth = far + abs(slope) / 2 + slope * (columns - 0.5)
        if layout == "frontal" and rng.random() < 0.5:
            rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(1, 8) * size / 256)
    else:
        edge = rng.uniform(0.2, 0.8)
        left = columns < edge
        rgb = np.where(left[..., None], pick[1].render(rng, size, size) * 0.8, pick[2].render(rng, size, size))
        depth = far + np.abs(columns - edge) * np.where(left, rng.uniform(0, 0.4), rng.uniform(0, 0.4))
    light = 1 + rng.uniform(0, 0.5) * (noise_field(rng, (size, size), 2) - 0.5)
    ground = None
    if layout != "frontal":
        horizon = -0.1 * size if layout == "top" else rng.uniform(0.25, 0.75) * size
        nearest = rng.uniform(0.3, 0.6) if layout == "top" else rng.uniform(0.55, 0.9)
        ground = _Ground(horizon, far, float(nearest), size)
        plane = far + np.clip((rows * size - horizon) / (size - horizon), 0, 1) * (nearest - far)
        floor = (plane > depth) & (rows * size > horizon)  # so walls meet the floor where they should
        rgb[floor] = _ground_rgb(rng, pick[0], size)[floor]
        depth = np.where(floor, plane, depth)
    rgb = np.ascontiguousarray(rgb * light[..., None], dtype=np.float32)
    return rgb, np.ascontiguousarray(depth, dtype=np.float32), ground


def _plan(
    rng: np.random.Generator, size: int, ground: _Ground | None, surfaces: list[Texture], count: int
) -> list[_Thing]:
    things: list[_Thing] = []
    covered = 0.0
    for depth in rng.permutation((np.arange(count) + rng.random(count)) / count) * 0.8 + 0.15:
        name = str(rng.choice(_NAMES, p=_WEIGHTS))
        shape = SHAPES[name]
        aspect = np.exp(rng.uniform(np.log(shape[2]), np.log(shape[3])))
        side = np.exp(rng.uniform(np.log(0.09), np.log(0.85))) * (0.5 + 0.7 * depth)
        if covered > 0.5:
            side = min(side, 0.35)
        side = max(side, 0.08 if name in ("blob", "polygon", "rectangle", "vessel") else 0.15)
        covered += 0.6 * side * side
        height = int(np.clip(side * np.sqrt(aspect), 0.05, 1.1) * size)
        width = int(np.clip(side / np.sqrt(aspect), 0.05, 1.1) * size)
        standing = False
        if ground is not None and rng.random() < 0.62:
            standing = True
            bottom = ground.row(depth) + rng.uniform(-1, 1)
        else:
            bottom = rng.uniform(0.05, 0.95) * size + height / 2
            if ground is not None:
                depth = max(depth, ground.depth(bottom) + _GAP)
        several = rng.random() < 0.45
        chosen = rng.integers(0, len(surfaces), int(rng.integers(2, 4)) if several else 1)
        things.append(
            _Thing(
                name,
                int(rng.integers(2**31)),
                max(height, 4),
                max(width, 4),
                float(bottom),
                float(rng.uniform(0.02, 0.98) * size),
                float(depth),
                standing,
                tuple(surfaces[n] for n in chosen),
                int(rng.integers(2**31)),
                float(rng.choice([0.0, rng.uniform(0.2, 1)])),
            )
        )
    return things


def _portrait(rng: np.random.Generator, thing: _Thing, size: int) -> _Thing:
    """Return the object as the subject of the picture: large, central and near."""
    grow = rng.uniform(0.45, 1.0) * size / np.sqrt(thing.height * thing.width)
    height = int(min(thing.height * grow, 1.2 * size))
    middle = rng.uniform(0.42, 0.58, 2) * size
    return replace(
        thing,
        height=height,
        width=int(min(thing.width * grow, 1.2 * size)),
        bottom=float(middle[0] + height / 2),
        column=float(middle[1]),
        depth=float(rng.uniform(0.65, 0.95)),
        standing=False,
    )


def _look_alikes(rng: np.random.Generator, things: list[_Thing], ground: _Ground | None, size: int) -> list[_Thing]:
    """Return copies of one object, of nearly its appearance, overlapping it at other depths."""
    sizes = np.array([np.sqrt(t.height * t.width) / size for t in things])
    model = things[int(np.argmin(np.abs(sizes - rng.uniform(0.2, 0.5))))]
    model = replace(model, column=float(np.clip(model.column, 0.2 * size, 0.8 * size)))
    copies, place = [], model
    direction = rng.choice([-1, 1])
    for _ in range(int(rng.integers(1, 4))):
        step = rng.uniform(0.07, 0.22) * rng.choice([-1, 1])
        depth = float(np.clip(place.depth + step, 0.1, 0.95))
        scale = rng.uniform(0.88, 1.12) * (1 + 0.6 * (depth - place.depth))
        column = place.column + direction * rng.uniform(0.3, 0.75) * place.width
        if place.standing and ground is not None:
            bottom = ground.row(depth)
        else:
            bottom = place.bottom + rng.uniform(-0.3, 0.3) * place.height
            if ground is not None:
                depth = max(depth, ground.depth(bottom) + _GAP)
        place = replace(
            place,
            height=max(int(place.height * scale), 4),
            width=max(int(place.width * scale), 4),
            bottom=float(bottom),
            column=float(column),
            depth=depth,
            seed=place.seed if rng.random() < 0.6 else int(rng.integers(2**31)),
            textures=tuple(t.recoloured(rng, 0.03) for t in place.textures),
        )
        copies.append(place)
    return copies


def _spread(things: list[_Thing]) -> list[_Thing]:
    """Return the objects from far to near with depths at least `_GAP` apart and at most 0.97."""
    ordered = sorted(things, key=lambda thing: thing.depth)
    depths = [thing.depth for thing in ordered]
    for n in range(1, len(depths)):
        depths[n] = max(depths[n], depths[n - 1] + _GAP)
    ceiling = 0.97
    for n in reversed(range(len(depths))):
        depths[n] = ceiling = min(depths[n], ceiling)
        ceiling -= _GAP
    return [replace(thing, depth=depth) for thing, depth in zip(ordered, depths, strict=True)]


def _parts(seed: int, count: int, height: int, width: int) -> np.ndarray:
    """Return part numbers, (height, width) in 0..count-1: bands, patches or blotches."""
    rng = np.random.default_rng(seed)
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    columns = np.linspace(0, 1, width, dtype=np.float32)[None]
    way = rng.random()
    if way < 0.45:
        field = rows + rng.normal(0, 0.15) * columns
    elif way < 0.7:
        angle = rng.uniform(0, np.pi)
        field = 0.5 + (rows - 0.5) * np.sin(angle) + (columns - 0.5) * np.cos(angle)
    else:
        field = noise_field(rng, (height, width), float(rng.integers(2, 5)))
    cuts = np.sort(rng.uniform(0.2, 0.8, count - 1))
    return np.searchsorted(cuts, field.ravel()).reshape(height, width)


def _paint(rng: np.random.Generator, canvas: Canvas, thing: _Thing, number: int, light: np.ndarray) -> None:
    mask = draw_shape(thing.seed, thing.name, thing.height, thing.width)
    height, width = mask.shape
    row, column = round(thing.bottom) - height, round(thing.column - width / 2)
    alpha = mask.astype(np.float32) / 255
    solid = (mask > 127).astype(np.uint8)
    relief = cv2.distanceTransform(np.pad(solid, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    relief = np.sqrt(relief / max(float(relief.max()), 1.0))
    relief = cv2.GaussianBlur(relief, (0, 0), max(0.02 * min(height, width), 0.8))
    rgb = thing.textures[0].render(rng, height, width)
    if len(thing.textures) > 1:
        part = _parts(thing.split, len(thing.textures), height, width)
        for n, texture in enumerate(thing.textures[1:], 1):
            chosen = part == n
            rgb[chosen] = texture.render(rng, height, width)[chosen]
    slope_x = cv2.Sobel(relief, cv2.CV_32F, 1, 0, scale=0.125) * width
    slope_y = cv2.Sobel(relief, cv2.CV_32F, 0, 1, scale=0.125) * height
    tilt = rng.uniform(0.05, 0.25) + 0.35 * thing.roundness
    shade = 1 - tilt * 0.35 * np.clip(slope_x * light[1] + slope_y * light[0], -3, 3)
    ramp_rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    shade = np.clip(shade * (1 - 0.12 * ramp_rows * light[0]), 0.3, 1.7)
    rgb = rgb * (shade * rng.uniform(0.85, 1.1))[..., None]
    swing = rng.uniform(-0.006, 0.006) * ramp_rows + rng.uniform(-0.006, 0.006) * np.linspace(
        -1, 1, width, dtype=np.float32
    )
    depth = (thing.depth + swing + 0.007 * thing.roundness * relief).astype(np.float32)
    if thing.standing and rng.random() < 0.7:
        flat = max(height // 8, 3)
        pad = max(width // 6, 4)
        shadow = np.zeros((3 * flat, width + 2 * pad), np.float32)
        middle = (shadow.shape[1] // 2, shadow.shape[0] // 2)
        cv2.ellipse(shadow, middle, (int(width * 0.48), flat // 2 + 1), 0, 0, 360, 1.0, -1)
        shadow = cv2.blur(shadow, (pad | 1, flat | 1))
        canvas.darken(shadow, row + height - shadow.shape[0] // 2, column - pad, rng.uniform(0.2, 0.6))
    elif rng.random() < 0.35:
        reach = max(int(0.06 * min(height, width)), 1)
        soft = cv2.blur(alpha, (2 * reach + 1, 2 * reach + 1))
        shift = np.round(-light * reach * 1.5).astype(int)
        canvas.darken(soft, row - shift[0], column - shift[1], rng.uniform(0.2, 0.5))
    canvas.paint(alpha, rgb, depth, row, column, number)


def _camera(rng: np.random.Generator, canvas: Canvas) -> np.ndarray:
    size, depth = canvas.size, canvas.depth
    rgb = canvas.rgb
    if rng.random() < 0.35:
        air = np.clip(0.55 + 0.3 * random_colour(rng), 0, 1)
        veil = (rng.uniform(0.1, 0.7) * (1 - depth) ** 1.5)[..., None]
        rgb += (air - rgb) * veil
    if rng.random() < 0.5:
        focus = rng.uniform(0.3, 1.0)
        weight = np.clip(np.abs(depth - focus) * rng.uniform(1, 3) - 0.15, 0, 1)
        blurred = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.8, 3) * size / 256)
        rgb += (blurred - rgb) * cv2.blur(weight, (5, 5))[..., None]
    if rng.random() < 0.4:
        axis = np.linspace(-1, 1, size, dtype=np.float32) ** 2
        rgb *= (1 - rng.uniform(0.1, 0.35) * (axis[:, None] + axis))[..., None]
    if rng.random() < 0.3:
        grade = rng.uniform(0.85, 1.15, 3).astype(np.float32)
        rgb *= grade
    if rng.random() < 0.3:
        rgb = np.clip(rgb, 0, 1) ** np.float32(rng.uniform(0.7, 1.5))
    if rng.random() < 0.06:
        rgb = np.repeat(rgb.mean(axis=2, keepdims=True), 3, axis=2)
    if rng.random() < 0.5:
        rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.4, 0.9))
    noise = rng.uniform(0.0, 0.02) if rng.random() < 0.8 else rng.uniform(0.02, 0.06)
    return finish_colours(rng, rgb, noise)


def photo(
    rng: np.random.Generator, size: int, photographs: Sequence[np.ndarray] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (rgb uint8, object numbers, depth float32) of a photograph-like scene.

    A quarter of the scenes is camouflaged (one texture for the objects and mostly also for what is
    behind them), and a third holds look-alikes that overlap at different depths.
    """
    camouflage = rng.random() < 0.25
    count = int(np.clip(2 + rng.geometric(0.22) - 1, 2, 12))
    surfaces = [pick_texture(rng, size, photographs) for _ in range(1 if camouflage else count + 1)]
    behind = [pick_texture(rng, size, photographs) for _ in range(3)]
    if camouflage and rng.random() < 0.6:
        behind[:2] = [surfaces[0]] * 2
    if rng.random() < 0.15:  # plain backgrounds
        tone = random_colour(rng)
        behind[1] = replace(behind[1], source=_plain(size), colours=ramp([tone, 0.9 * tone]))
    rgb, depth, ground = _backdrop(rng, size, behind)
    canvas = Canvas(rgb, depth)
    things = _plan(rng, size, ground, surfaces, count)
    if rng.random() < 0.25:
        things[0] = _portrait(rng, things[0], size)
    if rng.random() < 0.36:
        things += _look_alikes(rng, things, ground, size)
    angle = rng.uniform(0, 2 * np.pi)
    light = np.array([-abs(np.cos(angle)), np.sin(angle)], np.float32)
    for number, thing in enumerate(_spread(things), 1):
        _paint(rng, canvas, thing, number, light)
    return _camera(rng, canvas), canvas.ids, canvas.depth


def _plain(size: int) -> np.ndarray:
    """Return a grey ramp pattern, (size, size) uint8, for surfaces without texture."""
    ramp_rows = np.linspace(0, 255, size).astype(np.uint8)[:, None]
    return np.repeat(ramp_rows, size, axis=1)
