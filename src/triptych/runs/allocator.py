"""Set glibc's allocator for training and decoding on a CPU: freed memory stays in the process."""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX, ARENA_MAX = -1, -2, -4, -8  # glibc's malloc.h


def keep_freed_pages(arenas: int = 1) -> bool:
    """Tell glibc to reuse freed blocks instead of giving large ones back to the system.

    arenas: heaps that threads may have; one keeps memory together, several spare threads that
    allocate at once each other's lock.

    A step allocates and frees the same few hundred large tensors. By default each is mapped, zeroed
    page by page and unmapped again; on a virtual machine that can cost as much as the arithmetic
    (docs/decisions/004-memory.md). Returns False where there is no glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = (
        (MMAP_MAX, 0),
        (TRIM_THRESHOLD, 2**31 - 1),
        (TOP_PAD, 64 * 2**20),
        (ARENA_MAX, arenas),
    )
    return all([mallopt(option, value) == 1 for option, value in settings])
