"""One rule: the image is embedded once, then every click costs only what depends on clicks.

:class:`Predictor` joins scene, views, placement and network; it computes nothing itself. It holds
one image at a time and is meant for one thread: where there are several, let one of them own it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ois.errors import InputError, WeightsError
from napari_ois.segmentation.box_guess import place_in_box
from napari_ois.segmentation.clicks import check_clicks, checked_strength
from napari_ois.segmentation.embedding_cache import EmbeddingCache
from napari_ois.segmentation.held import Held
from napari_ois.segmentation.large_scene import LargeScene, make_scene
from napari_ois.segmentation.looks import look_and_answer
from napari_ois.segmentation.placement import place
from napari_ois.segmentation.prediction import Prediction, PredictionState, bound_of
from napari_ois.segmentation.quality import checked_input_size, choose_input_size
from napari_ois.segmentation.regions import frame_of
from napari_ois.segmentation.results import at_image_resolution, on_frame, state_of_mask
from napari_ois.segmentation.runner import Answer, Asked, Runner
from napari_ois.segmentation.view import View

if TYPE_CHECKING:
    import torch

    from napari_ois.checkpoints import ModelInfo
    from napari_ois.network import OIS
    from napari_ois.segmentation.scene import Scene


class Predictor(Held):
    """Segment objects in an image by clicks.

    Parameters
    ----------
    model : str or Path
        Name of a model (``napari-ois models`` lists them) or a checkpoint file.
    device : str
        ``"auto"`` (CUDA, then MPS, then CPU), or a device's name such as ``"cpu"`` or ``"cuda:1"``.
    precision : str
        ``"auto"`` (half on CUDA, else fp32), ``"fp32"``, ``"half"``, ``"bf16"`` or ``"fp16"``.
    input_size : int or str, optional
        Longest side of the network's input in pixels, or ``"fast"``, ``"balanced"``, ``"full"`` (what the
        weights were trained at). By default full; for a ViT preset balanced on MPS and fast on the CPU.
    close_up : bool, optional
        Whether a small object is looked at again in a close-up of the image, which costs the click one
        embedding more, the next ones nothing; without, there is no second look either. By default the preset's own.
    compiled : bool
        Compile the network: faster afterwards, but the first image and the first click take minutes.
    cache : EmbeddingCache or path, optional
        Where embeddings are kept, so that an image that was seen before is not embedded again; a folder keeps
        them on disk.

    Raises
    ------
    InputError
        If the device, the precision or the input size is not offered here, or nothing can be compiled here.
    WeightsError
        If there is no such model, or its file is damaged.

    Examples
    --------
    >>> predictor = Predictor()                                         # doctest: +SKIP
    >>> predictor.set_image(image)                                      # doctest: +SKIP
    >>> first = predictor.predict([(120, 200)], [1])                    # doctest: +SKIP
    >>> predictor.predict([(120, 200), (40, 60)], [1, 0], previous=first.state)    # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | Path = "ois-compact",
        device: str = "auto",
        precision: str = "auto",
        input_size: int | str | None = None,
        close_up: bool | None = None,
        compiled: bool = False,
        cache: EmbeddingCache | str | Path | None = None,
    ) -> None:
        from napari_ois.checkpoints import load_model
        from napari_ois.network import PRESETS

        placement = place(device, precision)
        network, info = load_model(model)
        preset = PRESETS[info.preset]
        side = choose_input_size(input_size, preset, placement.device.type)
        closer = preset.close_up if close_up is None else close_up
        boxed = preset.encoder == "vit" and side < preset.input_size
        runner = Runner(network, placement, compiled=compiled, boxed=boxed)
        self._join(runner, info, side, preset.multiple, closer)
        if cache is not None:
            self.keep_embeddings(cache)

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
        checked_input_size(input_size)
        predictor = cls.__new__(cls)
        predictor._join(Runner(network, place(device, precision)), info, input_size, multiple, close_up)
        return predictor

    def twin(self) -> Predictor:
        """Another predictor on the same network, with an image of its own; nothing is copied.

        For one thread: both use one placement, and step down together when memory runs out.
        """
        other = Predictor.__new__(Predictor)
        other._join(self._runner, self._info, self.input_size, self._multiple, self._close_up is not None)
        return other

    def keep_embeddings(self, cache: EmbeddingCache | str | Path) -> None:
        """Keep embeddings from now on, for twins too; InputError or WeightsError where the weights have no hash."""
        if self._info is not None and not self._info.available:
            raise WeightsError(self._info.note)
        if self._info is None or not self._info.sha256:
            raise InputError("Embeddings are kept for a model loaded by its name or from a file only.")
        kept = cache if isinstance(cache, EmbeddingCache) else EmbeddingCache(cache)
        self._runner.keep(kept, f"{self._info.preset} {self._info.sha256}")

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
            not copied: close-ups read it again. One of more than 4096 x 4096 pixels is worked on in regions
            and never read whole into memory: any array that can be sliced will do (numpy, memory-mapped,
            dask, zarr), and a list of the levels of a pyramid, finest first.
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
        scene = make_scene(image, channel_axis, depth, input_size=self.input_size, multiple=self._multiple)
        self._scene = None  # lets go of the old features before the new ones need the memory
        self._full_depth = None
        self._runner.run(lambda: self._runner.embed(scene.whole))
        self._scene = scene

    def predict(
        self,
        points: ArrayLike,
        labels: ArrayLike,
        previous: PredictionState | Prediction | None = None,
        *,
        order_strength: float = 1.0,
        inspect: bool = False,
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
        order_strength : float
            Multiplies the learned sigma: 1 as trained, 0 switches order off.
        inspect : bool
            Keep what the attention looked at; see :class:`napari_ois.segmentation.inspection.Inspection`.

        Raises
        ------
        InputError
            If no image is set, a click is outside the image or malformed, there is no positive
            click, ``previous`` belongs to another image, or the strength is negative.
        WeightsError
            If the model has no weights for masks.

        Warns
        -----
        RuntimeWarning
            As :meth:`set_image`.
        """
        self._check_weights()
        scene = self._current()
        clicks, kinds = check_clicks(points, labels, scene.shape)
        state = previous.state if isinstance(previous, Prediction) else previous
        self._check_state(state, "leave it out for the first click")
        asked = Asked(clicks, kinds, checked_strength(order_strength), inspect, bound_of(state, clicks[kinds == 1]))
        answer = self._runner.run(lambda: look_and_answer(self._runner, scene, asked, state, self._close_up))
        return self._prediction(scene, asked, answer, state)

    def answer_each(self, points: NDArray[np.float32], view: View) -> torch.Tensor:
        """Logits of many prompts, each one positive click, in one view; see :meth:`Runner.decode_each`."""
        self._check_weights()
        scene = self._current()
        return self._runner.run(lambda: self._runner.decode_each(scene.look(view), points))

    def again(self, prediction: Prediction, *, order_strength: float = 1.0, inspect: bool = False) -> Prediction:
        """Answer the clicks of a prediction again, from the same state and in the same view.

        Parameters
        ----------
        prediction : Prediction
            Of the image that is set.
        order_strength : float
            See :meth:`predict`: with 0 the result shows what order did.
        inspect : bool
            See :meth:`predict`.

        Returns
        -------
        Prediction
            Equal to the first where the strength is.

        Raises
        ------
        InputError
            If the prediction belongs to another image, or the strength is negative.
        """
        self._check_state(prediction.state, "predict anew")
        scene, state = self._current(), prediction.state
        asked = Asked(prediction.points, prediction.labels, checked_strength(order_strength), inspect, state.bound)
        before = None if state.before is None else (state.before, state.view)
        answer = self._runner.run(lambda: self._runner.decode(scene.look(state.view), asked, before))
        return self._prediction(scene, asked, answer, state)

    def shown(self, state: PredictionState, points: ArrayLike, labels: ArrayLike) -> Prediction:
        """Give the prediction that a state came with, without asking the network.

        Parameters
        ----------
        state : PredictionState
            Of the image that is set.
        points, labels : (N, 2) and (N,) arrays
            The clicks of that prediction, as in :meth:`predict`.

        Returns
        -------
        Prediction
            Equal to that one, but for what the attention looked at.

        Raises
        ------
        InputError
            If the state belongs to another image, or the clicks are none of it.
        """
        self._check_state(state, "predict anew")
        scene = self._current()
        clicks, kinds = check_clicks(points, labels, scene.shape)
        asked = Asked(clicks, kinds, 1.0, False, state.bound)
        logits = state.logits.to(self._runner.placement.device)  # that may have run out of memory since
        return self._prediction(scene, asked, Answer(logits, state.view, state.before, None), state)

    def state_from_mask(
        self, mask: ArrayLike, corner: tuple[int, int] | None = None, bound: View | None = None
    ) -> PredictionState:
        """Make a state of a mask that comes from elsewhere, to be refined by clicks.

        Parameters
        ----------
        mask : (H, W) array
            Nonzero on the object: a painted blob, a label of another program, the slice before.
        corner : (int, int), optional
            Row and column of the mask's first pixel where it is a part of the image, as of a large one it should be.
        bound : View, optional
            Box that the object lies in, however clicks change its mask; a positive click outside lifts it.

        Returns
        -------
        PredictionState, to be passed as ``previous`` with the first click.

        Raises
        ------
        InputError
            If no image is set, the mask has another shape, or it is empty.
        """
        return state_of_mask(self._current(), mask, corner, self._close_up, self._runner.placement.device, bound)

    def place_in_box(self, box: tuple[int, int, int, int]) -> tuple[float, float]:
        """Row and column where the object in a box seems to be; see :func:`.box_guess.place_in_box`."""
        return place_in_box(self._current(), box)

    # -- how --------------------------------------------------------------------------------------

    def _prediction(self, scene: Scene, asked: Asked, answer: Answer, state: PredictionState | None) -> Prediction:
        if not isinstance(scene, LargeScene):
            return at_image_resolution(scene, asked, answer, self.depth)
        frame = frame_of(scene, answer.view, None if state is None else state.frame)
        depth = self._runner.run(lambda: scene.depth_on(frame, self._runner.embed))
        return on_frame(scene, asked, answer, frame, depth)
