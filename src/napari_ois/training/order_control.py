"""Is order alive in a model? The same clicks with true, constant and estimated depth.

The rule of this file: nothing changes between the columns but the source of order. Made scenes that no
training has seen have exact depth; a model that ignores order scores the same in all three.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_ois.evaluation.metrics import k_miou
from napari_ois.evaluation.readers import EvalImage, EvalObject
from napari_ois.evaluation.run import ClickPredictor, evaluate
from napari_ois.training.scenes import make_scene

HELD_OUT_SEED = 999
"""Scenes are drawn from (seed, index); trainings use other seeds."""

SMALLEST_SHARE = 0.004
"""Objects below this share of the scene are left out: their IoU is a matter of a few pixels."""

CLICKS = (1, 3, 5)


@dataclass(frozen=True)
class OrderControl:
    """Mean IoU after 1, 3 and 5 clicks over the same objects, for each source of order.

    Attributes
    ----------
    objects : int
    ious : dict
        ``{"true": {1: .., 3: .., 5: ..}, "constant": .., "estimated": ..}``
    gain : float
        IoU after the first click, true minus constant depth.
    interval : (float, float)
        95 % bootstrap interval of the gain, over objects.
    """

    objects: int
    ious: dict[str, dict[int, float]]
    gain: float
    interval: tuple[float, float]


def order_control(
    predictor: ClickPredictor,
    *,
    scenes: int = 150,
    size: int = 256,
    kind: str | None = "photo",
    seed: int = HELD_OUT_SEED,
    progress: Callable[[int], None] | None = None,
) -> OrderControl:
    """Let the robot user click the same objects under three sources of order.

    Parameters
    ----------
    predictor : ClickPredictor
    scenes : int
        Number of made scenes.
    size : int
        Their side in pixels.
    kind : str, optional
        Only scenes of this kind; None = the whole mix.
    seed : int
    progress : callable, optional
        Called with 1 after each object.

    Returns
    -------
    OrderControl
    """
    samples = list(held_out_scenes(scenes, size=size, kind=kind, seed=seed))
    flat = [replace(s, depth=np.zeros(s.image.shape[:2], np.float32)) for s in samples]
    curves: dict[str, np.ndarray] = {}
    for name, images, measured in (
        ("true", samples, True),
        ("constant", flat, True),
        ("estimated", samples, False),
    ):
        results = evaluate(
            predictor,
            images,
            max_clicks=max(CLICKS),
            measured_depth=measured,
            progress=None if progress is None else lambda _: progress(1),
        )
        curves[name] = np.array([r.ious for r in results])
    ious = {name: {k: k_miou(c.tolist(), k) for k in CLICKS} for name, c in curves.items()}
    difference = curves["true"][:, 0] - curves["constant"][:, 0]
    draws = np.random.default_rng(0).integers(len(difference), size=(2000, len(difference)))
    low, high = np.percentile(difference[draws].mean(axis=1), [2.5, 97.5])
    return OrderControl(len(difference), ious, float(difference.mean()), (float(low), float(high)))


def held_out_scenes(
    count: int, *, size: int = 256, kind: str | None = None, seed: int = HELD_OUT_SEED
) -> Iterator[EvalImage]:
    """Make scenes in the form that the evaluation reads; every object that is large enough is clicked."""
    for index in range(count):
        scene = make_scene(np.random.default_rng([seed, index]), size, kind=kind)
        areas = np.bincount(scene.ids.ravel())
        objects = [
            EvalObject(str(i), (scene.ids == i).astype(np.uint8), "made scenes", scene.kind)
            for i in range(1, len(areas))
            if areas[i] >= SMALLEST_SHARE * size * size
        ]
        if objects:
            depth = scene.depth.astype(np.float32)
            yield EvalImage(Path(f"scene-{index}"), f"scene-{index}", scene.rgb, objects, depth)


def format_control(control: OrderControl) -> str:
    """A text table of the control."""
    lines = [f"{'depth':<10}" + "".join(f"{'IoU@' + str(k):>8}" for k in CLICKS)]
    for name, ious in control.ious.items():
        lines.append(f"{name:<10}" + "".join(f"{ious[k]:8.3f}" for k in CLICKS))
    low, high = control.interval
    lines.append(
        f"First click, true minus constant depth: {100 * control.gain:+.1f} points "
        f"(95 % interval {100 * low:+.1f} to {100 * high:+.1f}, {control.objects} objects)."
    )
    return "\n".join(lines)
