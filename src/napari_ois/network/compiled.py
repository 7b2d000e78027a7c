"""Compiled halves of a network, by choice: shapes are static, so each input size is compiled once.

The rule of this file: only what always has the same shapes is compiled, which is everything but the making of
prompts from clicks. The network itself is left as it is, and stays the plain twin.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from napari_ois.errors import InputError
from napari_ois.network.embedding import ImageEmbedding
from napari_ois.network.ois import OIS

COMPILERS = ("g++", "clang++", "cl")


class CompiledHalves:
    """``embed_image`` and ``decode_clicks`` of a network, compiled on their first call.

    That takes from tens of seconds to minutes for every input size. What is rare stays uncompiled: traces, windows
    and other strengths of order.

    Parameters
    ----------
    network : OIS
        In evaluation mode; not changed.
    backend : str
        Of ``torch.compile``.

    Raises
    ------
    InputError
        If the network is on the CPU and there is no C++ compiler, or no header of Python.
    """

    def __init__(self, network: OIS, backend: str = "inductor") -> None:
        if backend == "inductor" and network.device.type == "cpu":
            check_compiler()
        self._network = network
        self._embed: Callable[..., ImageEmbedding] = torch.compile(network.embed_image, dynamic=False, backend=backend)
        self._decode: Callable[..., Tensor] = torch.compile(network.decode_prompts, dynamic=False, backend=backend)

    def embed_image(self, image: Tensor, depth: Tensor | None = None) -> ImageEmbedding:
        """See :meth:`OIS.embed_image`."""
        return self._embed(image, depth)

    def decode_clicks(
        self,
        embedding: ImageEmbedding,
        points: Tensor,
        labels: Tensor,
        previous: Tensor | None = None,
        **extras: Any,
    ) -> Tensor:
        """See :meth:`OIS.decode_clicks`."""
        if extras:
            return self._network.decode_clicks(embedding, points, labels, previous, **extras)
        prompts = self._network.place_clicks(embedding, points, labels, previous, collapse=False)
        if prompts.initial is not None and prompts.allowed is None:
            # A first click may look everywhere; said by a mask, as later ones say it, it is the same graph.
            batch, slots, cells = len(prompts.initial), prompts.initial.shape[1], prompts.image[0, 0].numel()
            everywhere = torch.ones(batch, slots, cells, dtype=torch.bool, device=prompts.initial.device)
            prompts = replace(prompts, allowed=everywhere)
        return self._decode(prompts, embedding.skips, embedding.input_size)


def check_compiler() -> None:
    """Make sure that torch can compile for the CPU here.

    Raises
    ------
    InputError
        That says what to install.
    """
    wanted = (os.environ["CXX"],) if os.environ.get("CXX") else COMPILERS
    if not any(shutil.which(name) for name in wanted):
        install = {"darwin": "run xcode-select --install", "win32": "install the Visual Studio Build Tools"}
        remedy = install.get(sys.platform, "install g++")
        raise InputError(
            f"Compiling for the CPU needs a C++ compiler ({', '.join(wanted)}), and there is none here; {remedy}, or "
            "leave compile off."
        )
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        raise InputError(
            "Compiling for the CPU needs the header Python.h, and it is not here; install Python's development files "
            "(python3-dev on Debian), or leave compile off."
        )
