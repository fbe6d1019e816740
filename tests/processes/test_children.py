"""Child processes as Windows and POSIX start and end them; Windows is simulated by its name."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from talkinghead.processes.children import ask_to_end, end_this_process, own_session
from talkinghead.processes.cores import usable_cores

CHILD = """
import signal, sys, threading, time
from talkinghead.processes import children
platform = sys.argv[1]

def handler(number, frame):
    print("saved", threading.current_thread() is threading.main_thread(), flush=True)
    raise SystemExit(3)

signal.signal(signal.SIGTERM, handler)

def wait_for_the_parent():
    sys.stdin.read()
    sys.platform = platform
    children.end_this_process()

threading.Thread(target=wait_for_the_parent, daemon=True).start()
print("ready", flush=True)
for _ in range(6000):
    time.sleep(0.01)
"""


def started(platform: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, platform]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8", **own_session()
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_a_child_saves_what_it_has(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    process = started(platform)
    with process:
        monkeypatch.setattr(sys, "platform", platform)
        ask_to_end(process)
        monkeypatch.undo()
        assert process.stdout is not None and process.stdout.read() == "saved True\n"
    assert process.returncode == 3


def test_a_child_ends_with_its_parent() -> None:
    with started("linux") as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        assert process.stdout.read() == "saved True\n"


def test_ctrl_c_does_not_reach_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    with started("linux") as process:
        assert os.getsid(process.pid) == process.pid != os.getsid(0)
        process.kill()
    monkeypatch.setattr(sys, "platform", "win32")
    assert own_session() == {"creationflags": 0x200}  # CREATE_NEW_PROCESS_GROUP, winbase.h


def test_windows_ends_itself_by_the_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    caught: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: caught.append(number))
    try:
        monkeypatch.setattr(sys, "platform", "win32")
        monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("os.kill ends a process on Windows"))
        end_this_process()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught == [signal.SIGTERM]


def test_cores_where_the_system_does_not_bind_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    if hasattr(os, "sched_getaffinity"):
        assert usable_cores() == len(os.sched_getaffinity(0))
        monkeypatch.delattr(os, "sched_getaffinity")
    assert usable_cores() == os.cpu_count()
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1


def test_a_file_that_windows_does_not_remove_hides_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from talkinghead.files import replacing

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "The process cannot access the file because it is being used by another process")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(io.UnsupportedOperation, match="what went wrong"), replacing(tmp_path / "out.txt"):
        raise io.UnsupportedOperation("what went wrong")
