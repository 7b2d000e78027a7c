"""A model trained further on a user's own labels, and measured before and after on images that it did not see.

The rule of this file: nothing is promised that was not measured. Images are kept back whole, both counts of
clicks are of the files that users load, and a model that did not get better is not written under the name of
one that did.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from napari_ois.checkpoints.loading import load_model
from napari_ois.checkpoints.registry import ModelInfo, user_folder
from napari_ois.checkpoints.store import read_checkpoint, save_checkpoint
from napari_ois.errors import InputError, WeightsError
from napari_ois.evaluation.metrics import bootstrap_interval, differences
from napari_ois.network import PRESETS
from napari_ois.segmentation.files import check_target, whole_folder
from napari_ois.segmentation.placement import Placement, choose_device, choose_precision
from napari_ois.segmentation.predictor import Predictor
from napari_ois.training.dev import Labelled, is_better, measure_objects
from napari_ois.training.division import apart, divide, set_apart, usable
from napari_ois.training.folders import read_collection
from napari_ois.training.memory import kept_memory
from napari_ois.training.recipe import Recipe
from napari_ois.training.tuning import RATE, between, recipe_of, tune

LOG = logging.getLogger(__name__)

GOOD, BAD = "finetuned.safetensors", "finetuned-not-better.safetensors"
"""Names of the checkpoint, by what the kept-back images say."""

UNCOUNTED = "not-counted.safetensors"
"""End of the name of one that they were not asked about; beside the folder, or in it where that is there."""

MOST_OBJECTS = 60
"""Most objects that clicks are counted on unless more are asked for, spread evenly over the images kept back."""

SHARES = (0.5, 1.0)
"""How far from the first weights to the last ones; without images to choose on, the more careful."""

_CHOOSING = 40
"""Most objects that a share is chosen on."""


@dataclass(frozen=True)
class FinetuneReport:
    """What a fine-tuning was worth.

    Attributes
    ----------
    path : Path
        The checkpoint.
    better : bool
        Whether fewer clicks are needed; see :func:`napari_ois.training.dev.is_better`.
    before, after : dict
        Means over the kept-back objects (of several sets, over the sets' means): ``noc85`` and ``noc90``, clicks
        needed for an IoU of 85 and 90 %
        (20 if it is never reached), and ``iou_1``, ``iou_3``, ``iou_5``.
    noc85_change : (float, float)
        Where the change of ``noc85`` lies when the objects are drawn again, 95 % of the draws; negative = fewer.
    objects : int
        On which clicks were counted.
    share : float
        How far the kept weights are from the first to the last ones: 0.5 or 1.
    trained_on, chosen_on, kept_back : list of str
        Names of the images that were learnt from, that the share was chosen on, and that clicks were counted on.
    skipped : list of str
        Names of the images without an object.
    steps : int
    seconds : float
        Of training, without the counting.
    start : str
        The model that it started from.
    """

    path: Path
    better: bool
    before: dict[str, float]
    after: dict[str, float]
    noc85_change: tuple[float, float]
    objects: int
    share: float
    trained_on: list[str]
    chosen_on: list[str]
    kept_back: list[str]
    skipped: list[str]
    steps: int
    seconds: float
    start: str


def finetune(
    data: str | Path,
    output: str | Path,
    *,
    start: str | Path = "ois-compact",
    minutes: float = 10.0,
    steps: int | None = None,
    encoder: bool = False,
    holdout: float = 0.2,
    dev: str | Path | None = None,
    objects: int = MOST_OBJECTS,
    seed: int = 0,
    rate: float = RATE,
    device: str = "auto",
    precision: str = "auto",
    input_size: int | None = None,
    progress: Callable[[float], Any] | None = None,
) -> FinetuneReport:
    """Train a model's prompt blocks and mask decoder further on one's own labels.

    Parameters
    ----------
    data : str or Path
        ``images`` and ``masks`` (label images: 0 background, ids, or 0 and 255; same stem; PNG, TIFF, NPY), or
        another layout of :func:`napari_ois.training.folders.read_collection`.
    output : str or Path
        Folder for ``finetuned.safetensors`` and ``report.json``. A model that did not get better is written as
        ``finetuned-not-better.safetensors``; an older ``finetuned.safetensors`` there stays as it is.
    start : str or Path
        Model or checkpoint to start from.
    minutes : float
        Length of the training; counting clicks comes on top.
    steps : int, optional
        Length in steps, instead of minutes: then the result depends on the seed alone.
    encoder : bool
        Train the image encoder too (a tenth of the rate, its batch norms as they are). The depth decoder is
        never trained, as labels tell nothing of depth; the depth of the first model is held on to instead.
    holdout : float
        Share of the images that is kept back; at least one.
    dev : str or Path, optional
        Folder of other images to count clicks on, in any layout that `data` may have; nothing of `data` is then kept
        back.
    objects : int
        Most objects that clicks are counted on: more take longer, and tell smaller changes from chance.
    seed : int
        Of the division of the images and of everything drawn.
    rate : float
        Learning rate, which falls along a cosine to 2 %.
    device, precision : str
        See :class:`~napari_ois.segmentation.predictor.Predictor`.
    input_size : int, optional
        Longest side that the network sees, in training and when clicks are counted; by default the preset's.
    progress : callable, optional
        Called with thousandths of the training done.

    Returns
    -------
    FinetuneReport

    Raises
    ------
    InputError
        When there are fewer than two images with objects, a file is damaged, or nothing can be written.
    WeightsError
        When the model to start from has no weights for masks.
    OISError
        When the training failed.
    """
    output = Path(output)
    check_target(output)
    items, skipped = usable(read_collection(data))
    train_items, kept = divide(items, holdout, seed) if dev is None else (items, apart(dev, items))
    train_items, choosing = set_apart(train_items, seed)
    network, info = load_model(start)
    _check_start(start, info, encoder)
    counted = Labelled(kept, most=objects)
    placement = _place(device, precision)
    side = input_size or PRESETS[info.preset].input_size
    options: dict[str, Any] = {"device": device, "precision": precision, "input_size": side}
    before, clicks_before = measure_objects(Predictor(start, **options), counted)
    network.to(placement.device)
    first = {name: value.clone() for name, value in network.state_dict().items()}
    recipe = recipe_of(info.preset, side, seed=seed, rate=rate)
    length = minutes * 60 if steps is None else None
    with kept_memory():
        average, done, seconds = tune(network, recipe, train_items, placement, encoder, length, steps, progress)
    metadata = _metadata(info, start, recipe, done, seconds, len(train_items), encoder)
    with _spared(output.absolute(), average, metadata), whole_folder(output) as staging:
        ways = {share: between(first, average, share) for share in SHARES}
        share = _choose(ways, metadata, staging / BAD, options, Labelled(choosing, most=_CHOOSING))
        path = save_checkpoint(ways[share], staging / BAD, metadata={**metadata, "share": str(share)})
        after, clicks_after = measure_objects(Predictor(path, **options), counted)
        better = is_better(after, before)
        if better:
            path = path.rename(staging / GOOD)
        report = FinetuneReport(
            path=output / path.name,
            better=better,
            before=before,
            after=after,
            noc85_change=bootstrap_interval(differences(clicks_after, clicks_before)),
            objects=counted.n_objects,
            share=share,
            trained_on=[item.image.name for item in train_items],
            chosen_on=[item.image.name for item in choosing],
            kept_back=[item.image.name for item in kept],
            skipped=skipped,
            steps=done,
            seconds=seconds,
            start=str(start),
        )
        (staging / "report.json").write_text(json.dumps(as_record(report), indent=2) + "\n", encoding="utf-8")
    return report


def _choose(
    ways: Mapping[float, Mapping[str, torch.Tensor]],
    metadata: dict[str, Any],
    path: Path,
    options: dict[str, Any],
    counted: Labelled,
) -> float:
    """Choose the share that needs the fewest clicks; a file is written for each, since users load files."""
    best, found = min(ways), None
    for share in sorted(ways) if counted.n_objects else ():
        figures, _ = measure_objects(
            Predictor(save_checkpoint(ways[share], path, metadata=metadata), **options), counted
        )
        if is_better(figures, found):
            best, found = share, figures
    return best


@contextmanager
def _spared(output: Path, average: dict[str, torch.Tensor], metadata: dict[str, Any]) -> Iterator[None]:
    """Keep what was learnt until the folder is whole: counting clicks takes minutes, and may be stopped."""
    home = output if output.is_dir() else output.parent  # as for the folder itself
    names = (f"{output.name}-{UNCOUNTED}", *(f"{output.name}-{number}-{UNCOUNTED}" for number in range(2, 100)))
    spare = next((home / name for name in names if not (home / name).exists()), home / names[0])
    try:
        home.mkdir(parents=True, exist_ok=True)
        save_checkpoint(average, spare, metadata=metadata)
    except (OSError, WeightsError) as error:
        LOG.warning("What was learnt cannot be kept meanwhile (%s).", error)
    try:
        yield
    except BaseException:
        if spare.is_file():
            LOG.warning("What was learnt is kept in %s; its clicks were not counted.", spare)
        raise
    spare.unlink(missing_ok=True)


def _check_start(start: str | Path, info: ModelInfo, encoder: bool) -> None:
    if not info.available or info.path is None:
        raise WeightsError(info.note or f"{start} has no weights for masks; choose another model to start from.")
    if encoder and PRESETS[info.preset].encoder == "vit":
        raise InputError(f"The encoder of {info.preset} is kept as it is; leave the encoder out.")


def _place(device: str, precision: str) -> Placement:
    chosen = choose_device(device)
    dtype = choose_precision(precision, chosen)
    if dtype == torch.float16 and precision == "auto":
        dtype = torch.float32  # a GPU without bf16
    if dtype == torch.float16:
        raise InputError("Fine-tuning in fp16 would lose small gradients; use precision fp32 or bf16.")
    return Placement(chosen, dtype)


def _metadata(
    info: ModelInfo, start: str | Path, recipe: Recipe, steps: int, seconds: float, images: int, encoder: bool
) -> dict[str, Any]:
    assert info.path is not None
    header = read_checkpoint(info.path).metadata
    parts = "encoder, prompt blocks and mask decoder" if encoder else "prompt blocks and mask decoder"
    return {
        "preset": info.preset,
        "switches": header.get("switches", "{}"),
        "licence": info.licence,
        "finetuned_from": f"{start} (sha256 {info.sha256})",
        "finetuned": f"{parts}, {steps} steps in {seconds:.0f} s on {images} images of the user's own",
        "seed": str(recipe.seed),
    }


def as_record(report: FinetuneReport) -> dict[str, Any]:
    """The report as plain values, for JSON."""
    return {**asdict(report), "path": str(report.path)}


def format_report(report: FinetuneReport) -> str:
    """A few lines for people."""
    before, after = report.before, report.after
    columns = {"NoC85": "noc85", "NoC90": "noc90", "IoU@1": "iou_1", "IoU@3": "iou_3", "IoU@5": "iou_5"}
    lines = [
        f"{report.steps} steps in {report.seconds:.0f} s on {len(report.trained_on)} images, "
        f"{'half' if report.share < 1 else 'all'} of the way kept; measured on "
        f"{report.objects} objects of {len(report.kept_back)} images kept back.",
        f"{'':<8}" + "".join(f"{title:>8}" for title in columns),
    ]
    for name, figures in (("before", before), ("after", after)):
        cells = (
            f"{figures[key]:8.2f}" if key.startswith("noc") else f"{figures[key]:8.3f}" for key in columns.values()
        )
        lines.append(f"{name:<8}" + "".join(cells))
    low, high = report.noc85_change
    chance = "; these objects are too few to tell it from chance" if low <= 0 <= high else ""
    lines.append(f"NoC85 changed by {after['noc85'] - before['noc85']:+.2f} ({low:+.2f} to {high:+.2f}{chance}).")
    if report.skipped:
        lines.append(f"Skipped, without an object: {', '.join(report.skipped)}.")
    if report.better:
        lines.append(f"Better: {report.path}")
        lines.append(f"For the viewer's list of models, copy it into {user_folder()}.")
    else:
        lines.append(
            f"NOT better than {report.start}: keep using that one. The new weights are in {report.path}, "
            "in case you want to look at them."
        )
    lines.append("NoC: mean number of clicks until the IoU is reached, 20 if never; in brackets where the change lies")
    lines.append("when the objects are drawn again, 95 % of the draws.")
    return "\n".join(lines)
