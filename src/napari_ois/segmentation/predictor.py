"""One rule: the image is embedded once, then every click costs only what depends on clicks.

:class:`Predictor` joins image, depth, placement and network; it computes nothing itself. It holds
one image at a time and is meant for one thread: where there are several, let one of them own it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch.nn import functional

from napari_ois.errors import InputError, OISError, WeightsError
from napari_ois.segmentation.clicks import check_clicks
from napari_ois.segmentation.depth import prepare_depth
from napari_ois.segmentation.image import Geometry, resize, to_network_image
from napari_ois.segmentation.placement import (
    Placement,
    choose_device,
    choose_precision,
    fallbacks,
    is_out_of_memory,
)
from napari_ois.segmentation.prediction import Prediction, PredictionState

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_ois.checkpoints import ModelInfo
    from napari_ois.network import OIS, ImageEmbedding

Result = TypeVar("Result")

MASK_THRESHOLD = 0.49
"""A pixel belongs to the mask above this probability (RITM's and SegNext's value)."""


@dataclass
class _Scene:
    """The image that was set; its inputs stay on the CPU, so a fallback can embed it again."""

    geometry: Geometry
    image: torch.Tensor
    depth: torch.Tensor | None
    given_depth: NDArray[np.float32] | None
    token: object
    embedding: ImageEmbedding | None = None
    full_depth: NDArray[np.float32] | None = None


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
    ) -> None:
        from napari_ois.checkpoints import load_model
        from napari_ois.network import PRESETS

        placement = _place(device, precision)
        _check_input_size(input_size)
        network, info = load_model(model)
        preset = PRESETS[info.preset]
        self._join(network, info, placement, input_size or preset.input_size, preset.multiple)

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
    ) -> Predictor:
        """Build one around a network in memory, for example one in training.

        The network is moved to the device and put in evaluation mode; nothing is copied.
        """
        _check_input_size(input_size)
        predictor = cls.__new__(cls)
        predictor._join(network, info, _place(device, precision), input_size, multiple)
        return predictor

    def _join(
        self,
        network: OIS,
        info: ModelInfo | None,
        placement: Placement,
        input_size: int,
        multiple: int,
    ) -> None:
        self._info = info
        self._input_size = input_size
        self._multiple = multiple
        self._placement = placement
        self._fallbacks = fallbacks(placement)
        self._scene: _Scene | None = None
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
        return self._current().geometry.image_shape

    @property
    def geometry(self) -> Geometry:
        """How the image lies in the network's input; InputError before :meth:`set_image`."""
        return self._current().geometry

    @property
    def depth(self) -> NDArray[np.float32]:
        """Normalised depth, (H, W) float32 in [0, 1], larger = nearer.

        The given depth where there was one, otherwise the estimated one. Models without weights
        for masks have it too. InputError before :meth:`set_image`.
        """
        scene = self._current()
        if scene.full_depth is None:
            scene.full_depth = self._full_depth(scene)
        return scene.full_depth

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
            bool, integer or float; see :func:`napari_ois.segmentation.image.to_plane`.
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
        plane, geometry = to_network_image(
            image, input_size=self._input_size, multiple=self._multiple, channel_axis=channel_axis
        )
        given = None if depth is None else prepare_depth(depth, geometry.image_shape)
        scene = _Scene(
            geometry=geometry,
            image=torch.from_numpy(plane).permute(2, 0, 1)[None].contiguous(),
            depth=None if given is None else torch.from_numpy(resize(given, geometry.input_shape))[None, None],
            given_depth=given,
            token=object(),
        )
        self._scene = None  # lets go of the old features before the new ones need the memory
        self._with_fallback(lambda: self._embedding(scene))
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
        clicks, kinds = check_clicks(points, labels, scene.geometry.image_shape)
        state = previous.state if isinstance(previous, Prediction) else previous
        if state is not None and state.image is not scene.token:
            raise InputError(
                "previous belongs to another image than the one set last; leave it out for the first click."
            )
        logits, full = self._with_fallback(lambda: self._decode(scene, clicks, kinds, state))
        probability = full.sigmoid().numpy()
        mask = probability > MASK_THRESHOLD
        return Prediction(
            mask=mask,
            probability=probability,
            score=float(probability[mask].mean()) if mask.any() else 0.0,
            depth=self.depth,
            points=clicks,
            labels=kinds,
            state=PredictionState(logits=logits, image=scene.token),
        )

    # -- how --------------------------------------------------------------------------------------

    def _current(self) -> _Scene:
        if self._scene is None:
            raise InputError("No image is set; call set_image first.")
        return self._scene

    def _move(self) -> None:
        """Bring the weights to the device; as ordinary tensors, since the caller may train on."""
        with torch.inference_mode(False):
            self._network.to(self._placement.device)

    def _embedding(self, scene: _Scene) -> ImageEmbedding:
        """The scene's embedding, computed where there is none (new image, or after a fallback)."""
        if scene.embedding is None:
            device = self._placement.device
            depth = None if scene.depth is None else scene.depth.to(device)
            scene.embedding = self._network.embed_image(scene.image.to(device), depth)
        return scene.embedding

    def _decode(
        self,
        scene: _Scene,
        clicks: NDArray[np.float32],
        kinds: NDArray[np.int64],
        state: PredictionState | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits at the input's size, (1, 1, h, w), and the image's, (H, W) on the CPU; float32."""
        device = self._placement.device
        embedding = self._embedding(scene)
        points = torch.from_numpy(scene.geometry.to_input(clicks))[None].to(device)
        labels = torch.from_numpy(kinds)[None].to(device)
        previous = None if state is None else state.logits.to(device)
        logits = self._network.decode_clicks(embedding, points, labels, previous).float()
        # The antialiased kernel is not there on every version of MPS; the copy is small.
        source = logits.cpu() if device.type == "mps" else logits
        full = functional.interpolate(source, size=scene.geometry.image_shape, mode="bilinear", antialias=True)
        return logits, full[0, 0].cpu()

    def _full_depth(self, scene: _Scene) -> NDArray[np.float32]:
        if scene.given_depth is not None:
            return scene.given_depth
        embedding = self._with_fallback(lambda: self._embedding(scene))
        small = embedding.depth[0, 0].float().cpu().numpy()
        return resize(small, scene.geometry.image_shape).clip(0.0, 1.0)

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
            self._scene.embedding = None
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
