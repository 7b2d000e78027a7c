"""What each part of the network is worth: trained without it, with the same budget (the paper's Table 4).

    python benchmarks/ablations.py TRAIN DEV --out DIR [--steps 850] [--variants full "no order" ...] [--threads 2]

TRAIN and DEV are folders that ``napari-ois train`` and ``napari-ois evaluate`` read. Every variant borrows encoder and
depth decoder from ``--model`` and leaves them, as the paper's do with Depth Anything; all else begins at random and
sees the same windows, in the same order, for as many steps. A training that was stopped goes on; what is finished is
not repeated. Then the robot user clicks the objects of DEV, from the picture alone, and those of made scenes that no
training has seen, with their true depth. Differences are to the full network on the same objects, with intervals of
95 % over the objects drawn again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_ois.evaluation.samples import EvalImage
    from napari_ois.training.recipe import Recipe

FULL = "full"
VARIANTS: dict[str, dict[str, Any]] = {
    FULL: {},
    "no order": {"use_order": False},
    "no object": {"use_object": False},
    "no sparse": {"use_sparse": False},
    "no dense": {"use_dense": False},
    "no cues": {"cues": False},
    "no cues, no order": {"cues": False, "use_order": False},
}
"""The paper's four, and our cues, which go with the dense prompt too."""

CLICKS = (1, 3, 5)

Curves = dict[str, list[list[float]]]
"""IoU after each click, by set and object."""


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("dev", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder of trainings and figures")
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--model", default="ois-compact", help="whose encoder is borrowed")
    parser.add_argument("--steps", type=int, default=850)
    parser.add_argument("--scenes", type=int, default=4200, help="made scenes to learn from")
    parser.add_argument("--cache", type=Path, help="folder for packed data")
    parser.add_argument("--limit", type=int, help="most objects of a dev set")
    parser.add_argument("--control", type=int, default=100, help="made scenes to click in")
    parser.add_argument("--threads", type=int, default=0, help="0 = torch's own choice")
    options = parser.parse_args()

    import torch

    from napari_ois.evaluation.readers import EvalCollection
    from napari_ois.training.order_control import held_out_scenes

    if options.threads:
        torch.set_num_threads(options.threads)
    found: dict[str, dict[str, Curves]] = {}
    for name in options.variants:
        weights = learn(name, options)
        images = EvalCollection(options.dev, per_set=options.limit)
        scenes = held_out_scenes(options.control, kind="photo")
        curves = clicked(weights, images, options.out / name / "dev.json", False)
        domains = {entry.set: entry.domain for entry in images.entries}
        found[name] = {
            "all": curves,
            **{kind: {k: v for k, v in curves.items() if domains[k] == kind} for kind in sorted(set(domains.values()))},
            "made scenes, true depth": clicked(weights, scenes, options.out / name / "scenes.json", True),
        }
        print("\n".join(table(found)), flush=True)


def recipe_of(name: str, steps: int) -> Recipe:
    """Of one variant; all but the switches is the same for each."""
    from napari_ois.training.batches import Phase
    from napari_ois.training.recipe import recipe_for

    return recipe_for(
        "ois-compact",
        steps=steps,
        phases=(
            Phase(0.6, 128, 12, tight=0.3, bce_weight=1.0),
            Phase(1.0, 160, 10, tight=0.3, bce_weight=1.0, turns=((192, 6),)),
        ),
        rate=2e-3,
        warmup=100,
        optimizer="adam",
        rounds=(0.5, 0.2, 0.14, 0.1, 0.06),
        depth_weight=0.0,  # the depth decoder is borrowed
        real_share=0.65,
        whole=0.5,
        again=0.5,
        seeded=0.0,
        seed=17,
        borrowed=True,
        switches=VARIANTS[name],
    )


def learn(name: str, options: argparse.Namespace) -> Path:
    """Train one variant, or go on with it; its weights."""
    from napari_ois.checkpoints import export
    from napari_ois.training.run import train

    folder = options.out / name
    weights = folder / "weights.safetensors"
    if not weights.exists():
        trainer = train(
            recipe_of(name, options.steps),
            folder,
            data=options.train,
            scenes=options.scenes,
            cache=options.cache or options.out / "cache",
            start=options.model,
        )
        export(trainer.checkpoint, weights, {})
    return weights


def clicked(weights: Path, images: Iterable[EvalImage], kept: Path, measured_depth: bool) -> Curves:
    """The robot user's curves, read where they were measured before."""
    from napari_ois import Predictor
    from napari_ois.evaluation.run import evaluate

    if not kept.exists():
        predictor = Predictor(str(weights), input_size="full")
        curves: Curves = {}
        for result in evaluate(predictor, images, max_clicks=max(CLICKS), measured_depth=measured_depth):
            curves.setdefault(result.set, []).append(list(result.ious))
        kept.write_text(json.dumps(curves), encoding="utf-8")
    read: Curves = json.loads(kept.read_text(encoding="utf-8"))
    return read


def table(found: Mapping[str, Mapping[str, Curves]]) -> list[str]:
    """Markdown: a table a kind of image, a row a variant; in points of IoU."""
    from napari_ois.evaluation.metrics import bootstrap_interval, differences, mean_over_sets

    lines: list[str] = []
    for kind, full in found[next(iter(found))].items():
        objects = sum(len(curves) for curves in full.values())
        lines += ["", f"{kind} ({objects} objects of {len(full)} sets)", ""]
        lines += ["| variant |" + "".join(f" IoU@{k} |" for k in CLICKS), "| --- |" + " ---: |" * len(CLICKS)]
        for name, measured in found.items():
            cells = [name]
            for k in CLICKS:
                own = after(measured[kind], k)
                cell = f"{100 * mean_over_sets(own):.1f}"
                if name != FULL and FULL in found:
                    change = differences(own, after(found[FULL][kind], k))
                    low, high = bootstrap_interval(change)
                    cell += f" ({100 * mean_over_sets(change):+.1f}, {100 * low:+.1f} to {100 * high:+.1f})"
                cells.append(cell)
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def after(curves: Curves, clicks: int) -> dict[str, list[float]]:
    """IoU of each object after so many clicks."""
    return {name: [curve[clicks - 1] for curve in own] for name, own in curves.items()}


if __name__ == "__main__":
    main()
