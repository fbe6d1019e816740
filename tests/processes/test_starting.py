"""Garbage collection and heaps of a process that is about to work."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from talkinghead.processes import starting
from talkinghead.processes.starting import collection_paused, is_glibc, share_one_heap

HEAPS = """
import ctypes, sys, threading
from talkinghead.processes.starting import share_one_heap
done = share_one_heap() if sys.argv[1] == "one" else None
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
    """What `share_one_heap` says in a process of its own, and the heaps of that by glibc's own account."""
    own = {name: value for name, value in os.environ.items() if name not in ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES")}
    command = [sys.executable, "-c", HEAPS, which, str(folder / "heaps.xml")]
    done = subprocess.run(command, env=own | variables, capture_output=True, text=True, check=True)
    return done.stdout.strip(), (folder / "heaps.xml").read_text().count("<heap nr=")


@pytest.mark.skipif(not is_glibc(), reason="heaps of glibc")
def test_threads_share_one_heap(tmp_path: Path) -> None:
    assert heaps_of("many", tmp_path)[1] > 1
    assert heaps_of("one", tmp_path) == ("True", 1)


@pytest.mark.skipif(not is_glibc(), reason="heaps of glibc")
def test_what_the_user_has_settled_stays(tmp_path: Path) -> None:
    said, heaps = heaps_of("one", tmp_path, MALLOC_ARENA_MAX="3")
    assert said == "False" and 1 < heaps <= 3


@pytest.mark.parametrize("fault", [ValueError, OSError, AttributeError])
def test_other_c_libraries_are_left_alone(fault: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> str:
        raise fault(name)

    monkeypatch.setattr(starting.os, "confstr", unknown, raising=False)
    assert not is_glibc() and not share_one_heap()


@pytest.mark.parametrize("is_enabled", [True, False])
def test_collection_is_paused_and_then_as_it_was(is_enabled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    was_enabled = gc.isenabled()
    try:
        (gc.enable if is_enabled else gc.disable)()
        frozen = gc.get_freeze_count()
        with collection_paused():
            assert not gc.isenabled()
        assert gc.isenabled() == is_enabled
        assert gc.get_freeze_count() == frozen  # nothing was imported: what there is may be garbage
        with pytest.raises(ImportError), collection_paused():
            monkeypatch.setitem(sys.modules, "imported_by_a_test", gc)
            raise ImportError
        assert gc.isenabled() == is_enabled and gc.get_freeze_count() > frozen
    finally:
        gc.unfreeze()
        (gc.enable if was_enabled else gc.disable)()
