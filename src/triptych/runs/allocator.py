"""Bound what native libraries keep, and set glibc's allocator for work on a CPU."""

from __future__ import annotations

import ctypes
import os
import sys

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX, ARENA_MAX = -1, -2, -4, -8  # glibc's malloc.h

# oneDNN's cache of programs, and that of torch's calls of it, each for 1,024 if nothing is set
CAPACITIES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
PROGRAMS = 256  # about 290 kB each


def keep_few_programs(most: int = PROGRAMS) -> None:
    """Let oneDNN keep at most so many programs; call it before the first product.

    A program is written for each shape. A server meets ever new ones, and 600 MB of them would stay
    (docs/results/serving.md). What the user has set in the environment stays.
    """
    for name in CAPACITIES:
        os.environ.setdefault(name, str(most))


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


def give_back_freed() -> None:
    """Give pages that hold nothing back to the system, where glibc can."""
    if sys.platform.startswith("linux"):
        try:
            ctypes.CDLL(None).malloc_trim(0)
        except (OSError, AttributeError):
            return
