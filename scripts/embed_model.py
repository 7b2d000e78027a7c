"""Put a trained model into the package, and write its card from what was measured on the file that ships.

    python scripts/embed_model.py weights runs/compact/last.pt
    napari-ois evaluate DEV --report report
    napari-ois order-control --json > report/order.json
    python scripts/embed_model.py card report --story docs/models/ois-compact.md

The card's figures come from the report's files, never from the keyboard.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from napari_ois.checkpoints.exporting import export_embedded, read_training
from napari_ois.checkpoints.registry import EMBEDDED_FOLDER

NAME = "ois-compact"
PERMISSIVE = "BSD-3-Clause; learnt from images under licences that allow commercial use, see the model card"
OTHERS = "BSD-3-Clause; learnt partly from images for research only, see the model card"
COLUMNS = {"iou_1": "IoU@1", "iou_3": "IoU@3", "iou_5": "IoU@5", "noc85": "NoC@85", "noc90": "NoC@90"}


def main() -> int:
    """Write the weights, or the card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    weights = commands.add_parser("weights", help="export a training's averaged weights")
    weights.add_argument("training", type=Path, help="the trainer's last.pt")
    card = commands.add_parser("card", help="write the model card")
    card.add_argument("report", type=Path, help="folder with summary.json and order.json")
    card.add_argument("--story", type=Path, required=True, help="Markdown on data, recipe and limits")
    options = parser.parse_args()
    if options.command == "weights":
        state, metadata = read_training(options.training)
        print(export_embedded(state, EMBEDDED_FOLDER, {**metadata, "licence": licence_of(metadata)}))
    else:
        path = EMBEDDED_FOLDER / f"{NAME}.md"
        path.write_text(model_card(options.report, options.story), encoding="utf-8")
        print(path)
    return 0


def licence_of(metadata: dict[str, Any]) -> str:
    """Permissive only if every image was, from random weights on, or from those embedded now if they are that."""
    facts = json.loads((EMBEDDED_FOLDER / f"{NAME}.json").read_text(encoding="utf-8"))
    start = metadata.get("start") or ""
    clean = not start or (facts["licence"] == PERMISSIVE and facts["sha256"] in start)
    return PERMISSIVE if clean and list(metadata["recipe"].get("licences", ())) == ["permissive"] else OTHERS


def model_card(report: Path, story: Path) -> str:
    """The card as Markdown: facts of the file, measured figures, and the story in words."""
    facts = json.loads((EMBEDDED_FOLDER / f"{NAME}.json").read_text(encoding="utf-8"))
    summary = json.loads((report / "summary.json").read_text(encoding="utf-8"))
    order = json.loads((report / "order.json").read_text(encoding="utf-8"))
    for measured in (summary, order):
        if measured.get("sha256") != facts["sha256"]:
            raise SystemExit(f"{report} was measured with other weights than those embedded; measure again.")
    megabytes = facts["size_bytes"] / 1e6
    return "\n".join(
        [
            f"# Model card: {NAME}",
            "",
            f"* {facts['parameters']:,} parameters, {megabytes:.1f} MB in half precision",
            f"* sha256 `{facts['sha256']}`",
            f"* licence of the weights: {facts['licence']}",
            "",
            # The story lies in docs/models, the card in the package.
            story.read_text(encoding="utf-8").strip().replace("](../", "](../../../../docs/"),
            "",
            "## Measured",
            "",
            *_click_table(summary),
            "",
            *_order_table(order),
            "",
        ]
    )


def _click_table(summary: dict[str, Any]) -> list[str]:
    lines = [
        f"Robot clicks on {summary['objects']} objects of images that no training has seen, at the images' own "
        f"resolution, up to {summary['max_clicks']} clicks, no flips, with close-ups and second looks as in use, the "
        "file that ships (`napari-ois evaluate DEV`). What ships was chosen by these very sets, so a set of your own "
        "is likelier to do a little worse than better:",
        "",
        "| set | objects | " + " | ".join(COLUMNS.values()) + " |",
        "| --- | --- |" + " --- |" * len(COLUMNS),
    ]
    for name, figures in summary["sets"].items():
        lines.append(f"| {name} | {figures['objects']} | " + _figures(figures) + " |")
    mean = _figures(summary["mean_over_sets"])
    lines.append(f"| **mean over sets** | {summary['objects']} | {mean} |")
    return lines


def _figures(figures: dict[str, float]) -> str:
    return " | ".join(f"{figures[key]:.3f}" if key.startswith("iou") else f"{figures[key]:.1f}" for key in COLUMNS)


def _order_table(order: dict[str, Any]) -> list[str]:
    low, high = (100 * value for value in order["interval"])
    lines = [
        f"What order is worth: the same clicks on {order['objects']} objects of made photographs with exact depth, "
        "drawn from a seed that no training uses (`napari-ois order-control`):",
        "",
        "| depth | IoU@1 | IoU@3 | IoU@5 |",
        "| --- | --- | --- | --- |",
    ]
    for name, ious in order["ious"].items():
        lines.append(f"| {name} | " + " | ".join(f"{ious[k]:.3f}" for k in ("1", "3", "5")) + " |")
    lines += [
        "",
        f"True against constant depth, first click: {100 * order['gain']:+.1f} points "
        f"(95 % bootstrap interval {low:+.1f} to {high:+.1f}).",
    ]
    return lines


if __name__ == "__main__":
    sys.exit(main())
