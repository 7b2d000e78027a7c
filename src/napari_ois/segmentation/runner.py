"""One rule: the network runs here and nowhere else, and steps down to a smaller placement when memory runs out.

A :class:`Runner` owns the network and knows where it is. It keeps nothing of images or clicks.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from napari_ois.errors import Interrupted, OISError
from napari_ois.segmentation.boxed import refine_in_box
from napari_ois.segmentation.inspection import Looked, looked_at
from napari_ois.segmentation.placement import Placement, fallbacks, is_out_of_memory
from napari_ois.segmentation.stack_planes import never
from napari_ois.segmentation.view import View, carry, keep_inside

if TYPE_CHECKING:
    from napari_ois.network import OIS, ImageEmbedding
    from napari_ois.network.attention import BlockAttention
    from napari_ois.network.compiled import CompiledHalves
    from napari_ois.segmentation.embedding_cache import EmbeddingCache
    from napari_ois.segmentation.scene import Look

Result = TypeVar("Result")

MASK_THRESHOLD = 0.49
"""A pixel belongs to the mask above this probability (RITM's and SegNext's value)."""

MASK_LOGIT = float(np.log(MASK_THRESHOLD / (1 - MASK_THRESHOLD)))
"""The same as a logit."""


@dataclass(frozen=True, eq=False)
class Asked:
    """What the user asks for.

    Attributes
    ----------
    points : (N, 2) float32
        Row and column in image pixels, oldest first; checked.
    labels : (N,) int64
    strength : float
        Of order; 1 as trained, 0 off.
    inspect : bool
        Whether to keep what the attention looked at.
    bound : View or None
        The object does not reach out of it.
    """

    points: NDArray[np.float32]
    labels: NDArray[np.int64]
    strength: float
    inspect: bool
    bound: View | None = None


@dataclass(frozen=True, eq=False)
class Answer:
    """What the network said in one view.

    Attributes
    ----------
    logits : (1, 1, h, w) float32 tensor on the device
        At the input's resolution.
    view : View
    before : tensor like ``logits``, or None
        What it had been told of the answer before.
    looked : Looked or None
    """

    logits: torch.Tensor
    view: View
    before: torch.Tensor | None
    looked: Looked | None

    def mask(self) -> NDArray[np.bool_]:
        """(h, w) bool, at the input's resolution."""
        return (self.logits[0, 0] > MASK_LOGIT).cpu().numpy()


class Runner:
    """The network and its place.

    Parameters
    ----------
    network : OIS
        Moved to the device and put in evaluation mode.
    placement : Placement
    compiled : bool
        Run compiled halves of the network where shapes allow it; see :class:`CompiledHalves`.
    boxed : bool
        Answer later clicks around the mask before only, where nothing is compiled; see :func:`refine_in_box`.

    Attributes
    ----------
    looks_twice : bool
        Whether the network makes more of a first answer once it is told it: by the colours under it.
    interrupted : callable
        Asked before the encoder and before the decoder; where it says true, :class:`Interrupted` is raised.
    """

    def __init__(self, network: OIS, placement: Placement, *, compiled: bool = False, boxed: bool = False) -> None:
        self.network = network.eval()
        self.looks_twice: bool = getattr(network, "appearance", False)  # a network of the user's own may say nothing
        self._compiled, self._boxed = compiled, boxed and not compiled
        self._halves: OIS | CompiledHalves = network
        self.placement = placement
        self.fallbacks = fallbacks(placement)
        self.interrupted: Callable[[], bool] = never
        self._cache: EmbeddingCache | None = None
        self._model = ""
        self._listeners: list[weakref.WeakMethod[Callable[[], None]]] = []
        self.run(self._move)

    def listen(self, stepped_down: Callable[[], None]) -> None:
        """Have a method called when memory ran out, before the smaller placement is used: to let go of embeddings.

        Parameters
        ----------
        stepped_down : bound method
            Held weakly: whoever is gone holds no embedding.
        """
        self._listeners.append(weakref.WeakMethod(stepped_down))

    def embed(self, look: Look) -> ImageEmbedding:
        """The embedding of a view; computed where it has none."""
        self._check()
        return look.embedded(self._embed, self.placement.device)

    def keep(self, cache: EmbeddingCache | None, model: str) -> None:
        """Look embeddings up before they are computed, and keep those that were.

        Parameters
        ----------
        cache : EmbeddingCache or None
        model : str
            Stands for the weights.
        """
        self._cache, self._model = cache, model

    @contextmanager
    def yielding(self, waiting: Callable[[], bool]) -> Iterator[None]:
        """Give way inside of an embedding too: :class:`Interrupted` at the next layer once somebody is waiting."""
        before, self.interrupted = self.interrupted, waiting
        hooks = [part.register_forward_pre_hook(lambda *_: self._check()) for part in self.network.modules()]
        try:
            yield
        finally:
            self.interrupted = before
            for hook in hooks:
                hook.remove()

    def decode(self, look: Look, asked: Asked, before: tuple[torch.Tensor, View] | None) -> Answer:
        """Answer the clicks in one view; those outside of it say nothing about what is in it.

        Parameters
        ----------
        look : Look
        asked : Asked
        before : (logits, view), optional
            The answer before, in whichever view it was given.
        """
        device, view = self.placement.device, look.view
        inside = view.holds(asked.points)
        points = torch.from_numpy(look.geometry.to_input(view.local(asked.points[inside])))[None].to(device)
        labels = torch.from_numpy(asked.labels[inside])[None].to(device)
        carried = None
        if before is not None:
            carried = carry(before[0].to(device), before[1], view, look.geometry.input_shape)
        extras: dict[str, Any] = {}  # plain clicks ask nothing special of a network of the user's own
        trace: list[BlockAttention] = []
        if asked.strength != 1:
            extras["order_strength"] = asked.strength
        if asked.inspect:
            extras["trace"] = trace
        embedding = self.embed(look)
        self._check()
        if self._boxed and carried is not None:
            logits = refine_in_box(self.network, embedding, points, labels, carried, threshold=MASK_LOGIT, **extras)
        else:
            logits = self._halves.decode_clicks(embedding, points, labels, carried, **extras).float()
        if asked.bound is not None:
            logits = keep_inside(logits, view, asked.bound)
        looked = None
        if asked.inspect:
            looked = looked_at(self.network, trace, points, labels, logits, embedding.depth, asked.strength)
        return Answer(logits, view, carried, looked)

    def decode_each(self, look: Look, points: NDArray[np.float32]) -> torch.Tensor:
        """Answer many prompts at once, each one positive click on an object of its own.

        Parameters
        ----------
        look : Look
        points : (N, 2) float32
            Row and column in image pixels, all inside of the view.

        Returns
        -------
        (N, h, w) float32 tensor on the device
            Logits at the input's resolution.
        """
        device = self.placement.device
        clicks = torch.from_numpy(look.geometry.to_input(look.view.local(points))).to(device)
        copies = self.embed(look).repeated(len(clicks))
        ones = torch.ones(len(clicks), 1, dtype=torch.long, device=device)
        return self.network.decode_clicks(copies, clicks[:, None], ones)[:, 0].float()

    def run(self, compute: Callable[[], Result]) -> Result:
        """Run ``compute`` without gradients; where memory runs out, step down and run it again.

        Raises
        ------
        OISError
            If memory runs out on the last placement too.

        Warns
        -----
        RuntimeWarning
            When it steps down.
        """
        while True:
            try:
                with torch.inference_mode(), self.placement.autocast():
                    return compute()
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            # Outside of the except clause: the traceback held the tensors that filled the memory.
            self._step_down()

    def _embed(self, image: torch.Tensor, depth: torch.Tensor | None) -> ImageEmbedding:
        if self._cache is None:
            return self._halves.embed_image(image, depth)
        key = self._cache.key(image, depth, f"{self._model} {self.placement.precision}")
        found = self._cache.get(key, self.placement.device)
        if found is not None:
            return found
        return self._cache.put(key, self._halves.embed_image(image, depth))

    def _check(self) -> None:
        if self.interrupted():
            raise Interrupted

    def _move(self) -> None:
        """Bring the weights to the device; as ordinary tensors, since the caller may train on."""
        with torch.inference_mode(False):
            self.network.to(self.placement.device)
        if self._compiled:
            from napari_ois.network.compiled import CompiledHalves

            self._halves = CompiledHalves(self.network)

    def _step_down(self) -> None:
        full = self.placement
        self._listeners = [reference for reference in self._listeners if reference() is not None]
        for reference in self._listeners:
            let_go = reference()
            if let_go is not None:
                let_go()
        if not self.fallbacks:
            raise OISError(f"There is not enough memory on {full}; use a smaller input_size or a smaller image.")
        self.placement = self.fallbacks.pop(0)
        self._move()
        if full.device.type == "cuda":
            torch.cuda.empty_cache()
        warnings.warn(
            f"Out of memory on {full}: going on with {self.placement}, which may be slower.",
            RuntimeWarning,
            stacklevel=5,
        )
