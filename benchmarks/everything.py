"""What a grid of prompts finds without a click, and what batches save.

    python benchmarks/everything.py DATA [--sets dsb2018 coco128seg] [--images 10] [--grid 16] [--closer 0 1]

For each set: the share of its annotated objects that a candidate meets at an IoU of 0.5 and 0.75, how many candidates
an image has, and the time of an image. Then the time of all prompts one by one (`Predictor.predict` without
close-ups, as the paper's SAT latency is counted) against batches, interleaved in one run; embedding included.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_ois import Predictor
    from napari_ois.evaluation.samples import EvalImage
    from napari_ois.segmentation.candidates import Candidate


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", help="a folder that `napari-ois evaluate` reads")
    parser.add_argument("--sets", nargs="*", help="by default all")
    parser.add_argument("--images", type=int, default=10, help="of each set, spread evenly")
    parser.add_argument("--grid", type=int, default=16)
    parser.add_argument("--closer", type=int, nargs="*", default=[0, 1])
    parser.add_argument("--score", type=float, default=0.8)
    parser.add_argument("--stability", type=float, default=0.7)
    parser.add_argument("--model", default="ois-compact")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, help="torch threads")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds, each one by one and in batches; 0 = none")
    options = parser.parse_args()

    import numpy as np
    import torch

    from napari_ois import Predictor
    from napari_ois.evaluation.readers import EvalCollection
    from napari_ois.segmentation.sieve import Sieve

    if options.threads:
        torch.set_num_threads(options.threads)
    predictor = Predictor(options.model, device=options.device)
    sieve = Sieve(score=options.score, stability=options.stability)
    collection = EvalCollection(options.data, sets=options.sets)
    print(f"{options.model} on {predictor.device}, grid {options.grid}, {sieve}")
    for name in options.sets or collection.sets:
        images = EvalCollection(options.data, sets=[name])
        count = min(options.images, len(images))
        samples = [images.read(round(place)) for place in np.linspace(0, len(images) - 1, count)]
        for closer in options.closer:
            print(f"{name:12} closer {closer}: {_recall(predictor, samples, options.grid, closer, sieve)}", flush=True)
    if options.rounds:
        plain = Predictor(options.model, device=options.device, close_up=False)
        print(_latency(plain, collection.read(0).image, options.grid, options.rounds))


def _recall(predictor: Predictor, samples: list[EvalImage], grid: int, closer: int, sieve: Any) -> str:
    from napari_ois.segmentation.everything import segment_everything

    best: list[float] = []
    counts, seconds = [], []
    for sample in samples:
        start = time.perf_counter()
        predictor.set_image(sample.image)
        found = segment_everything(predictor, grid=grid, closer=closer, sieve=sieve)
        seconds.append(time.perf_counter() - start)
        counts.append(len(found))
        best += [_best(found, entry.target) for entry in sample.objects]
    half, most = (sum(iou >= least for iou in best) / len(best) for least in (0.5, 0.75))
    return (
        f"recall {half:.2f} at 0.5, {most:.2f} at 0.75 ({len(best)} objects, {len(samples)} images), "
        f"{statistics.mean(counts):.0f} candidates and {statistics.median(seconds):.1f} s an image"
    )


def _best(found: list[Candidate], target: Any) -> float:
    """The largest IoU of a candidate with an object; pixels to be ignored do not count."""
    import numpy as np

    truth, counted = target == 1, target != 255
    best = 0.0
    for candidate in found:
        mask = candidate.mask(target.shape) & counted
        best = max(best, float(np.count_nonzero(mask & truth) / np.count_nonzero(mask | truth)))
    return best


def _latency(predictor: Predictor, image: Any, grid: int, rounds: int) -> str:
    import numpy as np

    from napari_ois.segmentation.everything import BATCH, grid_points, segment_everything
    from napari_ois.segmentation.view import View

    ones = np.ones(1, np.int64)
    sequential, batched = [], []

    def one_by_one() -> None:
        predictor.set_image(image)
        for point in grid_points(View.whole(predictor.image_shape), grid):
            predictor.predict(point[None], ones)

    def in_batches() -> None:
        predictor.set_image(image)
        segment_everything(predictor, grid=grid)

    in_batches()  # warm-up
    for _ in range(rounds):
        for work, times in ((one_by_one, sequential), (in_batches, batched)):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
    ratios = [one / other for one, other in zip(sequential, batched, strict=True)]
    return (
        f"{grid * grid} prompts one by one / in batches of {BATCH} with candidates made: "
        f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}, {rounds} rounds; "
        f"medians {statistics.median(sequential):.1f} s and {statistics.median(batched):.1f} s)"
    )


if __name__ == "__main__":
    main()
