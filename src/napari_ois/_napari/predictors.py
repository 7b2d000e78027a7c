"""One rule: what the viewer asks of a predictor is written here, and how one is made ready for the first click."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from napari_ois.checkpoints import ModelInfo
    from napari_ois.segmentation.embedding_cache import EmbeddingCache
    from napari_ois.segmentation.prediction import Prediction
    from napari_ois.segmentation.predictor import Predictor


class PredictorLike(Protocol):
    """The part of :class:`napari_ois.Predictor` that the viewer uses."""

    interrupted: Callable[[], bool]
    """Asked between encoder, decoder and close-ups."""

    @property
    def device(self) -> str:
        """Device in use."""

    @property
    def precision(self) -> str:
        """Precision in use."""

    @property
    def model_info(self) -> ModelInfo | None:
        """Which model it is; None for one in memory."""

    @property
    def depth(self) -> NDArray[np.float32]:
        """Normalised depth of the image, (H, W)."""

    def set_image(self, image: Any, *, depth: Any = None) -> None:
        """Embed an image, with a depth map of somebody else where one is given."""

    def predict(self, points: Any, labels: Any, previous: Any = None, *, order_strength: float = 1.0) -> Prediction:
        """Answer clicks."""

    def state_from_mask(self, mask: Any) -> Any:
        """Make a state of a mask, to be refined by clicks."""

    def again(self, prediction: Prediction, *, order_strength: float = 1.0, inspect: bool = False) -> Prediction:
        """Answer the clicks of a prediction again."""

    def yielding(self, waiting: Callable[[], bool]) -> AbstractContextManager[None]:
        """Ask between the layers of the network too."""
        ...

    def twin(self) -> PredictorLike:
        """Another one on the same network, with an image of its own."""


SMALL = 20_000_000
"""Parameters of a model that answers fast enough on a CPU to be warmed up there."""

PredictorFactory = Callable[[str, str], PredictorLike]
"""Makes a predictor from the names of a model and a device."""


def make_predictor(model: str, device: str, *, cache_gb: float | None = None, **options: Any) -> PredictorLike:
    """Load a model; imports torch, so only in the worker's thread.

    Parameters
    ----------
    model, device : str
    cache_gb : float, optional
        Gigabytes of embeddings kept on disk; 0 keeps none there.
    **options
        Of :class:`napari_ois.Predictor`.
    """
    from napari_ois.segmentation.predictor import Predictor

    predictor = Predictor(model, device=device, **options)
    info = predictor.model_info
    if info is not None and info.available and (info.parameters < SMALL or predictor.device != "cpu"):
        _warm_up(predictor)
    if info is not None and info.sha256:
        predictor.keep_embeddings(_cache(info.parameters, cache_gb))
    return predictor


def _cache(parameters: int, gigabytes: float | None) -> EmbeddingCache:
    """What was embedded is kept: in memory, and on disk where it takes long."""
    from napari_ois.segmentation.embedding_cache import EmbeddingCache
    from napari_ois.segmentation.embedding_store import default_folder

    if parameters < SMALL or gigabytes == 0:
        return EmbeddingCache()
    return EmbeddingCache(default_folder(), disk=None if gigabytes is None else int(gigabytes * 1e9))


def _warm_up(predictor: Predictor) -> None:
    """Answer one click: what torch prepares at first use is then ready when the user clicks."""
    side = 64
    predictor.set_image(np.linspace(0, 1, side * side, dtype=np.float32).reshape(side, side))
    predictor.predict([(side // 2, side // 2)], [1])
