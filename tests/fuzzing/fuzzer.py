"""Feed every reader of foreign files with mutated ones, and report whatever is not a clean answer.

    python tests/fuzzing/fuzzer.py                       # 10 000 inputs for each reader
    python tests/fuzzing/fuzzer.py media --count 500     # one of them
    python tests/fuzzing/fuzzer.py jobs --first 417 --count 1    # one input again
    python tests/fuzzing/fuzzer.py --tally FILE --seconds 100    # a piece of the work; FILE keeps the counts

A clean answer is a value or a `TalkingHeadError`. Everything else is a finding: another exception, a crash of the
process, more memory than LIMIT_BYTES, more time than LIMIT_S, or a file that appears where none is asked for. What was
answered how is printed as a table in the end: an input counts as refused where any question about it was.
Inputs depend on seed and number alone. They are read in a process of their own with limits, so that a crash is seen.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fuzzed_readers import READERS, Reader

LIMIT_BYTES = 3 << 30
"""Address space beyond what the process has when the first input comes."""
LIMIT_S = 20.0
"""For one input."""
LARGEST_OUTPUT_BYTES = 64 << 20

OUTCOMES = ("refused", "accepted", "crash", "hang", "files")
HEADERS = ("reader", "inputs", "refused with our error", "accepted", "crashes", "hangs", "files outside")


class Hang(BaseException):
    """One input took too long."""


@dataclass(frozen=True)
class Answer:
    """How one input was answered."""

    number: int
    outcome: str
    """One of OUTCOMES."""
    finding: str
    """What is wrong with it; empty where nothing is."""


# --- the process that reads


def examine(reader: Reader, good: Path, work: Path, seed: int, number: int) -> tuple[str, str]:
    """The outcome for one input, and what is wrong with how it is answered; empty where nothing is."""
    from talkinghead.errors import TalkingHeadError

    shutil.rmtree(work, ignore_errors=True)
    (work / "input").mkdir(parents=True)
    path = reader.mutate(good, work / "input", np.random.default_rng((seed, number)))
    before = files_around(work)
    outcome = "accepted"
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:
        reader.read(path)
    except TalkingHeadError as error:
        if "\n" in str(error):
            return "crash", f"an error of several lines: {str(error)[:200]!r}"
        outcome = "refused"
    except Hang:
        return "hang", f"took longer than {LIMIT_S:g} s"
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return "crash", f"{type(error).__name__}: {str(error)[:200]} ({Path(place.filename).name} line {place.lineno})"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    appeared = files_around(work) - before
    return ("files", f"files appeared: {sorted(map(str, appeared))}") if appeared else (outcome, "")


def files_around(work: Path) -> set[Path]:
    """What lies where an input could make a file: beside it, in the folders above it, and where NASTY points to."""
    found = {entry for place in (work / "input", work, work.parent) for entry in place.iterdir()}
    return {*found, *Path("/tmp").glob("escaped*")} - {work / "input" / "face_landmarker.task"}


def serve(name: str, good: Path, work: Path, seed: int, first: int, count: int) -> None:
    """Examine inputs, one line of JSON for each on standard output."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def hang(*_: object) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, hang)
    os.chdir(work.parent)  # so that a name without a folder is seen too
    reader = READERS[name]
    _warm_up(reader, good, work)
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    limit = pages * resource.getpagesize() + LIMIT_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_OUTPUT_BYTES, LARGEST_OUTPUT_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in range(first, first + count):
        # Native code does not see the alarm until it returns; this ends the process.
        faulthandler.dump_traceback_later(2 * LIMIT_S, exit=True)
        print(json.dumps([number, *examine(reader, good, work, seed, number)]), file=answers, flush=True)


def _warm_up(reader: Reader, good: Path, work: Path) -> None:
    """Load the libraries before memory is limited."""
    for number in range(3):
        examine(reader, good, work, 999, number)


# --- the process that looks on


def fuzz(name: str, count: int, seed: int = 0, first: int = 0) -> Iterator[Answer]:
    """Examine `count` inputs of a reader; gives the answer to each."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        good, work = Path(folder) / "good", Path(folder) / "work"
        good.mkdir()
        READERS[name].prepare(good)
        following = first
        while following < first + count:
            command = [sys.executable, __file__, "--serve", str(good), str(work), name]
            command += ["--seed", str(seed), "--first", str(following), "--count", str(first + count - following)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
                assert process.stdout is not None
                begun = following
                answered_s = time.monotonic()
                try:
                    for line in process.stdout:
                        answer = Answer(*json.loads(line))
                        answered_s = time.monotonic()
                        following = answer.number + 1
                        yield answer
                except GeneratorExit:
                    process.kill()
                    raise
            quickly = time.monotonic() - answered_s < LIMIT_S
            if process.returncode == 1 and quickly:  # an exception outside the reader: the fuzzer's own mistake
                raise RuntimeError(f"{name}: the process that reads failed; run its command to see why: {command}")
            if process.returncode != 0:
                outcome = "hang" if time.monotonic() - answered_s > LIMIT_S else "crash"
                yield Answer(following, outcome, f"the process ended with code {process.returncode}")
                following += 1
            elif following == begun:
                raise RuntimeError(f"{name}: the process that reads gave no answer")


def table(tally: dict[str, dict[str, int]]) -> str:
    """The outcomes of each reader, in Markdown."""
    rows = [[name, *(str(n) for n in (sum(counts.values()), *counts.values()))] for name, counts in tally.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in [HEADERS, ["---"] * len(HEADERS), *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readers", nargs="*", help=", ".join(READERS))
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--tally", type=Path, help="file that keeps the counts; the work goes on where it stopped")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after these")
    parser.add_argument("--serve", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.readers[0], *options.serve, options.seed, options.first, options.count)
        return
    tally, findings = fuzz_all(options)
    print(table(tally))
    sys.exit(1 if findings else 0)


def fuzz_all(options: argparse.Namespace) -> tuple[dict[str, dict[str, int]], int]:
    """Go through the chosen readers until all is done or the time is up: the outcomes of each, and the findings."""
    tally: dict[str, dict[str, int]] = {}
    if options.tally and options.tally.exists():
        tally = json.loads(options.tally.read_text("ascii"))
    until_s = time.monotonic() + options.seconds
    findings = 0
    for name in options.readers or READERS:
        counts = Counter(tally.get(name, {}))
        done = counts.total()
        for answer in fuzz(name, options.count - done, options.seed, options.first + done):
            counts[answer.outcome] += 1
            if answer.finding:
                print(f"{name} {answer.number}: {answer.finding}", flush=True)
                findings += 1
            if time.monotonic() > until_s:
                break
        tally[name] = {outcome: counts[outcome] for outcome in OUTCOMES}
        if options.tally:
            options.tally.write_text(json.dumps(tally), "ascii")
        if time.monotonic() > until_s:
            break
    return tally, findings


if __name__ == "__main__":
    main()
