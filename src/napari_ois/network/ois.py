"""OIS: embed an image once, decode clicks many times (Fig. 2).

The rule of this file: it joins the parts and does nothing else. What depends on the image alone is returned
as an :class:`ImageEmbedding`; what is kept between clicks is the caller's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_ois.network.appearance import APPEARANCES, appearance
from napari_ois.network.attention import BlockAttention, PromptBlock, object_mask
from napari_ois.network.decoder import DecoderFeatures, DPTDecoder, fine_width
from napari_ois.network.embedding import ImageEmbedding, Prompts
from napari_ois.network.extensions import (
    ORDER_CHANNELS,
    PREVIOUS_CHANNELS,
    ContextMixer,
    CuePrompt,
    DepthEncoder,
    click_features,
    order_channels,
    previous_channel,
)
from napari_ois.network.order import (
    depth_at_clicks,
    normalize_depth,
    order_mask,
    positive_reference,
)
from napari_ois.network.prompts import (
    DenseEmbedding,
    SparseEmbedding,
    arrange_slots,
    disk_map,
)
from napari_ois.network.surface import BORDER, FAR, NEAR, click_cues, surface_of
from napari_ois.network.window import Window


class OIS(nn.Module):
    """Order-aware interactive segmentation.

    Parameters
    ----------
    encoder : module that follows :class:`napari_ois.network.encoder.Encoder`
    depth_decoder, mask_decoder : DPTDecoder
        Decoder A, which estimates depth, and decoder B, into which prompts enter at its cut.
    dim : int
        Width C of the image features at the cut.
    num_heads, num_blocks : int
        Three blocks in the paper's model; eight heads, which it leaves open, as in SAM and HODOR.
    use_order, use_object, use_sparse, use_dense : bool
        The paper's ablations (Table 4). Without sparse embeddings there is no attention at all.
    encode_depth : bool
        A stand-in of our own for the DepthEncoder control (Table 5), which in the paper is MM-SAM's encoder; switch
        ``use_order`` off with it, as the paper does.
    dense_order, dense_previous, sparse_features : bool
        Extensions of the compact preset: order maps and the previous mask as channels of the dense prompt,
        and image features read at the clicks added to the sparse embeddings.
    cues : bool
        Extension of the compact preset: see :class:`CuePrompt`; needs the dense prompt, and a decoder whose finest
        map has half the input's resolution.
    appearance : bool
        Extension of the compact preset: how much each colour speaks for the object goes along with the cues.
    mixer_widths : (int, int), optional
        Extension of the compact preset: see :class:`ContextMixer`. None = no mixer.
    min_depth_range : float
        See :func:`normalize_depth`; for estimated depth only.
    """

    def __init__(
        self,
        encoder: nn.Module,
        depth_decoder: DPTDecoder,
        mask_decoder: DPTDecoder,
        *,
        dim: int,
        num_heads: int = 8,
        num_blocks: int = 3,
        use_order: bool = True,
        use_object: bool = True,
        use_sparse: bool = True,
        use_dense: bool = True,
        encode_depth: bool = False,
        dense_order: bool = False,
        dense_previous: bool = False,
        sparse_features: bool = False,
        cues: bool = False,
        appearance: bool = False,
        mixer_widths: tuple[int, int] | None = None,
        min_depth_range: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.depth_decoder = depth_decoder
        self.mask_decoder = mask_decoder
        self.patch: int = encoder.patch  # type: ignore[assignment]
        self.use_order = use_order
        self.dense_order = dense_order and use_order
        self.dense_previous = dense_previous
        self.sparse_features = sparse_features
        self.min_depth_range = min_depth_range
        extra = ORDER_CHANNELS * self.dense_order + PREVIOUS_CHANNELS * dense_previous
        self.sparse = SparseEmbedding(dim) if use_sparse else None
        self.dense = DenseEmbedding(dim, self.patch, extra_channels=extra) if use_dense else None
        self.cues: CuePrompt | None = None
        if cues and use_dense:
            looks = APPEARANCES * appearance
            self.cues = CuePrompt(dim, self.patch, fine_width(mask_decoder), 2 + extra, looks)
        self.appearance = appearance and self.cues is not None
        self.depth_encoder = DepthEncoder(dim, self.patch) if encode_depth else None
        self.mixer = ContextMixer(dim, mixer_widths) if mixer_widths else None
        self.blocks = nn.ModuleList(
            PromptBlock(dim, num_heads, use_order=use_order, use_object=use_object)
            for _ in range(num_blocks if use_sparse else 0)
        )

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def sigmas(self) -> list[Tensor]:
        """What each block learned of Eq. 3's sigma, (heads,) tensors; none without sparse embeddings."""
        return [block.order_attention.sigma for block in self.blocks if isinstance(block, PromptBlock)]

    def embed_image(self, image: Tensor, depth: Tensor | None = None, *, valid: Tensor | None = None) -> ImageEmbedding:
        """Compute everything that depends on the image alone.

        Parameters
        ----------
        image : (B, 3, H, W) float tensor
            RGB in [0, 1]; sides multiples of ``encoder.multiple``.
        depth : (B, 1, H, W) float tensor, optional
            Depth to use instead of the estimated one; any unit, larger = nearer.
        valid : (B, 1, H, W) bool tensor, optional
            Pixels that show the image, where a training pads it: depth is normalised over them alone.

        Returns
        -------
        ImageEmbedding
        """
        maps = self.encoder(image)
        size = (image.shape[-2], image.shape[-1])
        if not self.training:  # the decoders' convolutions are faster so, and what they give stays so
            maps = tuple(x.contiguous(memory_format=torch.channels_last) for x in maps)
        part = self.mask_decoder.image_part(maps)
        if depth is None:
            raw = self.depth_decoder(maps, size).float()
            normalized = normalize_depth(raw, min_range=self.min_depth_range, valid=valid)
        else:
            raw, normalized = depth.float(), normalize_depth(depth, valid=valid)
        features = part.features
        if self.depth_encoder is not None:
            features = features + self.depth_encoder(normalized.to(features.dtype))
        position = None if self.sparse is None else self.sparse.code.grid(size, self.patch)
        surface = None if self.cues is None else surface_of(image)
        return ImageEmbedding(features, part.skips, normalized, raw, position, surface)

    def decode_clicks(
        self,
        embedding: ImageEmbedding,
        points: Tensor,
        labels: Tensor,
        previous: Tensor | None = None,
        *,
        collapse: bool | None = None,
        order_strength: float = 1.0,
        trace: list[BlockAttention] | None = None,
        window: Window | None = None,
    ) -> Tensor:
        """Predict the mask for the clicks.

        Parameters
        ----------
        embedding : ImageEmbedding of B images
        points : (B, N, 2) float tensor
            Row, column in input pixels, oldest first.
        labels : (B, N) integer tensor
            1 positive, 0 negative, -1 no click.
        previous : (B, 1, H, W) float tensor, optional
            Logits that this method returned for the clicks before the newest; None in the first round.
        collapse : bool, optional
            Keep equal empty slots as one row (see :func:`arrange_slots`); the result is the same. By default on
            the CPU only: elsewhere, counting the clicks would wait for the device.
        order_strength : float >= 0
            Multiplies every sigma, and in the dense prompt every distance in depth: 1 as trained, 0 without order.
        trace : list, optional
            Takes what each block looked at; its rows are the slots of ``arrange_slots(points, labels)``.
        window : (top, left, bottom, right), optional
            Box of the input to answer in; the result is the box's alone, and there the same as without.

        Returns
        -------
        (B, 1, H, W) float32 tensor of logits at input size, or of the window's size.
        """
        prompts = self.place_clicks(
            embedding,
            points,
            labels,
            previous,
            # The rows of a trace are those of `arrange_slots` as it is by default.
            collapse=points.device.type == "cpu" or trace is not None if collapse is None else collapse,
            order_strength=order_strength,
        )
        return self.decode_prompts(
            prompts, embedding.skips, embedding.input_size, strength=order_strength, trace=trace, window=window
        )

    def place_clicks(
        self,
        embedding: ImageEmbedding,
        points: Tensor,
        labels: Tensor,
        previous: Tensor | None = None,
        *,
        collapse: bool,
        order_strength: float = 1.0,
    ) -> Prompts:
        """Make prompts of clicks: the cheap half of :meth:`decode_clicks`, whose shapes follow the clicks."""
        size = embedding.input_size
        probability = None if previous is None else previous.float().sigmoid()
        image, fine = embedding.features, None
        if self.dense is not None:
            maps = self._dense_maps(embedding, points, labels, probability, order_strength)
            image = image + self.dense(maps.to(image.dtype))
            if self.cues is not None and embedding.surface is not None:
                cues = click_cues(embedding.surface, points, labels)
                looks = self._looks(embedding.surface, cues, probability) if self.appearance else None
                coarse, fine = self.cues(cues, maps, looks)
                image = image + coarse.to(image.dtype)
        if self.sparse is None:
            return Prompts(image, fine=fine)
        slots = arrange_slots(points, labels, collapse=collapse)
        initial = self.sparse(slots, size).to(image.dtype)
        if self.sparse_features:
            initial = initial + click_features(embedding.features, slots.points, slots.labels, self.patch)
        order = None
        if self.use_order and order_strength > 0:
            reference, exists = positive_reference(depth_at_clicks(embedding.depth, points), labels)
            depths = depth_at_clicks(embedding.depth, slots.points)
            order = order_mask(embedding.cells, depths, slots.labels, reference, exists, slots.half)
        allowed = None
        if probability is not None:
            allowed = object_mask(probability, slots.labels.shape[1], slots.half, self.patch)
        key_bias = None if slots.log_count is None else slots.log_count[:, None, None].to(image.dtype)
        position = self.sparse.code.grid(size, self.patch) if embedding.position is None else embedding.position
        return Prompts(image, initial, position.to(image.dtype), order, allowed, key_bias, fine)

    def decode_prompts(
        self,
        prompts: Prompts,
        skips: tuple[Tensor, ...],
        size: tuple[int, int],
        *,
        strength: float = 1.0,
        trace: list[BlockAttention] | None = None,
        window: Window | None = None,
    ) -> Tensor:
        """Answer prompts: the dear half of :meth:`decode_clicks`; with 48 slots its shapes are always the same."""
        image = self.interact(prompts, strength=strength, trace=trace)
        return self.mask_decoder.click_part(DecoderFeatures(image, prompts.onto(skips)), size, window).float()

    def interact(self, prompts: Prompts, *, strength: float = 1.0, trace: list[BlockAttention] | None = None) -> Tensor:
        """Run the prompt blocks; (B, C, h, w) image features that know of the clicks."""
        image = prompts.image
        if prompts.initial is not None:
            sparse, flat = prompts.initial, image.flatten(2).transpose(1, 2)
            for block in self.blocks:
                sparse, flat = block(
                    sparse,
                    flat,
                    initial=prompts.initial,
                    position=prompts.position,
                    order=prompts.order,
                    allowed=prompts.allowed,
                    key_bias=prompts.key_bias,
                    strength=strength,
                    trace=trace,
                )
            image = flat.transpose(1, 2).unflatten(2, image.shape[-2:])
        return image if self.mixer is None else self.mixer(image)

    def forward(
        self,
        image: Tensor,
        points: Tensor,
        labels: Tensor,
        previous: Tensor | None = None,
        depth: Tensor | None = None,
    ) -> Tensor:
        """Run the whole network for one round of clicks: the plain path, nothing reused.

        Parameters and result are those of :meth:`embed_image` and :meth:`decode_clicks`; all 48 slots are
        kept.
        """
        embedding = self.embed_image(image, depth)
        return self.decode_clicks(embedding, points, labels, previous, collapse=False)

    def _dense_maps(
        self, embedding: ImageEmbedding, points: Tensor, labels: Tensor, probability: Tensor | None, strength: float
    ) -> Tensor:
        maps = [disk_map(points, labels, embedding.input_size)]
        if self.dense_order:
            maps.append(order_channels(embedding.depth, points, labels, strength))
        if self.dense_previous:
            maps.append(previous_channel(probability, embedding.depth))
        return torch.cat(maps, dim=1)

    def _looks(self, surface: Tensor, cues: Tensor, probability: Tensor | None) -> Tensor:
        """Appearance; before there is a mask, by what lies near to the clicks and near to the border."""
        near = cues[:, NEAR : NEAR + 1]
        far = (cues[:, FAR : FAR + 1] + cues[:, BORDER : BORDER + 1]).clamp_max(1)
        return appearance(surface, near, far, probability)
