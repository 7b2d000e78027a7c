"""Rule: SAM and SAM-HQ answer from weights on the user's disk, as their authors mean them to be used.

One click: three masks, of which the model's own favourite counts. Further clicks: one mask, with the
logits before as a prompt. Nothing is ever downloaded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_ois.errors import InputError, WeightsError
from napari_ois.segmentation.colour import to_plane
from napari_ois.segmentation.placement import choose_device

FAMILIES = {"sam": ("sam", "SamModel"), "sam-hq": ("sam_hq", "SamHQModel")}
"""Method name: the family's name in a folder's config.json, and transformers' class."""


@dataclass(frozen=True)
class SamAnswer:
    """A mask, (H, W) bool, and as state the logits that the next click starts from."""

    mask: NDArray[np.bool_]
    state: torch.Tensor


class SamPredictor:
    """SAM or SAM-HQ through transformers, in full precision.

    Parameters
    ----------
    folder : str or Path
        Folder with ``config.json`` and weights, as transformers' ``save_pretrained`` writes it.
    family : str
        "sam" or "sam-hq".
    device : str
        "auto", or a device's name.

    Raises
    ------
    InputError
        If transformers is not installed.
    WeightsError
        If the folder holds no weights of that family.
    """

    def __init__(self, folder: str | Path, *, family: str = "sam", device: str = "auto") -> None:
        try:
            import transformers
        except ImportError as error:
            raise InputError('SAM needs transformers; run: pip install "napari-ois[vit]".') from error
        kind, class_name = FAMILIES[family]
        folder = Path(folder).expanduser()
        _check_folder(folder, kind, family)
        if not hasattr(transformers, class_name):
            raise InputError(f"This version of transformers has no {class_name}; run: pip install -U transformers.")
        try:
            model = getattr(transformers, class_name).from_pretrained(folder, local_files_only=True)
        # What transformers and safetensors raise for files that are missing, damaged or of other shapes.
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise WeightsError(f"The weights in {folder} cannot be loaded ({reason}); copy them again.") from error
        self._device = choose_device(device)
        self._model = model.to(self._device).eval()
        side = model.config.vision_config.image_size
        self._processor = transformers.SamImageProcessor(
            size={"longest_edge": side}, pad_size={"height": side, "width": side}
        )
        self._image: dict[str, Any] | None = None

    @property
    def device(self) -> str:
        """Device in use."""
        return str(self._device)

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(parameter.numel() for parameter in self._model.parameters())

    @torch.inference_mode()
    def set_image(self, image: Any, *, depth: Any = None) -> None:
        """Embed an image; a depth is of no use here."""
        pixels = (to_plane(image) * 255).round().astype(np.uint8)
        inputs = self._processor(pixels, return_tensors="pt", input_data_format="channels_last")
        encoded = self._model.vision_encoder(inputs["pixel_values"].to(self._device))
        given = {"image_embeddings": encoded.last_hidden_state}
        if hasattr(encoded, "intermediate_embeddings"):
            given["intermediate_embeddings"] = encoded.intermediate_embeddings
        original, reshaped = inputs["original_sizes"][0], inputs["reshaped_input_sizes"][0]
        self._image = {"embedded": given, "original": original, "reshaped": reshaped}

    @torch.inference_mode()
    def predict(self, points: Any, labels: Any, previous: torch.Tensor | None = None) -> SamAnswer:
        """Answer (N, 2) clicks (row, column) and their labels, 1 positive, 0 negative."""
        if self._image is None:
            raise InputError("No image is set; call set_image first.")
        original, reshaped = self._image["original"], self._image["reshaped"]
        places = torch.as_tensor(np.asarray(points, np.float32)) * (reshaped / original)
        result = self._model(
            **self._image["embedded"],
            input_points=places.flip(1)[None, None].float().to(self._device),
            input_labels=torch.as_tensor(np.asarray(labels, np.int64))[None, None].to(self._device),
            input_masks=previous,
            multimask_output=len(places) == 1,
        )
        masks, scores = result.pred_masks[0, 0], result.iou_scores[0, 0]
        logits = masks[int(scores.argmax()) if len(masks) == len(scores) else 0][None, None]
        full = self._processor.post_process_masks(
            [logits.float().cpu()], original[None].tolist(), reshaped[None].tolist(), binarize=True
        )
        return SamAnswer(full[0][0, 0].numpy(), logits)


def _check_folder(folder: Path, kind: str, family: str) -> None:
    """Refuse a folder that is no model of this family, before anything heavy is loaded."""
    config = folder / "config.json"
    if not config.is_file():
        raise WeightsError(
            f"There are no weights of {family} in {folder}; give a folder with config.json and model.safetensors."
        )
    try:
        found = json.loads(config.read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise WeightsError(f"{config} is damaged; copy the folder again.") from error
    if found != kind:
        raise WeightsError(f"{folder} holds a model of the kind {found}, not of {family}.")
