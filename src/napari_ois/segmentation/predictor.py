"""One rule: the image is embedded once, then every click costs only what depends on clicks.

:class:`Predictor` joins scene, views, placement and network; it computes nothing itself. It holds
one image at a time and is meant for one thread: where there are several, let one of them own it.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch.nn import functional

from napari_ois.errors import InputError, OISError, WeightsError
from napari_ois.segmentation.clicks import check_clicks
from napari_ois.segmentation.image import Geometry, resize
from napari_ois.segmentation.placement import (
    Placement,
    choose_device,
    choose_precision,
    fallbacks,
    is_out_of_memory,
)
from napari_ois.segmentation.prediction import Prediction, PredictionState
from napari_ois.segmentation.scene import Look, Scene
from napari_ois.segmentation.view import CloseUp, View, carry, cut_off

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_ois.checkpoints import ModelInfo
    from napari_ois.network import OIS, ImageEmbedding

Result = TypeVar("Result")

MASK_THRESHOLD = 0.49
"""A pixel belongs to the mask above this probability (RITM's and SegNext's value)."""


_LOGIT = float(np.log(MASK_THRESHOLD / (1 - MASK_THRESHOLD)))


class Predictor:
    """Segment objects in an image by clicks.

    Parameters
    ----------
    model : str or Path
        Name of a model (``napari-ois models`` lists them) or a checkpoint file.
    device : str
        ``"auto"`` (CUDA, then MPS, then CPU), or a device's name such as ``"cpu"`` or ``"cuda:1"``.
    precision : str
        ``"auto"`` (half on CUDA, else fp32), ``"fp32"``, ``"half"``, ``"bf16"`` or ``"fp16"``.
    input_size : int, optional
        Longest side of the network's input in pixels; by default the preset's own.
    close_up : bool, optional
        Whether a small object is looked at again in a close-up of the image, which costs the click one
        embedding more, the next ones nothing; by default the preset's own choice.

    Raises
    ------
    InputError
        If the device or the precision is not offered here.
    WeightsError
        If there is no such model, or its file is damaged.

    Examples
    --------
    >>> predictor = Predictor()                                         # doctest: +SKIP
    >>> predictor.set_image(image)                                      # doctest: +SKIP
    >>> first = predictor.predict([(120, 200)], [1])                    # doctest: +SKIP
    >>> better = predictor.predict(                                     # doctest: +SKIP
    ...     [(120, 200), (40, 60)], [1, 0], previous=first.state
    ... )
    """

    def __init__(
        self,
        model: str | Path = "ois-compact",
        device: str = "auto",
        precision: str = "auto",
        input_size: int | None = None,
        close_up: bool | None = None,
    ) -> None:
        from napari_ois.checkpoints import load_model
        from napari_ois.network import PRESETS

        placement = _place(device, precision)
        _check_input_size(input_size)
        network, info = load_model(model)
        preset = PRESETS[info.preset]
        closer = preset.close_up if close_up is None else close_up
        self._join(network, info, placement, input_size or preset.input_size, preset.multiple, closer)

    @classmethod
    def from_network(
        cls,
        network: OIS,
        *,
        input_size: int,
        multiple: int,
        device: str = "auto",
        precision: str = "auto",
        info: ModelInfo | None = None,
        close_up: bool = False,
    ) -> Predictor:
        """Build one around a network in memory, for example one in training.

        The network is moved to the device and put in evaluation mode; nothing is copied.
        """
        _check_input_size(input_size)
        predictor = cls.__new__(cls)
        predictor._join(network, info, _place(device, precision), input_size, multiple, close_up)
        return predictor

    def _join(
        self,
        network: OIS,
        info: ModelInfo | None,
        placement: Placement,
        input_size: int,
        multiple: int,
        close_up: bool,
    ) -> None:
        self._info = info
        self._input_size = input_size
        self._multiple = multiple
        self._placement = placement
        self._fallbacks = fallbacks(placement)
        self._close_up = CloseUp() if close_up else None
        self._scene: Scene | None = None
        self._full_depth: NDArray[np.float32] | None = None
        self._network = network.eval()
        self._with_fallback(self._move)

    # -- what it holds ----------------------------------------------------------------------------

    @property
    def model_info(self) -> ModelInfo | None:
        """Name, licence and origin of the model; None for a network in memory."""
        return self._info

    @property
    def device(self) -> str:
        """Device in use, for example ``"cuda:0"``; changes when memory runs out."""
        return str(self._placement.device)

    @property
    def precision(self) -> str:
        """Precision in use: ``"fp32"``, ``"bf16"`` or ``"fp16"``."""
        return self._placement.precision

    @property
    def has_image(self) -> bool:
        """Whether an image was set."""
        return self._scene is not None

    @property
    def image_shape(self) -> tuple[int, int]:
        """Rows and columns of the image; InputError before :meth:`set_image`."""
        return self._current().shape

    @property
    def geometry(self) -> Geometry:
        """How the image lies in the network's input; InputError before :meth:`set_image`."""
        return self._current().whole.geometry

    @property
    def depth(self) -> NDArray[np.float32]:
        """Normalised depth, (H, W) float32 in [0, 1], larger = nearer.

        The given depth where there was one, otherwise the estimated one. Models without weights
        for masks have it too. InputError before :meth:`set_image`.
        """
        scene = self._current()
        if scene.given_depth is not None:
            return scene.given_depth
        if self._full_depth is None:
            embedding = self._with_fallback(lambda: self._embedding(scene.whole))
            small = embedding.depth[0, 0].float().cpu().numpy()
            self._full_depth = resize(small, scene.shape).clip(0.0, 1.0)
        return self._full_depth

    # -- what it does -----------------------------------------------------------------------------

    def set_image(
        self,
        image: ArrayLike,
        channel_axis: int | None = None,
        depth: ArrayLike | None = None,
    ) -> None:
        """Embed an image; all later clicks refer to it.

        Parameters
        ----------
        image : (H, W), (H, W, 3), (H, W, 4) array, or 3D with ``channel_axis``
            bool, integer or float; see :class:`napari_ois.segmentation.colour.Picture`. It is referred to,
            not copied: close-ups read it again.
        channel_axis : int, optional
            Axis that holds the channels.
        depth : (H, W) array, optional
            Used instead of the estimated depth. Larger = nearer, NaN = unknown; see
            :func:`napari_ois.segmentation.depth.prepare_depth`.

        Raises
        ------
        InputError
            If the image or the depth cannot be used; the image set before stays.
        OISError
            If there is not enough memory on any device.

        Warns
        -----
        RuntimeWarning
            If the device runs out of memory and a smaller placement is used from then on.
        """
        scene = Scene(image, channel_axis, depth, input_size=self._input_size, multiple=self._multiple)
        self._scene = None  # lets go of the old features before the new ones need the memory
        self._full_depth = None
        self._with_fallback(lambda: self._embedding(scene.whole))
        self._scene = scene

    def predict(
        self,
        points: ArrayLike,
        labels: ArrayLike,
        previous: PredictionState | Prediction | None = None,
    ) -> Prediction:
        """Segment the object that the clicks mean.

        Parameters
        ----------
        points : (N, 2) array
            All clicks on the object so far, oldest first: row, column in image pixels, pixel
            centres at integers. Of more than 24 clicks of one kind the attention sees the newest
            24.
        labels : (N,) array
            1 positive, 0 negative; at least one positive.
        previous : PredictionState, optional
            ``state`` of the prediction before the last click, for the same object and image.

        Raises
        ------
        InputError
            If no image is set, a click is outside the image or malformed, there is no positive
            click, or ``previous`` belongs to another image.
        WeightsError
            If the model has no weights for masks.

        Warns
        -----
        RuntimeWarning
            As :meth:`set_image`.
        """
        if self._info is not None and not self._info.available:
            raise WeightsError(
                self._info.note or f'The model "{self._info.name}" has no weights for masks; choose another model.'
            )
        scene = self._current()
        clicks, kinds = check_clicks(points, labels, scene.shape)
        state = previous.state if isinstance(previous, Prediction) else previous
        if state is not None and state.image is not scene:
            raise InputError(
                "previous belongs to another image than the one set last; leave it out for the first click."
            )
        logits, view, close = self._with_fallback(lambda: self._decode(scene, clicks, kinds, state))
        probability = np.zeros(scene.shape, np.float32)
        probability[view.rows, view.columns] = close.sigmoid().numpy()
        mask = probability > MASK_THRESHOLD
        return Prediction(
            mask=mask,
            probability=probability,
            score=float(probability[mask].mean()) if mask.any() else 0.0,
            depth=self.depth,
            points=clicks,
            labels=kinds,
            state=PredictionState(logits=logits, view=view, image=scene),
        )

    # -- how --------------------------------------------------------------------------------------

    def _current(self) -> Scene:
        if self._scene is None:
            raise InputError("No image is set; call set_image first.")
        return self._scene

    def _move(self) -> None:
        """Bring the weights to the device; as ordinary tensors, since the caller may train on."""
        with torch.inference_mode(False):
            self._network.to(self._placement.device)

    def _embedding(self, look: Look) -> ImageEmbedding:
        return look.embedded(self._network.embed_image, self._placement.device)

    def _decode(
        self,
        scene: Scene,
        clicks: NDArray[np.float32],
        kinds: NDArray[np.int64],
        state: PredictionState | None,
    ) -> tuple[torch.Tensor, View, torch.Tensor]:
        """Answer the clicks in the view where the object was seen last, and in another if that shows it better.

        Returns
        -------
        logits : (1, 1, h, w) float32 tensor on the device
            At the input's resolution.
        view : View
        full : (rows, columns) float32 tensor on the CPU
            Logits of the view at the image's resolution.
        """
        positives = clicks[kinds == 1]
        whole = scene.whole.view
        view = whole if state is None or not state.view.holds(positives).all() else state.view
        logits = self._answer(scene, view, clicks, kinds, state and (state.logits, state.view))
        if self._close_up is not None:
            seen = (logits[0, 0] > _LOGIT).cpu().numpy()
            if cut_off(seen, view, scene.shape):
                logits, view = self._answer(scene, whole, clicks, kinds, (logits, view)), whole
                seen = (logits[0, 0] > _LOGIT).cpu().numpy()
            closer = self._close_up.closer(seen, view, positives, scene.shape)
            if closer is not None:
                logits, view = self._answer(scene, closer, clicks, kinds, (logits, view)), closer
        # The antialiased kernel is not there on every version of MPS; the copy is small.
        source = logits.cpu() if logits.device.type == "mps" else logits
        full = functional.interpolate(source, size=view.shape, mode="bilinear", antialias=True)
        return logits, view, full[0, 0].cpu()

    def _answer(
        self,
        scene: Scene,
        view: View,
        clicks: NDArray[np.float32],
        kinds: NDArray[np.int64],
        before: tuple[torch.Tensor, View] | None,
    ) -> torch.Tensor:
        """Logits of one view; clicks outside of it say nothing about what is in it."""
        device = self._placement.device
        look = scene.look(view)
        inside = view.holds(clicks)
        points = torch.from_numpy(look.geometry.to_input(view.local(clicks[inside])))[None].to(device)
        labels = torch.from_numpy(kinds[inside])[None].to(device)
        previous = None
        if before is not None:
            previous = carry(before[0].to(device), before[1], view, look.geometry.input_shape)
        return self._network.decode_clicks(self._embedding(look), points, labels, previous).float()

    def _with_fallback(self, compute: Callable[[], Result]) -> Result:
        """Run ``compute`` without gradients; where memory runs out, step down and run it again."""
        while True:
            try:
                with torch.inference_mode(), self._placement.autocast():
                    return compute()
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            # Outside of the except clause: the traceback held the tensors that filled the memory.
            self._step_down()

    def _step_down(self) -> None:
        full = self._placement
        if self._scene is not None:
            self._scene.forget()
        if not self._fallbacks:
            raise OISError(f"There is not enough memory on {full}; use a smaller input_size or a smaller image.")
        self._placement = self._fallbacks.pop(0)
        self._move()
        if full.device.type == "cuda":
            torch.cuda.empty_cache()
        warnings.warn(
            f"Out of memory on {full}: going on with {self._placement}, which may be slower.",
            RuntimeWarning,
            stacklevel=4,
        )


def _place(device: str, precision: str) -> Placement:
    chosen = choose_device(device)
    return Placement(chosen, choose_precision(precision, chosen))


def _check_input_size(input_size: int | None) -> None:
    if input_size is not None and not 32 <= input_size <= 8192:
        raise InputError(f"input_size={input_size} is out of range; give 32 to 8192 pixels, or leave it out.")
