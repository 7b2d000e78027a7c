"""Memory that a training step frees is kept for the next one.

The rule of this file: on a CPU, glibc takes every large block from the system and gives it back when it is freed, so
that each step pays for the same pages anew; while a training runs it keeps them, and afterwards they go back.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# From glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_LARGEST = 2**31 - 1
_PAD = 256 * 2**20
"""Bytes by which the heap grows at once: growing it is a call to the system too."""
_USUAL = {_MMAP_THRESHOLD: 32 * 2**20, _TRIM_THRESHOLD: 64 * 2**20, _TOP_PAD: 128 * 2**10}
"""Where glibc ends up by itself, as soon as a process has freed a large block."""


@contextmanager
def kept_memory() -> Iterator[bool]:
    """Keep freed memory in the process for as long as the context lasts.

    Yields
    ------
    bool
        Whether the system's allocator is one that can be told so; elsewhere, nothing is changed.
    """
    allocator = _glibc()
    if allocator is None:
        yield False
        return
    for name, value in ((_MMAP_THRESHOLD, _LARGEST), (_TRIM_THRESHOLD, _LARGEST), (_TOP_PAD, _PAD)):
        allocator.mallopt(name, value)
    try:
        yield True
    finally:
        for name, value in _USUAL.items():
            allocator.mallopt(name, value)
        allocator.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    allocator = ctypes.CDLL(None)
    known = hasattr(allocator, "gnu_get_libc_version") and hasattr(allocator, "malloc_trim")
    return allocator if known else None
