"""One rule: a predictor holds a network on a device and one image, and says of both what there is to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_ois.errors import InputError, WeightsError
from napari_ois.segmentation.frame import Frame
from napari_ois.segmentation.image import Geometry, resize
from napari_ois.segmentation.large_scene import LargeScene
from napari_ois.segmentation.view import CloseUp

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from napari_ois.checkpoints import ModelInfo
    from napari_ois.segmentation.prediction import PredictionState
    from napari_ois.segmentation.runner import Runner
    from napari_ois.segmentation.scene import Scene


class Held:
    """What :class:`napari_ois.Predictor` has at hand."""

    def _join(self, runner: Runner, info: ModelInfo | None, input_size: int, multiple: int, close_up: bool) -> None:
        self._info = info
        self.input_size = input_size  # longest side that the network sees, in pixels
        self._multiple = multiple
        self._close_up = CloseUp() if close_up else None
        self._scene: Scene | None = None
        self._full_depth: NDArray[np.float32] | None = None
        self._runner = runner
        runner.listen(self._forget)

    @property
    def model_info(self) -> ModelInfo | None:
        """Name, licence and origin of the model; None for a network in memory."""
        return self._info

    @property
    def device(self) -> str:
        """Device in use, for example ``"cuda:0"``; changes when memory runs out."""
        return str(self._runner.placement.device)

    @property
    def precision(self) -> str:
        """Precision in use: ``"fp32"``, ``"bf16"`` or ``"fp16"``."""
        return self._runner.placement.precision

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
        for masks have it too. Of a large image this is the overview's, at most 2048 cells wide.
        InputError before :meth:`set_image`.
        """
        scene = self._current()
        if scene.given_depth is not None:
            return scene.given_depth
        if isinstance(scene, LargeScene):
            frame = Frame.bounded(scene.whole.view)
            return self._runner.run(lambda: scene.depth_on(frame, self._runner.embed))
        if self._full_depth is None:
            embedding = self._runner.run(lambda: self._runner.embed(scene.whole))
            small = embedding.depth[0, 0].float().cpu().numpy()
            self._full_depth = resize(small, scene.shape).clip(0.0, 1.0)
        return self._full_depth

    @property
    def interrupted(self) -> Callable[[], bool]:
        """Asked between the parts of the work: where it says true, they raise :class:`napari_ois.errors.Interrupted`.

        The parts are encoder and decoder, of the whole image and of each close-up. Twins share it.
        """
        return self._runner.interrupted

    @interrupted.setter
    def interrupted(self, ask: Callable[[], bool]) -> None:
        self._runner.interrupted = ask

    def yielding(self, waiting: Callable[[], bool]) -> AbstractContextManager[None]:
        """Ask between the layers of the network too, for as long as the context lasts; twins share it."""
        return self._runner.yielding(waiting)

    # -- how --------------------------------------------------------------------------------------

    def _current(self) -> Scene:
        if self._scene is None:
            raise InputError("No image is set; call set_image first.")
        return self._scene

    def _forget(self) -> None:
        if self._scene is not None:
            self._scene.forget()

    def _check_weights(self) -> None:
        if self._info is not None and not self._info.available:
            raise WeightsError(
                self._info.note or f'The model "{self._info.name}" has no weights for masks; choose another model.'
            )

    def _check_state(self, state: PredictionState | None, remedy: str) -> None:
        if state is not None and state.image is not self._current():
            raise InputError(f"previous belongs to another image than the one set last; {remedy}.")
