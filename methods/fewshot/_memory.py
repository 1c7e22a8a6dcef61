"""How the C library's allocator treats the memory that a training frees."""

from __future__ import annotations

import ctypes

__all__ = ["keep_memory"]

# of malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGE = 2**30


def keep_memory() -> None:
    """Let this process keep the memory it frees, where the C library is GNU's.

    Elsewhere nothing happens.

    Otherwise tensors of more than a few MiB are returned to the kernel and requested again at every
    iteration, page by page, which is slower and takes less memory (docs/tuning/kernels.md).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE)
        mallopt(M_TRIM_THRESHOLD, LARGE)
