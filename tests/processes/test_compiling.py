"""Numba without SciPy's linear algebra, which compiled functions that need it get all the same."""

import subprocess
import sys

CHILD = """
import sys
from talkinghead.processes.compiling import start_numba
import numba
from numba.np import linalg
asking = linalg.ensure_blas
start_numba()
start_numba()
assert linalg.ensure_blas is asking

@numba.njit
def doubled(x):
    return 2 * x

assert doubled(21) == 42 and "numba.np.arraymath" in sys.modules
print("scipy.linalg" in sys.modules)

import numpy as np

@numba.njit
def product(a, b):
    return np.dot(a, b)

a, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
np.testing.assert_allclose(product(a, b), a @ b)
print("scipy.linalg" in sys.modules)
"""


def test_numba_asks_for_linear_algebra_when_a_function_needs_it() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
