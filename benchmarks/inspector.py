"""What the order inspector costs a click: the same clicks with and without it, in turns, as ratios.

    python benchmarks/inspector.py [--image 1024] [--rounds 20] [--threads 2]

``answer`` is what the user waits for; with the inspector open the thread then answers the same clicks again, once
keeping what the attention looked at and once without order, which delays nobody but the next click.
"""

from __future__ import annotations

import argparse
import statistics
import time


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=int, default=1024, help="side of the image in pixels")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=0, help="0 = torch's own choice")
    parser.add_argument("--model", default="ois-compact")
    options = parser.parse_args()

    import numpy as np
    import torch

    from napari_ois import Predictor
    from napari_ois.segmentation.inspection import Inspection

    if options.threads:
        torch.set_num_threads(options.threads)
    rng = np.random.default_rng(0)
    predictor = Predictor(options.model)
    predictor.set_image(rng.integers(0, 256, (options.image, options.image, 3), dtype=np.uint8))
    points = rng.uniform(0.2, 0.8, (4, 2)) * options.image
    labels = [1, 0, 1, 0]
    times: dict[str, list[float]] = {"answer": [], "traced answer": [], "inspection": [], "without order": []}
    for _ in range(options.rounds + 3):
        first = predictor.predict(points[:3], labels[:3])
        marks = [time.perf_counter()]
        plain = predictor.predict(points, labels, previous=first)
        marks.append(time.perf_counter())
        traced = predictor.again(plain, inspect=True)
        marks.append(time.perf_counter())
        inspection = Inspection(traced)
        inspection.attention(3)
        inspection.profile()
        marks.append(time.perf_counter())
        inspection.change(predictor.again(plain, order_strength=0))
        marks.append(time.perf_counter())
        for name, begin, end in zip(times, marks, marks[1:], strict=False):
            times[name].append(end - begin)
    base = statistics.median(times["answer"][3:])
    for name, values in times.items():
        median = statistics.median(values[3:])
        print(f"{name:15} {1000 * median:8.1f} ms   {median / base:5.2f} of an answer")


if __name__ == "__main__":
    main()
