"""Memory that the C library keeps after it was freed: connections come and go in threads, each with a heap of its own,
and what is freed between two blocks that live on is not given back by itself."""

from __future__ import annotations

import ctypes
import functools
import sys
from typing import Any

M_ARENA_MAX = -8
"""Of glibc's malloc.h: most heaps of a process."""
MOST_ARENAS = 2


def limit_heaps() -> None:
    """Let the threads of this process share a few heaps; to be called before there are any. Elsewhere than with glibc
    it does nothing."""
    library = _glibc()
    if library is not None:
        library.mallopt(M_ARENA_MAX, MOST_ARENAS)


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
