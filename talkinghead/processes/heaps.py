"""Heaps of the C library, where that is glibc; elsewhere these functions do nothing.

By default glibc gives each thread a heap of its own, up to eight for each core. What one thread frees is then of no use
to the others, and what is freed between two blocks that live on is not given back to the system by itself.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from typing import Any

M_ARENA_MAX = -8
"""Of glibc's malloc.h: most heaps of a process."""
OWN_SETTINGS = ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES")
"""Environment variables by which a user settles the heaps of a process."""


def limit_heaps(most: int) -> bool:
    """Let the threads of this process share a few heaps; to be called before there are any.

    Args:
        most: number of heaps. With one, the stages of a video use in turn what the others have freed; else the process
            holds the sum of their peaks.

    Returns:
        Whether that was done: not where the user has settled it by the environment.
    """
    library = _glibc()
    if library is None or any(name in os.environ for name in OWN_SETTINGS):
        return False
    return bool(library.mallopt(M_ARENA_MAX, most))


def give_back_memory() -> None:
    """Give memory that is free back to the system, which takes some milliseconds."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


@functools.cache
def _glibc() -> Any:
    """The C library, where it is glibc; else None."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") and hasattr(library, "mallopt") else None
