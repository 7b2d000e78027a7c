"""Order-aware and object-aware attention, and the block that chains them (Eq. 3, 4, 5).

The rule of this file: sparse embeddings read the image through a bias that says where they may look, and
write back through image-to-token attention. Nothing here knows how clicks or depth are made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIGMA_START = (32.0, 32.0, 16.0, 16.0, 8.0, 8.0, 4.0, 4.0)
"""First value of sigma for each of eight heads (HODOR's, which the paper follows)."""

SIGMA_MAX = 100.0


@dataclass(frozen=True)
class BlockAttention:
    """What the slots of one block looked at: softmax weights, (B, heads, N, HW) tensors.

    Attributes
    ----------
    order : tensor
        Of order-aware attention, as used (Fig. 6 and 7, with the order mask).
    plain : tensor
        From the same queries and keys without the order term (the same figures, without).
    object : tensor
        Of object-aware attention, as used.
    """

    order: Tensor
    plain: Tensor
    object: Tensor


class Attention(nn.Module):
    """Multi-head attention with full-width projections and an additive or boolean mask.

    Parameters
    ----------
    dim : int
        Width C of queries, keys and values.
    num_heads : int
        Must divide ``dim``.
    """

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"dim {dim} is not a multiple of num_heads {num_heads}")
        self.num_heads = num_heads
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def _split(self, x: Tensor) -> Tensor:
        batch, length, dim = x.shape
        return x.view(batch, length, self.num_heads, dim // self.num_heads).transpose(1, 2)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend.

        Parameters
        ----------
        query : (B, Q, C) tensor
        key, value : (B, K, C) tensors
        mask : tensor that broadcasts to (B, heads, Q, K), optional
            Added to the scores if float, True = may look if bool.

        Returns
        -------
        (B, Q, C) tensor.
        """
        attended = F.scaled_dot_product_attention(
            self._split(self.query(query)),
            self._split(self.key(key)),
            self._split(self.value(value)),
            attn_mask=mask,
        )
        return self.out(attended.transpose(1, 2).flatten(2))

    def weights(self, query: Tensor, key: Tensor, mask: Tensor | None = None) -> Tensor:
        """The softmax weights that :meth:`forward` does not keep, (B, heads, Q, K)."""
        scores = self._split(self.query(query)) @ self._split(self.key(key)).transpose(2, 3)
        scores = scores / math.sqrt(query.shape[-1] // self.num_heads)
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
        return scores.softmax(dim=-1)

    def read(self, weights: Tensor, value: Tensor) -> Tensor:
        """:meth:`forward` with given weights: the plain twin, for showing what was looked at."""
        return self.out((weights @ self._split(self.value(value))).transpose(1, 2).flatten(2))


class OrderAwareAttention(nn.Module):
    """``softmax(Q K^T - sigma M) V`` with one learnable sigma > 0 per head (Eq. 3).

    sigma is the exponential of the parameter: positive by construction, and moved by Adam in proportion to
    its size. Scores are divided by the square root of the head width, as in HODOR.
    """

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.attention = Attention(dim, num_heads)
        start = [SIGMA_START[h * len(SIGMA_START) // num_heads] for h in range(num_heads)]
        self.log_sigma = nn.Parameter(torch.tensor(start).log())

    @property
    def sigma(self) -> Tensor:
        """(heads,) tensor: how strongly each head avoids places of another order."""
        return self.log_sigma.clamp_max(math.log(SIGMA_MAX)).exp()

    def bias(self, order: Tensor, dtype: torch.dtype, strength: float = 1.0) -> Tensor:
        """``-sigma M`` as (B, heads, N, HW), formed in float32 and finite in half precision."""
        scaled = -strength * self.sigma.float()[None, :, None, None] * order.float()[:, None]
        return scaled.clamp_min(torch.finfo(dtype).min).to(dtype)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, order: Tensor | None, strength: float = 1.0) -> Tensor:
        """Attend to places of the clicks' order.

        Parameters
        ----------
        query : (B, N, C) tensor
        key, value : (B, HW, C) tensors
        order : (B, N, HW) tensor in [0, 1], or None
            Order mask; None = order off.
        strength : float
            Multiplies sigma.
        """
        mask = None if order is None else self.bias(order, query.dtype, strength)
        return self.attention(query, key, value, mask)


class ObjectAwareAttention(nn.Module):
    """Positive slots see the previous mask only, negative slots its complement (Eq. 4, 5)."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.attention = Attention(dim, num_heads)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None) -> Tensor:
        """Attend where ``allowed`` (B, N, HW) bool is True; None = everywhere, as in the first round."""
        return self.attention(query, key, value, None if allowed is None else allowed[:, None])


def object_mask(previous: Tensor, slots: int, half: int, patch: int) -> Tensor:
    """Where each slot may look, from the mask of the previous click (Eq. 5).

    Parameters
    ----------
    previous : (B, 1, H, W) float tensor
        Probability predicted after the previous click, at input resolution.
    slots, half : int
        Number of slots, and how many of them, from the first, are the positive half.
    patch : int
        Side of a cell in pixels; a cell is foreground when its mean probability exceeds 0.5.

    Returns
    -------
    (B, slots, h * w) bool tensor. A row that could see nothing (an empty or a full previous mask) is opened
    completely: a fully masked softmax would be undefined.
    """
    foreground = F.avg_pool2d(previous.float(), patch).flatten(2) > 0.5
    allowed = torch.cat([foreground.expand(-1, half, -1), (~foreground).expand(-1, slots - half, -1)], dim=1)
    return allowed | ~allowed.any(dim=-1, keepdim=True)


class PromptBlock(nn.Module):
    """Order-aware attention, object-aware attention, FFN, and back into the image (Sec. 3.2 to 3.4).

    Each step adds to the sparse embeddings and is followed by a LayerNorm; the image features carry no
    norm, so that a decoder loaded from elsewhere sees what it was trained on. The output projection towards
    the image starts at zero: at first the block leaves the image features as they are.

    Parameters
    ----------
    dim, num_heads : int
    mlp_ratio : float
        Hidden width of the FFN over ``dim``.
    use_order, use_object : bool
        The paper's ablations (Table 4), read so: without one, its attention stays and is the standard one.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        *,
        mlp_ratio: float = 4.0,
        use_order: bool = True,
        use_object: bool = True,
    ) -> None:
        super().__init__()
        self.use_order = use_order
        self.use_object = use_object
        self.order_attention = OrderAwareAttention(dim, num_heads)
        self.order_norm = nn.LayerNorm(dim)
        self.object_attention = ObjectAwareAttention(dim, num_heads)
        self.object_norm = nn.LayerNorm(dim)
        hidden = int(dim * mlp_ratio)
        self.ffn = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim))
        self.ffn_norm = nn.LayerNorm(dim)
        self.image_to_token = Attention(dim, num_heads)
        nn.init.zeros_(self.image_to_token.out.weight)
        nn.init.zeros_(self.image_to_token.out.bias)

    def forward(
        self,
        sparse: Tensor,
        image: Tensor,
        *,
        initial: Tensor,
        position: Tensor,
        order: Tensor | None,
        allowed: Tensor | None,
        key_bias: Tensor | None = None,
        strength: float = 1.0,
        trace: list[BlockAttention] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Run the block.

        Parameters
        ----------
        sparse, initial : (B, N, C) tensors
            The sparse embeddings now and as they were first; the latter is added to queries and keys, never
            to values.
        image : (B, HW, C) tensor
            Image features, row-major over the grid.
        position : (1, HW, C) tensor
            Fourier code of the cells.
        order : (B, N, HW) tensor or None
            Order mask.
        allowed : (B, N, HW) bool tensor or None
            Object mask; None in the first round.
        key_bias : (B, 1, 1, N) tensor, optional
            Added to the scores of image-to-token attention: the log of how many equal slots a row stands for.
        strength : float
            Multiplies every sigma.
        trace : list, optional
            Takes the weights of both attentions; the block then reads with these very weights.

        Returns
        -------
        sparse : (B, N, C) tensor
        image : (B, HW, C) tensor
        """
        keys = image + position
        order = order if self.use_order else None
        allowed = allowed if self.use_object else None
        if trace is None:
            read = self.order_attention(sparse + initial, keys, image, order, strength)
            sparse = self.order_norm(sparse + read)
            read = self.object_attention(sparse + initial, keys, image, allowed)
            sparse = self.object_norm(sparse + read)
        else:
            sparse = self._read_traced(sparse, image, initial, keys, order, allowed, strength, trace)
        sparse = self.ffn_norm(sparse + self.ffn(sparse))
        image = image + self.image_to_token(keys, sparse + initial, sparse, key_bias)
        return sparse, image

    def _read_traced(
        self,
        sparse: Tensor,
        image: Tensor,
        initial: Tensor,
        keys: Tensor,
        order: Tensor | None,
        allowed: Tensor | None,
        strength: float,
        trace: list[BlockAttention],
    ) -> Tensor:
        """Both attentions by explicit weights, which are kept."""
        attention = self.order_attention.attention
        plain = attention.weights(sparse + initial, keys)
        ordered = plain
        if order is not None:
            bias = self.order_attention.bias(order, sparse.dtype, strength)
            ordered = attention.weights(sparse + initial, keys, bias)
        sparse = self.order_norm(sparse + attention.read(ordered, image))
        attention = self.object_attention.attention
        inside = attention.weights(sparse + initial, keys, None if allowed is None else allowed[:, None])
        trace.append(BlockAttention(ordered, plain, inside))
        return self.object_norm(sparse + attention.read(inside, image))
