"""glibc's allocator, told to keep the big buffers that a network frees and asks for again with every layer."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt(3)
_LARGEST_MMAP_THRESHOLD = 32 * 2**20  # more is refused on 64-bit systems


def keep_big_buffers() -> bool:
    """Serve blocks up to 32 MiB from the heap and give none of it back; whether this C library takes it.

    Otherwise every layer's output is mapped afresh, and the kernel clears its pages one fault at a time.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl has none
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD) and mallopt(_TRIM_THRESHOLD, 2**31 - 1))
