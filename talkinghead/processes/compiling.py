"""Starting numba, which happens when the first compiled function is called."""

from __future__ import annotations

import sys
import threading

_starting = threading.Lock()


def start_numba() -> None:
    """Load what numba loads before its first function, but not SciPy's linear algebra.

    At its start numba asks whether there is a BLAS for `np.dot` inside of compiled functions, by importing SciPy's,
    which takes 0.15 s and 15 MB. No function of this package calls `np.dot`, and for one that did numba would ask
    again (`numba.np.linalg.ensure_blas`): so here the answer is yes, unasked. A numba that does not ask in this way
    starts in its own.
    """
    with _starting:
        if "numba.np.arraymath" in sys.modules:
            return
        from numba.np import linalg

        asking = getattr(linalg, "ensure_blas", None)
        if asking is None:
            return
        linalg.ensure_blas = lambda: None
        try:
            import numba.np.arraymath  # noqa: F401  (which asks)
        finally:
            linalg.ensure_blas = asking
