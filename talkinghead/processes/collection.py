"""Python's cyclic garbage collection while a command loads what it needs."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


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
