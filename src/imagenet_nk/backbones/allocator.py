"""The C library's allocator, set for a process that computes embeddings."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # parameters of mallopt(3)
_MAX_MMAP_THRESHOLD = 32 * 2**20  # bytes; glibc refuses more on 64-bit systems


def reuse_large_blocks() -> bool:
    """Serve blocks of up to 32 MiB from the heap and never return it to the system; whether the C library supports it.

    By default glibc maps each layer's output separately, and the kernel clears its pages one by one. The setting is
    for the whole process: only the command and its workers call this, never the library.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform.startswith("linux") else None
    if mallopt is None:  # musl has none
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _MAX_MMAP_THRESHOLD) and mallopt(_TRIM_THRESHOLD, 2**31 - 1))
