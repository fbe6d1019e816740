"""Heaps that threads share, by glibc's own account."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from talkinghead.processes import heaps
from talkinghead.processes.heaps import give_back_memory, limit_heaps

HEAPS = """
import ctypes, sys, threading
from talkinghead.processes.heaps import limit_heaps
done = limit_heaps(1) if sys.argv[1] == "one" else None
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
all_here = threading.Barrier(6)
def allocate():
    libc.malloc(ctypes.c_size_t(4096))
    all_here.wait()  # a heap of a thread that has ended is given to another
threads = [threading.Thread(target=allocate) for _ in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(sys.argv[2].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
print(done)
"""


def heaps_of(which: str, folder: Path, **variables: str) -> tuple[str, int]:
    """What `limit_heaps` says in a process of its own, and the heaps of that by glibc's own account."""
    own = {name: value for name, value in os.environ.items() if name not in ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES")}
    command = [sys.executable, "-c", HEAPS, which, str(folder / "heaps.xml")]
    done = subprocess.run(command, env=own | variables, capture_output=True, text=True, check=True)
    return done.stdout.strip(), (folder / "heaps.xml").read_text().count("<heap nr=")


@pytest.mark.skipif(heaps._glibc() is None, reason="heaps of glibc")
def test_threads_share_one_heap(tmp_path: Path) -> None:
    assert heaps_of("many", tmp_path)[1] > 1
    assert heaps_of("one", tmp_path) == ("True", 1)


@pytest.mark.skipif(heaps._glibc() is None, reason="heaps of glibc")
def test_what_the_user_has_settled_stays(tmp_path: Path) -> None:
    said, count = heaps_of("one", tmp_path, MALLOC_ARENA_MAX="3")
    assert said == "False" and 1 < count <= 3


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    heaps._glibc.cache_clear()
    monkeypatch.setattr(sys, "platform", "darwin")
    try:
        assert not limit_heaps(1)
        give_back_memory()
    finally:
        heaps._glibc.cache_clear()
