"""Count multiply-adds of a network's halves, and measure what the machine could do at best.

One rule: counting runs nothing. The network is built without memory and torch's own counter adds up what its
operations would multiply.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from napari_ois.network.decoder import DPTDecoder
from napari_ois.network.meta import build_on_meta
from napari_ois.network.plain import plain_click


def gmacs(preset: str, input_shape: tuple[int, int], clicks: int = 4) -> dict[str, float]:
    """Thousand millions of multiply-adds: of an embedding, of a click, and of a click on the plain path.

    All 48 slots are counted, as on a GPU; on a CPU a click has fewer, which saves less than a hundredth.
    """
    network = build_on_meta(preset).eval()
    image, depth = (torch.empty(1, channels, *input_shape, device="meta") for channels in (3, 1))
    points = torch.empty(1, clicks, 2, device="meta")
    labels = torch.empty(1, clicks, dtype=torch.long, device="meta")
    found = {}
    # Attention is counted by its two matrix products; the fused kernels of some devices are not counted at all.
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH):
        with FlopCounterMode(display=False) as counter:
            embedding = network.embed_image(image, depth)
            # Decoder A by itself: as part of the network it asks for autocast, which the meta device has not.
            decoder = network.depth_decoder
            DPTDecoder.click_part(decoder, decoder.image_part(network.encoder(image)), embedding.input_size)
        twice = counter.get_total_flops() / 2e9
        with FlopCounterMode(display=False) as counter:
            maps = network.encoder(image)
        found["embed"] = twice - counter.get_total_flops() / 2e9
        with FlopCounterMode(display=False) as counter:
            network.decode_clicks(embedding, points, labels, depth, collapse=False)
        found["click"] = counter.get_total_flops() / 2e9
        with FlopCounterMode(display=False) as counter:
            plain_click(network, maps, depth, points, labels, depth, surface=embedding.surface)
        found["plain"] = counter.get_total_flops() / 2e9
    return found


def machine_limit(
    once: Callable[[Callable[[], object]], float], device: str = "cpu", size: int = 2048, runs: int = 5
) -> float:
    """Thousand millions of multiply-adds a second in a large matrix product: the best of some runs.

    Parameters
    ----------
    once : callable
        Returns the seconds that a call takes.
    device : str
    size : int
        Side of the matrices.
    """
    a, b = torch.rand(size, size, device=device), torch.rand(size, size, device=device)
    return size**3 / 1e9 / min([once(lambda: a @ b) for _ in range(runs + 1)][1:])
