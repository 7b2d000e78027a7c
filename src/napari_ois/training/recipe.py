"""The numbers of a training: what is drawn, how fast is learned, for how long.

The rule of this file: a recipe holds plain numbers, so that a checkpoint can say exactly how it was made and a
resumed training can refuse another one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import torch

from napari_ois.errors import InputError
from napari_ois.network import OIS, PRESETS
from napari_ois.network.presets import check_switches
from napari_ois.training.batches import BatchStream, ImageSource, Phase
from napari_ois.training.muon import Muon
from napari_ois.training.windows import WHOLE_IMAGE

LOSSES = ("bce_dice", "nfl")
SCHEDULES = ("cosine", "step")
VIEWS = ("window", "whole")
OPTIMIZERS = ("adam", "muon")


@dataclass(frozen=True)
class Recipe:
    """The numbers of one training; what a preset is trained with, :func:`recipe_for` says.

    Attributes
    ----------
    steps : int
        Length.
    phases : tuple of Phase
        Window sizes over the training.
    rate, warmup, schedule : float, int, str
        Learning rate, reached after so many steps; then a "cosine" to 2 % at the end, or a "step" to a tenth
        after four fifths.
    optimizer : str
        "adam", with decoupled decay, or "muon" for matrices (:class:`napari_ois.training.muon.Muon`).
    ema : float
        Decay of the weights' running mean, which is what is exported; 0 = the weights themselves.
    loss : str
        "bce_dice" or "nfl", the normalised focal loss.
    rounds : tuple of float
        Probability of 0, 1, 2, ... corrective clicks before the one prediction that is learned from.
    first_weight : float
        Weight of the first click's own loss in steps with corrective clicks, beside 1 for the last one's; the
        encoding, which costs most, is then learned from twice.
    again : float
        Share of steps in which the first answer is looked at again without another click, as the predictor does
        (:mod:`napari_ois.segmentation.looks`); half of the time coarsened, as an answer in a wider view is.
    seeded : float
        Share of steps in which every object begins from a drawn box or from a mask that is nearly right
        (:mod:`napari_ois.training.seeds`).
    random_start : float
        Share of steps that start from RITM's random clicks instead of one click near the middle.
    at_maximum : float
        Share of corrective clicks at the very middle of the error, where the evaluation's robot clicks.
    true_depth, no_depth : float
        Probability that an image's order comes from its true depth, where there is one, or from a constant:
        the first teaches what order means, the second that depth may say nothing.
    real_share : float
        Share of windows from real images, where made scenes are used too.
    objects : int
        Most objects of one window.
    whole : float
        Share of the windows that are not cut close which show the whole image, as a first click sees it.
    aspects : tuple of float
        Widths of windows over their heights, one drawn for each step; windows then stay within the picture, as views
        in use do. Empty: squares, which may reach beyond.
    view : str
        "window", cut at many scales around objects, or "whole", the whole image as SegNext shows it.
    borrowed : bool
        Whether encoder and depth decoder are taken over from the model that the training starts from and left
        alone, while all else begins at random: as the paper does with Depth Anything. Ablations that share them
        differ in the switch, and in the random numbers that parts built after it begin from.
    licences : tuple of str
        Licence classes of the real images that are used, as a manifest names them, also for the surfaces of made
        scenes; empty = all.
    switches : dict
        Of the network, for ablations.
    """

    preset: str = "ois-compact"
    steps: int = 5500
    phases: tuple[Phase, ...] = (
        Phase(0.48, 128, 10),
        Phase(0.635, 192, 6),
        Phase(0.785, 192, 6, tight=0.6),
        Phase(1.0, 192, 6, tight=0.6, bce_weight=0.5),
    )
    rate: float = 2e-3
    warmup: int = 100
    schedule: str = "cosine"
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.03
    clip: float = 2.0
    optimizer: str = "adam"
    ema: float = 0.998
    loss: str = "bce_dice"
    depth_weight: float = 1.0
    rounds: tuple[float, ...] = (0.5, 0.2, 0.14, 0.1, 0.06)
    first_weight: float = 0.0
    again: float = 0.0
    seeded: float = 0.0
    random_start: float = 0.15
    at_maximum: float = 0.4
    true_depth: float = 0.6
    no_depth: float = 0.12
    real_share: float = 0.65
    objects: int = 3
    whole: float = WHOLE_IMAGE
    aspects: tuple[float, ...] = ()
    view: str = "window"
    seed: int = 0
    borrowed: bool = False
    licences: tuple[str, ...] = ()
    switches: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse names that no training knows, before anything is prepared for it."""
        for name, value, known in (
            ("loss", self.loss, LOSSES),
            ("schedule", self.schedule, SCHEDULES),
            ("view", self.view, VIEWS),
            ("optimizer", self.optimizer, OPTIMIZERS),
        ):
            if value not in known:
                raise InputError(f"There is no {name} {value!r}; use one of {', '.join(known)}.")
        check_switches(self.switches)


FRESH: dict[str, Any] = {
    "rounds": (0.5, 0.2, 0.15, 0.1, 0.05),
    "again": 0.5,
    "seeded": 0.2,
    "whole": 0.5,
    "steps": 8000,
    "phases": (
        Phase(0.3, 128, 24, tight=0.3, bce_weight=2.0, turns=((96, 36),)),
        Phase(0.65, 128, 24, tight=0.3, bce_weight=1.0, turns=((160, 16), (192, 12))),
        Phase(1.0, 192, 12, tight=0.3, bce_weight=0.5, turns=((160, 16), (224, 8))),
    ),
    "optimizer": "muon",
    "warmup": 200,
    "real_share": 0.6,
}
"""How a compact model begins: many small windows first, then fewer and larger ones."""

AS_USED: dict[str, Any] = {
    "rounds": (0.45, 0.2, 0.14, 0.09, 0.05, 0.03, 0.02, 0.02),
    "again": 0.5,
    "seeded": 0.15,
    "random_start": 0.08,
    "at_maximum": 0.6,
    "whole": 0.5,
    "aspects": (1.0, 1.0, 4 / 3, 3 / 2, 4 / 3, 3 / 4, 2 / 3, 1.2),
}
"""Windows and clicks as a compact model meets them in use: of a picture's shape and inside it, many of the whole
picture, clicks at the middle of the error and up to seven of them."""

CONTINUED: dict[str, Any] = {
    **AS_USED,
    "steps": 2150,
    "phases": (
        Phase(0.5, 128, 24, tight=0.3, bce_weight=1.0, turns=((160, 16), (192, 12))),
        Phase(1.0, 192, 12, tight=0.3, bce_weight=0.5, turns=((160, 16), (224, 8))),
    ),
    "optimizer": "muon",
    "rate": 1.2e-3,
    "warmup": 150,
    "depth_weight": 0.5,
    "real_share": 0.72,
}
"""How a compact model goes on: as run 10 did (docs/training-log.md)."""


def recipe_for(preset: str, *, continued: bool = False, **changes: Any) -> Recipe:
    """The recipe of a preset: our own for the compact one, the paper's for the ViT ones.

    Parameters
    ----------
    preset : str
    continued : bool
        For a training that starts from a trained model: the compact preset then has other numbers.
    **changes
        Fields of :class:`Recipe` to set otherwise.

    Notes
    -----
    The paper names the loss, the data, the 15 epochs and the input size. The rest is SegNext's, whose protocol
    it follows: Adam at 5e-5, a tenth of it for the last three epochs, 30,000 samples an epoch in batches of 12,
    RITM's first clicks and up to three corrective ones, and SegNext's augmentation
    (:func:`napari_ois.training.windows.sample_whole`). Two of its rules are not followed: objects count from 20
    pixels in the window on, not from 1,000, and a window without an object is drawn again instead of being taught.

    Raises
    ------
    InputError
        If there is no such preset.
    """
    if preset not in PRESETS:
        raise InputError(f"There is no preset {preset}; use one of {', '.join(PRESETS)}.")
    numbers = CONTINUED if continued else FRESH
    if PRESETS[preset].encoder == "vit":
        numbers = {
            "steps": 15 * 30_000 // 12,
            "phases": (Phase(1.0, PRESETS[preset].input_size, 12),),
            "rate": 5e-5,
            "warmup": 1,
            "schedule": "step",
            "betas": (0.9, 0.999),
            "weight_decay": 0.0,
            "clip": math.inf,
            "ema": 0.0,
            "loss": "nfl",
            "depth_weight": 0.0,  # decoder A is frozen
            "rounds": (0.25, 0.25, 0.25, 0.25),
            "random_start": 1.0,
            "at_maximum": 0.0,
            "true_depth": 0.0,
            "no_depth": 0.0,
            "objects": 1,
            "view": "whole",
        }
    return Recipe(preset=preset, **{**numbers, **changes})


def stream_of(
    recipe: Recipe, pack: Path | ImageSource | None, scenes: Path | None, *, share: tuple[int, int] = (0, 1)
) -> BatchStream:
    """The batches of a recipe; see :class:`napari_ois.training.batches.BatchStream`."""
    return BatchStream(
        pack,
        scenes,
        phases=list(recipe.phases),
        steps=recipe.steps,
        seed=recipe.seed,
        real_share=recipe.real_share,
        objects=recipe.objects,
        view=recipe.view,
        whole=recipe.whole,
        aspects=recipe.aspects,
        share=share,
        licences=recipe.licences,
    )


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up, then the recipe's schedule."""
    if step < recipe.warmup:
        return recipe.rate * (step + 1) / recipe.warmup
    share = min(1.0, (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup))
    if recipe.schedule == "step":
        return recipe.rate * (1.0 if share < 0.8 else 0.1)
    return recipe.rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))


def make_optimizer(model: OIS, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer, with decoupled decay on matrices only: norms, biases and sigma are left alone."""
    learned = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learned if p.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in learned if p.ndim < 2], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "muon":
        return Muon(groups, lr=recipe.rate, betas=recipe.betas)
    # Fused: on a CPU the plain one takes as long as a tenth of a small network's step.
    return torch.optim.AdamW(groups, lr=recipe.rate, betas=recipe.betas, fused=True)


def as_plain(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain values that a checkpoint can hold safely."""
    plain = dict(vars(recipe))
    plain["phases"] = [list(astuple(phase)) for phase in recipe.phases]
    plain["rounds"] = list(recipe.rounds)
    plain["betas"] = list(recipe.betas)
    plain["licences"] = list(recipe.licences)
    plain["aspects"] = list(recipe.aspects)
    return plain


def is_same(stored: Mapping[str, Any], recipe: Recipe) -> bool:
    """Whether a checkpoint's recipe is this one; what an older version did not know had its default then."""
    return {**as_plain(Recipe()), **stored} == as_plain(recipe)
