"""Rule: a method is a name; whoever evaluates gets a :class:`ClickPredictor` for it and asks no more.

============================  ========================================================================
name                          what answers the clicks
============================  ========================================================================
``grabcut``                   :class:`~napari_ois.evaluation.classical.GrabCut`
``random-walker``             :class:`~napari_ois.evaluation.classical.RandomWalker`
``flood-fill``                :class:`~napari_ois.evaluation.classical.FloodFill`
``sam:FOLDER``                SAM, with weights in the folder
``sam-hq:FOLDER``             SAM-HQ, with weights in the folder
``MODEL``                     :class:`napari_ois.Predictor`: a model's name or a checkpoint file
``MODEL:switch=value,...``    the same weights with other switches of the network (``use_order=false``), or
                              of the predictor (``close_up=false``, ``input_size=448``), or answering at
                              another strength of order (``order_strength=0``: as if all lay as deep)
============================  ========================================================================

A network's switch leaves out the weights that a switch removes, which the trained network may have come to rely on.
What order is worth to it, ``order_strength`` tells; the paper's ablations are trained without the part: for those, give
their own checkpoints.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_ois.errors import InputError, WeightsError
from napari_ois.evaluation.run import ClickPredictor

if TYPE_CHECKING:
    import numpy as np

    from napari_ois.checkpoints import ModelInfo
    from napari_ois.network import OIS

CLASSICAL = ("grabcut", "random-walker", "flood-fill")
SAM_FAMILIES = ("sam", "sam-hq")

PREDICTOR_SWITCHES = ("close_up", "input_size")
"""Switches that belong to the predictor; all others but the next are the network's."""

STRENGTH = "order_strength"

_SWITCHES = re.compile(r"(?P<model>.+?):(?P<switches>\w+=[^:/\\]*)")


@dataclass(frozen=True)
class Method:
    """A named method and the options of those that run a network.

    Attributes
    ----------
    name : str
        See the table above.
    device, precision : str
    input_size : int, str or None
        None is the full size, on every device.
        As :class:`napari_ois.Predictor` takes them.
    """

    name: str
    device: str = "auto"
    precision: str = "auto"
    input_size: int | str | None = None

    @property
    def is_model(self) -> bool:
        """Whether one of our networks answers."""
        return self.name not in CLASSICAL and self.name.partition(":")[0] not in SAM_FAMILIES

    def make(self) -> ClickPredictor:
        """Make the predictor, with its weights.

        Raises
        ------
        InputError
            If a library is missing or a switch is unknown.
        WeightsError
            If weights are missing, damaged, or do not fit the switches.
        """
        kind, _, folder = self.name.partition(":")
        if self.name in CLASSICAL:
            from napari_ois.evaluation import classical

            makers = (classical.GrabCut, classical.RandomWalker, classical.FloodFill)
            return dict(zip(CLASSICAL, makers, strict=True))[self.name]()
        if kind in SAM_FAMILIES:
            from napari_ois.evaluation.transformers_methods import SamPredictor

            if not folder:
                raise InputError(f"{kind} needs the folder of its weights: {kind}:FOLDER.")
            return SamPredictor(folder, family=kind, device=self.device)
        return self._make_model()

    def _make_model(self) -> ClickPredictor:
        from napari_ois.network import PRESETS
        from napari_ois.segmentation.predictor import Predictor
        from napari_ois.segmentation.quality import choose_input_size

        model, switches = parse_model(self.name)
        strength = switches.pop(STRENGTH, None)
        options = {
            "device": self.device,
            "precision": self.precision,
            "input_size": self.input_size or "full",  # on every device what the model is measured at
            **{key: switches.pop(key) for key in PREDICTOR_SWITCHES if key in switches},
        }
        if switches:
            network, info = load_network(self.name)
            preset = PRESETS[info.preset]
            options["input_size"] = choose_input_size(options["input_size"], preset, "cpu")
            options.setdefault("close_up", preset.close_up)
            predictor = Predictor.from_network(network, multiple=preset.multiple, info=info, **options)
        else:
            predictor = Predictor(model, **options)
        return predictor if strength is None else WithStrength(predictor, strength)


class WithStrength:
    """Answers as a predictor does at one strength of order.

    Parameters
    ----------
    predictor : Predictor
    strength : float
        See :meth:`napari_ois.Predictor.predict`.

    Raises
    ------
    InputError
        If the strength is none.
    """

    def __init__(self, predictor: ClickPredictor, strength: Any) -> None:
        from napari_ois.segmentation.clicks import checked_strength

        if isinstance(strength, bool) or not isinstance(strength, int | float):
            raise InputError(f"{STRENGTH}={strength} is no number; write for instance {STRENGTH}=0.")
        self._predictor: Any = predictor
        self._strength = checked_strength(strength)

    def __getattr__(self, name: str) -> Any:
        """All else is the predictor's."""
        return getattr(self._predictor, name)

    def set_image(self, image: np.ndarray, *, depth: np.ndarray | None = None) -> None:
        """Embed an image."""
        self._predictor.set_image(image, depth=depth)

    def predict(self, points: np.ndarray, labels: np.ndarray, previous: Any = None) -> Any:
        """Answer all clicks so far."""
        return self._predictor.predict(points, labels, previous=previous, order_strength=self._strength)


def parse_model(name: str) -> tuple[str, dict[str, Any]]:
    """Split ``MODEL:switch=value,...`` into the model and its switches.

    Values are written as in JSON (``true``, ``3``, ``[96, 128]``); an InputError names what is not.
    """
    found = _SWITCHES.fullmatch(name)
    if found is None:
        return name, {}
    return found["model"], read_switches(re.split(r",(?=\w+=)", found["switches"]))


def read_switches(parts: Iterable[str]) -> dict[str, Any]:
    """Switches written as ``name=value``, values as in JSON; an InputError names what is not."""
    switches = {}
    for part in parts:
        key, _, value = part.partition("=")
        try:
            switches[key] = json.loads(value.lower())
        except ValueError as error:
            raise InputError(f"{part!r} is no switch; write for instance use_order=false.") from error
    return switches


def load_network(name: str) -> tuple[OIS, ModelInfo]:
    """Load the network of a model method, with its switches.

    Raises
    ------
    InputError
        If a switch is unknown.
    WeightsError
        If there are no weights for masks, or the switches ask for weights that there are not.
    """
    from napari_ois.checkpoints import load_model, read_checkpoint
    from napari_ois.checkpoints.store import make_network
    from napari_ois.network.meta import build_on_meta

    model, given = parse_model(name)
    switches = {key: value for key, value in given.items() if key not in (*PREDICTOR_SWITCHES, STRENGTH)}
    network, info = load_model(model)
    if not switches:
        return network, info
    if info.path is None or not info.available:
        raise WeightsError(info.note or f"{model} has no weights for masks; its switches cannot be tried.")
    checkpoint = read_checkpoint(info.path)
    both = {**checkpoint.switches, **switches}
    after = build_on_meta(info.preset, **both)
    wanted = after.state_dict()
    # the weights that take the maps of the dense prompt, with what they take now and then
    dense = _dense_parts(network), _dense_parts(after)
    cues = _cue_parts(network), _cue_parts(after)
    with_maps = {"dense.convolution.weight": dense, "cues.coarse.weight": cues, "cues.fine.weight": cues}
    state = {}
    for key, value in checkpoint.state.items():
        if key in wanted:
            state[key] = _without_channels(value, *with_maps[key]) if key in with_maps else value
    lacking = [
        key
        for key, value in wanted.items()
        if not key.endswith("num_batches_tracked") and (key not in state or state[key].shape != value.shape)
    ]
    if lacking:
        raise WeightsError(
            f"{model} has no weights for {', '.join(map(str, switches))} ({lacking[0]}); train a network with it."
        )
    changed = replace(checkpoint, state=state, metadata={**checkpoint.metadata, "switches": json.dumps(both)})
    return make_network(changed, info.path), replace(info, name=name)


def _dense_parts(network: OIS) -> list[tuple[str, int]]:
    """Channels of the dense prompt in their order: disks, order maps, previous mask."""
    from napari_ois.network.extensions import ORDER_CHANNELS, PREVIOUS_CHANNELS

    parts = [("disks", 2)]
    if network.dense_order:
        parts.append(("order", ORDER_CHANNELS))
    if network.dense_previous:
        parts.append(("previous", PREVIOUS_CHANNELS))
    return parts


def _cue_parts(network: OIS) -> list[tuple[str, int]]:
    """Channels of the cues' prompt in their order."""
    from napari_ois.network.appearance import APPEARANCES
    from napari_ois.network.surface import CUES

    return [("cues", CUES), *_dense_parts(network), *([("appearance", APPEARANCES)] if network.appearance else [])]


def _without_channels(weight: Any, before: list[tuple[str, int]], after: list[tuple[str, int]]) -> Any:
    """Leave out the input channels (axis 1) of the parts that are gone."""
    import torch

    parts = dict(zip([name for name, _ in before], weight.split([count for _, count in before], dim=1), strict=True))
    return torch.cat([parts[name] for name, _ in after if name in parts], dim=1)
