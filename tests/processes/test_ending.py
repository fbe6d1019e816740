"""A process that ends at once, and still cleans up, writes what it has to write, and gives its exit code."""

import os
import subprocess
import sys

import pytest

CHILD = """
import atexit, ctypes, sys, threading, time
from talkinghead.processes.ending import run_alone

def command():
    atexit.register(print, "cleaned up")
    ctypes.CDLL(None).__cxa_atexit(ctypes.CDLL(None).puts, b"unloaded", None)  # as a destructor of a library
    threading.Thread(target=lambda: (time.sleep(0.1), print("thread done"))).start()
    print("not flushed", end=" ")
    {ending}

{run}
"""
ENDINGS = {
    "pass": 0,
    "sys.exit()": 0,
    "sys.exit(3)": 3,
    "sys.exit(259)": 3,
    "sys.exit('a text')": 1,
    "raise KeyError('a key')": 1,
}


def outcome(ending: str, run: str) -> tuple[int, list[str], str]:
    code = CHILD.format(ending=ending, run=run)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr.strip().rpartition("\n")[2]


@pytest.mark.skipif(sys.platform != "linux", reason="libraries are unloaded as glibc does it")
@pytest.mark.parametrize("ending", ENDINGS)
def test_it_ends_as_ever_but_for_the_libraries(ending: str) -> None:
    plainly, alone = outcome(ending, "command()"), outcome(ending, "run_alone(command)")
    assert plainly == (ENDINGS[ending], ["not flushed thread done", "cleaned up", "unloaded"], plainly[2])
    assert alone == (ENDINGS[ending], ["not flushed thread done", "cleaned up"], plainly[2])
    assert ("a text" in alone[2]) == ("text" in ending) and ("KeyError" in alone[2]) == ("KeyError" in ending)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_output_that_cannot_be_written_is_no_success() -> None:
    code = "from talkinghead.processes.ending import run_alone; run_alone(lambda: print('lost'))"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    read, write = os.pipe()
    os.close(read)  # nobody reads it
    with os.fdopen(write, "wb") as pipe:
        done = subprocess.run([sys.executable, "-c", code], stdout=pipe, env=buffered, check=False)
    assert done.returncode == 120
