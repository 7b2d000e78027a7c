"""What a source of order is worth where colour says nothing: one click on each of the made, overlapping cells.

    python benchmarks/order_sources.py [--seeds 3]

Prints the mean IoU of the first click over all cells, with order from the stack (depth-coded maximum projection),
from the model's own estimate, and without order. All segment the same projection.
"""

from __future__ import annotations

import argparse


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="stacks to make")
    parser.add_argument("--model", default="ois-compact")
    options = parser.parse_args()

    import numpy as np
    from scipy.ndimage import distance_transform_edt

    from napari_ois import Predictor
    from napari_ois.segmentation.cells import made_cells
    from napari_ois.segmentation.stack_sources import Projection

    predictor = Predictor(options.model)
    found: dict[str, list[float]] = {"from the stack": [], "estimated": [], "none": []}
    for seed in range(options.seeds):
        cells = made_cells(seed=seed)
        order = Projection().compute(cells.stack)
        for name, depth, strength in (
            ("from the stack", order.depth, 1.0),
            ("estimated", None, 1.0),
            ("none", None, 0.0),
        ):
            predictor.set_image(order.image, depth=depth)
            for cell in np.unique(cells.labels)[1:]:
                truth = cells.labels == cell
                inside = distance_transform_edt(np.pad(truth, 1))[1:-1, 1:-1]
                click = np.unravel_index(int(inside.argmax()), truth.shape)
                mask = predictor.predict([click], [1], order_strength=strength).mask
                found[name].append(float((mask & truth).sum() / (mask | truth).sum()))
    for name, ious in found.items():
        print(f"order {name:15} IoU after one click {np.mean(ious):.3f}  ({len(ious)} cells)")


if __name__ == "__main__":
    main()
