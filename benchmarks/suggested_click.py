"""How often the click suggested lies in what is wrong, and how often a random pixel of the object's box does.

    python benchmarks/suggested_click.py DATA [--limit 10] [--clicks 3] [--model ois-compact]

DATA is any folder that ``napari-ois evaluate`` reads. After each of the robot user's first clicks the next one is
suggested as in the viewer. The box holds the object and the mask; of all its pixels the share that is wrong is what
random clicks would hit. Means are over sets, intervals of 95 % over the objects drawn again.
"""

from __future__ import annotations

import argparse
from collections import defaultdict


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="a folder that napari-ois evaluate reads")
    parser.add_argument("--limit", type=int, default=10, help="most objects of a set")
    parser.add_argument("--clicks", type=int, default=3, help="clicks after which one is suggested")
    parser.add_argument("--band", type=float, default=0.2, help="half the width of what is unsure")
    parser.add_argument("--model", default="ois-compact")
    parser.add_argument("--threads", type=int, default=0, help="0 = torch's own choice")
    options = parser.parse_args()

    import numpy as np
    import torch
    from tqdm import tqdm

    from napari_ois import Predictor
    from napari_ois.annotation import Clicks, Replay
    from napari_ois.annotation.confidence import suggest_click
    from napari_ois.evaluation.metrics import IGNORE, bootstrap_interval, differences, mean_over_sets
    from napari_ois.evaluation.protocol import next_click
    from napari_ois.evaluation.readers import EvalCollection

    if options.threads:
        torch.set_num_threads(options.threads)
    predictor = Predictor(options.model)
    collection = EvalCollection(options.data, per_set=options.limit)
    hits: list[dict[str, list[float]]] = [defaultdict(list) for _ in range(options.clicks)]
    shares: list[dict[str, list[float]]] = [defaultdict(list) for _ in range(options.clicks)]
    none = 0
    with tqdm(total=collection.n_objects, disable=None) as bar:
        for sample in collection:
            predictor.set_image(sample.image)
            for entry in sample.objects:
                target, clicks, replay = entry.target, Clicks(), Replay(predictor)
                mask = np.zeros(target.shape, bool)
                for count in range(options.clicks):
                    done = [(round(click.row), round(click.column)) for click in clicks]
                    found = next_click(mask, target, clicked=done)
                    if found is None:
                        break
                    clicks = clicks.added(found[0], found[1], bool(found[2]))
                    answer = replay.answer(clicks)
                    mask = answer.mask
                    wrong = (mask != (target == 1)) & (target != IGNORE)
                    suggested = suggest_click(answer.probability, clicks, band=options.band)
                    if suggested is None:
                        none += 1
                        continue
                    both = mask | (target == 1)
                    rows, columns = np.flatnonzero(both.any(axis=1)), np.flatnonzero(both.any(axis=0))
                    box = wrong[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
                    hits[count][entry.set].append(float(wrong[suggested.row, suggested.column]))
                    shares[count][entry.set].append(float(box.mean()))
                bar.update(1)
    print(f"{collection.n_objects} objects of {len(collection.sets)} sets, {options.model}; {none} times all was sure")
    for count, (hit, share) in enumerate(zip(hits, shares, strict=True), start=1):
        more = differences(hit, share)
        low, high = bootstrap_interval(more)
        print(
            f"after click {count}: suggested {mean_over_sets(hit):.3f}, random {mean_over_sets(share):.3f}, "
            f"{mean_over_sets(more):+.3f} ({low:+.3f} to {high:+.3f})"
        )


if __name__ == "__main__":
    main()
