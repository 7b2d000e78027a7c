"""How many more clicks an object takes after a box around it, and after one positive click.

    python benchmarks/box_prompt.py DATA [--limit 10] [--jitter 0] [--max-clicks 20] [--model ois-compact]

DATA is any folder that ``napari-ois evaluate`` reads. The box is the object's own, its sides moved at random by a share
(``--jitter``) of its longer side, as a hand would draw it; the click is the robot user's first. After either the robot
user clicks on, and every further click counts. Means are over sets, intervals of 95 % over the objects drawn again.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_ois.annotation import Prompt

GOALS = (0.85, 0.9)


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="a folder that napari-ois evaluate reads")
    parser.add_argument("--limit", type=int, default=10, help="most objects of a set")
    parser.add_argument("--jitter", type=float, default=0.0, help="standard deviation of each side, in longer sides")
    parser.add_argument("--max-clicks", type=int, default=20, help="further clicks")
    parser.add_argument("--model", default="ois-compact")
    parser.add_argument("--threads", type=int, default=0, help="0 = torch's own choice")
    options = parser.parse_args()

    import numpy as np
    import torch
    from tqdm import tqdm

    from napari_ois import Predictor
    from napari_ois.annotation import Replay
    from napari_ois.evaluation.metrics import bootstrap_interval, differences, mean_over_sets
    from napari_ois.evaluation.readers import EvalCollection

    if options.threads:
        torch.set_num_threads(options.threads)
    rng = np.random.default_rng(0)
    predictor = Predictor(options.model)
    collection = EvalCollection(options.data, per_set=options.limit)
    curves: dict[str, dict[str, list[list[float]]]] = {kind: defaultdict(list) for kind in ("click", "box")}
    with tqdm(total=collection.n_objects, disable=None) as bar:
        for sample in collection:
            predictor.set_image(sample.image)
            for entry in sample.objects:
                box = drawn_box(entry.target == 1, rng, options.jitter)
                for kind, prompt in (("click", first_click(entry.target)), ("box", boxed(box, entry.target.shape))):
                    curve = further_clicks(Replay(predictor), prompt, entry.target, options.max_clicks)
                    curves[kind][entry.set].append(curve)
                bar.update(1)
    print(f"{collection.n_objects} objects of {len(collection.sets)} sets, {options.model}, jitter {options.jitter}")
    for kind, by_set in curves.items():
        at_once = mean_over_sets({name: [curve[0] for curve in own] for name, own in by_set.items()})
        print(f"after one {kind}: IoU {at_once:.3f}")
    for goal in GOALS:
        counts = {
            kind: {name: [until(curve, goal, options.max_clicks) for curve in own] for name, own in by_set.items()}
            for kind, by_set in curves.items()
        }
        fewer = differences(counts["click"], counts["box"])
        low, high = bootstrap_interval(fewer)
        means = ", ".join(f"{mean_over_sets(count):.2f} after a {kind}" for kind, count in counts.items())
        print(f"further clicks to IoU {goal}: {means}; {mean_over_sets(fewer):.2f} fewer ({low:.2f} to {high:.2f})")


def drawn_box(true: NDArray[np.bool_], rng: np.random.Generator, jitter: float) -> NDArray[np.float64]:
    """Two opposite corners, (2, 2) row and column."""
    import numpy as np

    rows, columns = np.flatnonzero(true.any(axis=1)), np.flatnonzero(true.any(axis=0))
    box = np.array([(rows[0], columns[0]), (rows[-1], columns[-1])], float)
    if jitter:
        box = np.sort(box + rng.normal(0, jitter * (box[1] - box[0]).max(), (2, 2)), axis=0)
        box = np.clip(box, 0, np.subtract(true.shape, 1))
    return box


def boxed(box: NDArray[np.float64], shape: tuple[int, int]) -> Prompt:
    """A box; of an object of a single row or column, half a pixel is added, since a box has an extent."""
    import numpy as np

    from napari_ois.annotation import Prompt

    thin = np.where(np.ptp(box, axis=0) == 0, 0.5, 0.0)
    return Prompt().with_box(box + np.array([-thin, thin]), shape)


def first_click(target: NDArray[np.uint8]) -> Prompt:
    """The robot user's first click."""
    import numpy as np

    from napari_ois.annotation import Prompt
    from napari_ois.evaluation.protocol import next_click

    found = next_click(np.zeros(target.shape, bool), target)
    assert found is not None  # there is an object
    return Prompt().with_click(found[0], found[1])


def further_clicks(replay: Any, prompt: Prompt, target: NDArray[np.uint8], most: int) -> list[float]:
    """IoU of the answer to a prompt, and after each further click of the robot user."""
    from napari_ois.evaluation.metrics import iou
    from napari_ois.evaluation.protocol import next_click

    curve: list[float] = []
    while True:
        answer = replay.answer(prompt.clicks, seed=prompt.seed)
        curve.append(iou(answer.mask, target))
        done = [(round(row), round(column)) for row, column in answer.points]
        found = None if len(curve) > most else next_click(answer.mask, target, clicked=done)
        if found is None or curve[-1] >= max(GOALS):
            return curve
        prompt = prompt.with_click(found[0], found[1], bool(found[2]))


def until(curve: list[float], goal: float, most: int) -> int:
    """Further clicks until a goal; the most that there are where it is not reached."""
    return next((count for count, value in enumerate(curve) if value >= goal), most)


if __name__ == "__main__":
    main()
