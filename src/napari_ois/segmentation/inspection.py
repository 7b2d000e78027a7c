"""One rule: what is shown of order is what the network used; nothing here runs the network.

An :class:`Inspection` reads one prediction that was asked for with ``inspect=True``: the attention weights behind
its mask, the sigma that weighed order, the depth inside and outside of the mask, and what changed against the
same prediction without order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from napari_ois.errors import InputError
from napari_ois.network.attention import BlockAttention
from napari_ois.network.order import depth_at_clicks, order_map, positive_order_map
from napari_ois.network.prompts import Slots, arrange_slots
from napari_ois.segmentation.depth_use import separation, separation_warning

if TYPE_CHECKING:
    from napari_ois.network import OIS
    from napari_ois.segmentation.prediction import Prediction

Kind = Literal["order", "plain", "object"]

BINS = 64


@dataclass(frozen=True, eq=False)
class Looked:
    """What the attention of one prediction looked at; tensors on the CPU.

    Attributes
    ----------
    blocks : tuple of BlockAttention
        (1, heads, N, h * w) weights of each block.
    slots : Slots
        Which row belongs to which click.
    grid : (int, int)
        Rows and columns of the prompt grid.
    sigma : (blocks, heads) float32 tensor
        As learned, times the strength.
    strength : float
        Of order: 1 as trained, 0 off.
    depth : (1, 1, H, W) float32 tensor
        As the network used it, at its input's resolution: normalised over the view.
    points, labels : (1, N, 2) and (1, N) tensors
        The clicks in the view, in input pixels.
    """

    blocks: tuple[BlockAttention, ...]
    slots: Slots
    grid: tuple[int, int]
    sigma: torch.Tensor
    strength: float
    depth: torch.Tensor
    points: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True, eq=False)
class OrderChange:
    """What order did to a mask.

    Attributes
    ----------
    gained, lost : (H, W) bool
        Pixels in the mask only with order, and only without it.
    iou : float
        Of the masks with and without; 1 where both are empty.
    """

    gained: NDArray[np.bool_]
    lost: NDArray[np.bool_]
    iou: float

    @property
    def labels(self) -> NDArray[np.uint8]:
        """Both as one map, (H, W) uint8: 1 gained, 2 lost, 0 as it was."""
        return self.gained.astype(np.uint8) + 2 * self.lost.astype(np.uint8)

    @property
    def sentence(self) -> str:
        """In words, for the user."""
        return f"Order changed {100 * (1 - self.iou):.1f} % of this mask."


@dataclass(frozen=True, eq=False)
class OrderProfile:
    """How depth is spread inside and outside of the mask.

    Attributes
    ----------
    edges : (bins + 1,) float32
        Bins over depth, 0 to 1.
    inside, outside : (bins,) float32
        Share of the mask's pixels, and of the view's other pixels, in each bin; zeros where there are none.
    at_clicks : (N,) float32
        Depth under each click; NaN outside of a large image's frame.
    separation : float
        Chance that a pixel outside lies further in depth from the positive clicks than one inside: 1 where
        depth alone tells them apart, 0.5 where it says nothing.
    """

    edges: NDArray[np.float32]
    inside: NDArray[np.float32]
    outside: NDArray[np.float32]
    at_clicks: NDArray[np.float32]
    separation: float

    @property
    def warning(self) -> str:
        """What to tell the user where depth says nothing here; empty where it does."""
        return separation_warning(self.separation)


def looked_at(
    network: OIS,
    trace: Sequence[BlockAttention],
    points: torch.Tensor,
    labels: torch.Tensor,
    logits: torch.Tensor,
    depth: torch.Tensor,
    strength: float,
) -> Looked:
    """Gather what a traced ``decode_clicks`` of one image left behind, on the CPU.

    Parameters
    ----------
    points, labels : (1, N, 2) and (1, N) tensors
        As given to it.
    logits : (1, 1, h, w) tensor
        As it returned them.
    depth : (1, 1, h, w) tensor
        Of its embedding.
    """
    blocks = tuple(BlockAttention(block.order.cpu(), block.plain.cpu(), block.object.cpu()) for block in trace)
    learned = [sigma.detach().float().cpu() for sigma in network.sigmas()]
    return Looked(
        blocks=blocks,
        slots=arrange_slots(points.cpu(), labels.cpu()),
        grid=(logits.shape[-2] // network.patch, logits.shape[-1] // network.patch),
        sigma=strength * torch.stack(learned) if learned else torch.zeros(0, 0),
        strength=strength,
        depth=depth.float().cpu(),
        points=points.cpu(),
        labels=labels.cpu(),
    )


class Inspection:
    """What can be seen of one prediction.

    Parameters
    ----------
    prediction : Prediction
        From ``Predictor.predict(..., inspect=True)``.

    Raises
    ------
    InputError
        If the prediction was made without ``inspect=True``, or the model has no attention (an ablation).
    """

    def __init__(self, prediction: Prediction) -> None:
        if prediction.looked is None:
            raise InputError("This prediction keeps no attention; call predict with inspect=True.")
        if not prediction.looked.blocks:
            raise InputError("This network has no sparse embeddings, so there is no attention to show.")
        self.prediction = prediction
        self._looked = prediction.looked

    @property
    def sigma(self) -> NDArray[np.float32]:
        """How strongly each block and head avoided another order, (blocks, heads) float32 (Eq. 3)."""
        return self._looked.sigma.numpy()

    @property
    def strength(self) -> float:
        """What multiplied the learned sigma."""
        return self._looked.strength

    def has_row(self, click: int) -> bool:
        """Whether a click has attention of its own: it is in the view, and not too old."""
        try:
            self.row(click)
        except InputError:
            return False
        return True

    def row(self, click: int) -> int:
        """The slot of a click; InputError for one that is too old to have one, or outside of the view."""
        points, labels = self.prediction.points, self.prediction.labels
        if not 0 <= click < len(labels):
            raise InputError(f"There is no click {click}: the prediction holds {len(labels)}, counted from 0.")
        same = (labels == labels[click]) & self.prediction.view.holds(points)
        newer = int(same[click + 1 :].sum())
        slots = self._looked.slots
        room = slots.half if labels[click] == 1 else slots.labels.shape[1] - slots.half
        if not same[click] or newer >= room:
            raise InputError(f"Click {click} has no slot of its own: it lies outside of the close-up or is too old.")
        return newer if labels[click] == 1 else slots.half + newer

    def attention(
        self, click: int, *, kind: Kind = "order", block: int | None = None, head: int | None = None
    ) -> NDArray[np.float32]:
        """Where a click looked (Fig. 6 and 7).

        Parameters
        ----------
        click : int
            Its place among the prediction's clicks, from 0.
        kind : str
            "order": as used; "plain": the same without the order term; "object": of object-aware attention.
        block, head : int, optional
            By default the mean over all.

        Returns
        -------
        (H, W) float32
            Softmax weights at the image's resolution, so that the view's sum is about the number of image
            pixels in a cell; zero outside of the view.
        """
        weights = self.weights(click, kind)
        chosen = weights if block is None else weights[block : block + 1]
        chosen = chosen if head is None else chosen[:, head : head + 1]
        if not chosen.size:
            raise InputError(f"There is no block {block} with head {head}: there are {weights.shape[:2]}.")
        view = self.prediction.local_view
        small = torch.from_numpy(chosen.mean(axis=(0, 1)))[None, None]
        placed = np.zeros(self.prediction.mask.shape, np.float32)
        large = functional.interpolate(small, size=view.shape, mode="bilinear", align_corners=False)
        placed[view.rows, view.columns] = large[0, 0].numpy()
        return placed

    def weights(self, click: int, kind: Kind = "order") -> NDArray[np.float32]:
        """The weights themselves, (blocks, heads, h, w) float32 on the prompt grid; they sum to 1."""
        if kind not in ("order", "plain", "object"):
            raise InputError(f'There is no attention "{kind}"; use order, plain or object.')
        row = self.row(click)
        stacked = torch.stack([getattr(block, kind)[0, :, row] for block in self._looked.blocks])
        return stacked.float().unflatten(-1, self._looked.grid).numpy()

    def depth_used(self) -> NDArray[np.float32]:
        """The depth as the network used it: normalised anew over the view.

        Returns
        -------
        (H, W) float32
            In [0, 1] in the view, NaN outside of it.
        """
        return self._placed(self._looked.depth)

    def order_used(self, click: int) -> NDArray[np.float32]:
        """The order map as the network used it for a click, from :meth:`depth_used`.

        In a close-up it is another one than the prediction's, which shows the whole image.

        Parameters
        ----------
        click : int
            Its place among the prediction's clicks, from 0. Positive clicks share one map (Eq. 1), a negative click
            has its own (Eq. 2).

        Returns
        -------
        (H, W) float32
            In [0, 1] in the view, NaN outside of it.
        """
        row = self.row(click)
        looked = self._looked
        if self.prediction.labels[click] == 1:
            return self._placed(positive_order_map(looked.depth, looked.points, looked.labels))
        reference = depth_at_clicks(looked.depth, looked.slots.points)[0, row]
        return self._placed(order_map(looked.depth, reference))

    def _placed(self, small: torch.Tensor) -> NDArray[np.float32]:
        """A (1, 1, h, w) map of the view at the image's resolution, NaN outside of the view."""
        view = self.prediction.local_view
        placed = np.full(self.prediction.mask.shape, np.nan, np.float32)
        large = functional.interpolate(small, size=view.shape, mode="bilinear", align_corners=False)
        placed[view.rows, view.columns] = large[0, 0].numpy()
        return placed

    def change(self, without: Prediction) -> OrderChange:
        """Compare with the same clicks answered without order.

        Parameters
        ----------
        without : Prediction
            From ``Predictor.again(prediction, order_strength=0)``.
        """
        mine, other = self.prediction.mask, without.mask
        union = int((mine | other).sum())
        iou = int((mine & other).sum()) / union if union else 1.0
        return OrderChange(gained=mine & ~other, lost=other & ~mine, iou=iou)

    def profile(self, bins: int = BINS) -> OrderProfile:
        """How depth is spread inside and outside of the mask, within the view."""
        prediction, view = self.prediction, self.prediction.local_view
        depth = prediction.depth[view.rows, view.columns]
        mask = prediction.mask[view.rows, view.columns]
        at_clicks = prediction.depths_at_clicks()
        reference = at_clicks[prediction.labels == 1].mean()
        edges = np.linspace(0, 1, bins + 1, dtype=np.float32)
        distance = np.abs(depth - reference)
        return OrderProfile(
            edges=edges,
            inside=_shares(depth[mask], edges),
            outside=_shares(depth[~mask], edges),
            at_clicks=at_clicks,
            separation=separation(distance[mask], distance[~mask]),
        )


def _shares(values: NDArray[np.float32], edges: NDArray[np.float32]) -> NDArray[np.float32]:
    counts = np.histogram(values, edges)[0]
    return (counts / max(1, counts.sum())).astype(np.float32)
