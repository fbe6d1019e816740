"""What a command settles about its own process before the work begins: garbage collection and heaps."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_ARENA_MAX = -8
"""M_ARENA_MAX of glibc's malloc.h, the parameter of `mallopt` that limits the number of heaps."""
_OWN_SETTINGS = ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES")
"""Environment variables by which a user settles the heaps of a process."""


@contextmanager
def collection_paused() -> Iterator[None]:
    """Pause Python's cyclic garbage collection around imports, and leave what they made out of later ones.

    Importing torch and numba makes 300 000 objects that all stay. Python looks through those that there are so far
    again and again, which is a tenth of the time, and would go on to do so in each full collection.
    """
    was_enabled, loaded = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > loaded:  # else it would keep garbage alone
            gc.freeze()
        if was_enabled:
            gc.enable()


def share_one_heap() -> bool:
    """Have all threads of this process allocate from one heap, before it starts any.

    By default glibc gives each thread a heap of its own, up to eight for each core. What one stage of a video frees is
    then of no use to the others: the process holds the sum of all stages' peaks.

    Returns:
        Whether that was done: not where the C library is another one, or the user has settled it by environment.
    """
    if any(name in os.environ for name in _OWN_SETTINGS) or not is_glibc():
        return False
    with suppress(OSError, AttributeError):
        return bool(ctypes.CDLL(None).mallopt(_ARENA_MAX, 1))
    return False


def is_glibc() -> bool:
    """Whether the C library of this process is the GNU one."""
    with suppress(AttributeError, ValueError, OSError):  # no such function, or no such name, on other platforms
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    return False
