"""LiteRT's notices are kept off standard error, and nothing else that is written there is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from talkinghead.face.native_messages import STANDARD_ERROR, without_notices
from talkinghead.weights import registry

NOTICE = b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n"

LOADS_A_NETWORK = """
import os, sys, threading
from pathlib import Path
from talkinghead.face.landmarks import FaceLandmarker
ended = threading.Event()
def write():
    for number in range(200):
        os.write(2, f"message {number}\\n".encode())
        ended.wait(0.001)
thread = threading.Thread(target=write)
thread.start()
FaceLandmarker.load(Path(sys.argv[1]))
ended.set()
thread.join()
print("done", file=sys.stderr)
"""


def test_only_the_notice_is_left_out(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(STANDARD_ERROR, b"before\n")
    with without_notices():
        os.write(STANDARD_ERROR, b"ERROR: one\nhalf a line: " + NOTICE + b"INFO: another\n")
        os.write(STANDARD_ERROR, NOTICE + b"no end")
    os.write(STANDARD_ERROR, b"\nafter\n")
    said = "before\nERROR: one\nhalf a line: INFO: another\nno end\nafter\n"
    assert capfd.readouterr().err == said


def test_an_exception_passes_and_what_was_written_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="passes"), without_notices():
        os.write(STANDARD_ERROR, b"why it failed\n")
        raise ValueError("passes")
    os.write(STANDARD_ERROR, NOTICE)  # no longer kept out
    assert capfd.readouterr().err == "why it failed\n" + NOTICE.decode()


def test_without_a_standard_error_nothing_happens() -> None:
    code = (
        "import os; os.close(2); from talkinghead.face.native_messages import without_notices as w\nwith w(): print(1)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"


def test_loading_the_landmark_model_writes_nothing_and_loses_no_message(models_folder: Path) -> None:
    """Another thread writes meanwhile; each of its lines arrives, whole and once."""
    command = [sys.executable, "-c", LOADS_A_NETWORK, str(models_folder / registry.FACE_LANDMARKER.file_name)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = result.stderr.splitlines()
    assert sorted(lines[:-1]) == sorted(f"message {number}" for number in range(200))
    assert lines[-1] == "done"
