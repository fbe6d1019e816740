"""Frames for services: they come in order, with their times, while they are generated; the work stops on request."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import talkinghead
from talkinghead.anchor import Anchor
from talkinghead.errors import MissingFileError
from talkinghead.generation.passthrough import Reason, UpdatedFrame
from talkinghead.generation.stream import AHEAD, FrameStream, begun, prefetch, prefetch_at_once
from talkinghead.text_to_speech import Script
from talkinghead.weights.bundled import checkpoint_folder

pytestmark = pytest.mark.usefixtures("own_caches")


def stream_of(frames: Iterator[UpdatedFrame], count: int, **options: object) -> FrameStream:
    return FrameStream(frames, count, 4, 2, Fraction(25), Path("speech.wav"), count / 25, **options)  # type: ignore[arg-type]


def numbered(count: int, made: list[int]) -> Iterator[UpdatedFrame]:
    for number in range(count):
        made.append(number)
        yield UpdatedFrame(np.full((2, 4, 3), number, np.uint8), number / 25)


def test_frames_come_in_order_and_progress_is_reported() -> None:
    reported: list[tuple[int, int]] = []
    closed: list[bool] = []
    held = ExitStack()
    held.callback(closed.append, True)
    stream = stream_of(numbered(40, []), 40, progress=lambda *counts: reported.append(counts), held=held)
    assert [int(frame.image[0, 0, 0]) for frame in stream] == list(range(40))
    assert reported == [(done, 40) for done in range(1, 41)]
    assert closed == [True] and len(stream) == 40


def test_what_is_passed_through_is_counted_up_to_the_frame_that_was_taken() -> None:
    image = np.zeros((2, 4, 3), np.uint8)
    reasons = [None, Reason.COVERED, Reason.COVERED, Reason.TURNED, None]
    made = (UpdatedFrame(image, n / 25, None, reason, 0.0 if reason else 0.5) for n, reason in enumerate(reasons))
    stream = stream_of(made, len(reasons))
    counts = [(stream.passthrough.passed_through, stream.passthrough.blended) for _ in stream]
    assert counts == [(0, 1), (1, 1), (2, 1), (3, 1), (3, 2)]
    assert stream.passthrough.reasons == {Reason.COVERED: 2, Reason.TURNED: 1}


@pytest.mark.parametrize("way", ["cancel", "cancel from a thread", "break", "close"])
def test_the_work_stops_when_asked_to(way: str) -> None:
    made: list[int] = []
    closed: list[bool] = []
    threads = threading.active_count()
    held = ExitStack()
    held.callback(closed.append, True)
    with stream_of(numbered(10_000, made), 10_000, held=held) as stream:
        seen = 0
        for _ in stream:
            seen += 1
            if seen == 5:
                if way == "break":
                    break
                if way == "cancel from a thread":
                    thread = threading.Thread(target=stream.cancel)
                    thread.start()
                    thread.join()
                elif way == "cancel":
                    stream.cancel()
                else:
                    stream.close()
    assert seen == 5 and len(made) <= 5 + AHEAD + 2 and closed == [True]
    assert threading.active_count() == threads
    assert stream.cancelled == way.startswith("cancel")


def test_an_error_while_generating_is_raised_where_the_frames_are_used() -> None:
    def failing() -> Iterator[UpdatedFrame]:
        yield from numbered(3, [])
        raise MissingFileError("gone")

    seen: list[UpdatedFrame] = []
    with pytest.raises(MissingFileError, match="gone"):
        seen.extend(stream_of(failing(), 9))
    assert len(seen) == 3


def test_generate_without_an_output_gives_what_would_be_written(
    anchor: Anchor, speech: Path, expression_file: Path, tmp_path: Path
) -> None:
    reported: list[tuple[int, int]] = []
    stream = talkinghead.generate(
        anchor, speech, expression=expression_file, device="cpu", progress=lambda *counts: reported.append(counts)
    )
    frames = list(stream)
    made = talkinghead.generate(anchor, speech, tmp_path / "output.mp4", expression=expression_file, device="cpu")
    assert len(frames) == len(stream) == made["frames"] and reported[-1] == (len(frames), len(frames))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(len(frames)) / 25)
    assert {frame.image.shape for frame in frames} == {(stream.height, stream.width, 3)}
    assert stream.passthrough.passed_through == made["frames_passed_through"]
    assert stream.recording == speech and stream.frame_rate == made["fps"] == 25


def running() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if "(work)" in thread.name}


@pytest.mark.parametrize("frames_taken", [0, 1])
@pytest.mark.parametrize("driven_by", ["speech", "file"])
def test_a_closed_stream_leaves_no_thread(
    driven_by: str, frames_taken: int, anchor: Anchor, speech: Path, expression_file: Path
) -> None:
    assert not running()
    expression = expression_file if driven_by == "file" else None
    with talkinghead.generate(anchor, speech, expression=expression, device="cpu", visible_label="AI") as stream:
        frames = iter(stream)
        for _ in range(frames_taken):
            next(frames)
        assert running() or not frames_taken
    assert not running()


@pytest.mark.parametrize("ahead", [1, 3])
def test_no_more_is_made_ahead_than_was_asked_for(ahead: int) -> None:
    reached: list[int] = []
    has_begun = threading.Semaphore(0)

    def items() -> Iterator[int]:
        for number in range(20):
            reached.append(number)
            has_begun.release()
            yield number

    made = prefetch_at_once(items(), ahead)
    for taken in range(20):
        for _ in range(ahead if taken == 0 else int(taken + ahead <= 20)):
            assert has_begun.acquire(timeout=10)  # without being asked for
        assert len(reached) == min(taken + ahead, 20)
        assert next(made) == taken
    assert next(made, None) is None and not running()


def test_nothing_is_made_before_the_first_is_asked_for() -> None:
    reached: list[int] = []
    made = prefetch((reached.append(number) for number in range(3)), 2)
    assert not running() and not reached
    assert len(list(made)) == 3 and reached == [0, 1, 2] and not running()


def test_what_is_begun_and_forgotten_stops() -> None:
    made = prefetch_at_once(iter(range(20)), 1)
    assert running()
    del made
    assert not running()


def test_an_item_that_was_taken_is_kept_by_nobody() -> None:
    class Large:
        pass

    made = prefetch_at_once((Large() for _ in range(3)), 1)
    first = weakref.ref(next(made))
    _ = next(made)
    assert first() is None
    made.close()


def test_work_that_was_begun_gives_its_result_or_its_error() -> None:
    gate = threading.Event()
    number, fault = begun(lambda: (gate.wait(10), 7)), begun(lambda: 1 // 0)
    gate.set()  # a call that waited for the work would never come here
    assert number() == number() == (True, 7)
    with pytest.raises(ZeroDivisionError):
        fault()


def test_bad_input_is_reported_by_the_call(anchor: Anchor, tmp_path: Path) -> None:
    with pytest.raises(MissingFileError):
        talkinghead.generate(anchor, tmp_path / "none.wav", device="cpu")


def test_a_spoken_text_lies_beside_until_the_stream_is_closed(anchor: Anchor, expression_file: Path) -> None:
    stream = talkinghead.generate(anchor, Script("Hello there."), expression=expression_file, device="cpu")
    assert stream.recording.is_file()
    with stream:
        next(iter(stream))
    assert not stream.recording.exists() and not stream.recording.parent.exists()


@pytest.mark.slow
@pytest.mark.skipif(not (checkpoint_folder() / "presenter").is_dir(), reason="no built-in anchor")
def test_the_documented_example_writes_into_a_pipe(speech: Path, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "python.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "frames.py").write_text(code, "utf-8")
    command = [sys.executable, str(tmp_path / "frames.py"), "presenter", str(speech)]
    package = Path(talkinghead.__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(package), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert b"512x512, 25 frames a second" in done.stderr
    assert len(done.stdout) == 48 * 512 * 512 * 3
