"""Files are written whole or not at all, read with one clear error, locked against a second process, and cached."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from talkinghead import files
from talkinghead.errors import (
    CheckpointError,
    MissingFileError,
    OutputError,
    OutputExistsError,
    TableError,
    TextError,
)
from talkinghead.files import cached, load_arrays, locked, read_text, replacing, save_arrays, write_json

HOLDER = """
import sys
from pathlib import Path
from talkinghead.files import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""
COUNTER = """
import sys, time
from pathlib import Path
from talkinghead.errors import OutputExistsError
from talkinghead.files import locked
counter, rounds = Path(sys.argv[1]), int(sys.argv[2])
while rounds:
    try:
        with locked(counter):
            value = int(counter.read_text())
            time.sleep(0.002)
            counter.write_text(str(value + 1))
    except OutputExistsError:
        time.sleep(0.0005)
    else:
        rounds -= 1
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def holder(path: Path) -> subprocess.Popen[str]:
    """Another process that has taken the lock; it keeps it until its standard input ends."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "locked\n"
    return process


class TestLock:
    def test_it_keeps_another_process_out_and_leaves_nothing(self, tmp_path: Path) -> None:
        with holder(tmp_path / "x") as process:
            assert names(tmp_path) == [".x.lock"]
            with pytest.raises(OutputExistsError, match="Another process is working on .*x;"), locked(tmp_path / "x"):
                pass
            with locked(tmp_path / "y"):
                assert names(tmp_path) == [".x.lock", ".y.lock"]
            process.communicate()
        assert process.returncode == 0 and names(tmp_path) == []
        with locked(tmp_path / "x"):
            pass

    def test_it_keeps_the_same_process_out(self, tmp_path: Path) -> None:
        with locked(tmp_path / "x"), pytest.raises(OutputExistsError), locked(tmp_path / "x"):
            pass
        assert names(tmp_path) == []

    def test_it_ends_with_a_process_that_is_killed(self, tmp_path: Path) -> None:
        with holder(tmp_path / "x") as process:
            process.kill()
            assert process.wait() == -signal.SIGKILL
        assert names(tmp_path) == [".x.lock"]
        with locked(tmp_path / "x"):
            pass
        assert names(tmp_path) == []

    def test_one_process_at_a_time_is_inside(self, tmp_path: Path) -> None:
        """Each adds to a number by reading and writing it: two at once would lose one of their additions."""
        counter = tmp_path / "counter"
        counter.write_text("0")
        command = [sys.executable, "-c", COUNTER, str(counter), "25"]
        processes = [subprocess.Popen(command) for _ in range(3)]
        assert [process.wait() for process in processes] == [0, 0, 0]
        assert counter.read_text() == "75" and names(tmp_path) == ["counter"]

    def test_one_of_many_threads_gets_it(self, tmp_path: Path) -> None:
        """In every round each thread tries once, and whoever has the lock keeps it until all have tried."""
        count, rounds = 8, 20
        winners = [0] * rounds
        begin, all_have_tried = threading.Barrier(count), threading.Barrier(count)

        def work() -> None:
            begin.wait()
            for number in range(rounds):
                try:
                    with locked(tmp_path / "x"):
                        winners[number] += 1
                        all_have_tried.wait()
                except OutputExistsError:
                    all_have_tried.wait()

        threads = [threading.Thread(target=work) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert winners == [1] * rounds and names(tmp_path) == []

    def test_a_missing_folder_is_a_typed_error(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="There is no folder"), locked(tmp_path / "missing" / "x"):
            pass
        assert names(tmp_path) == []

    def test_what_the_system_refuses_is_a_typed_error(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="Cannot write in .*: File name too long"), locked(tmp_path / ("x" * 252)):
            pass


class TestWriting:
    def test_a_file_is_replaced_at_once_with_the_usual_mode(self, tmp_path: Path) -> None:
        path = tmp_path / "a.json"
        path.write_text("before")
        with replacing(path) as temporary:
            temporary.write_text("after")
            assert path.read_text() == "before"
            assert temporary.suffix == ".json" and temporary.name.startswith(".a.")
        umask = os.umask(0)
        os.umask(umask)
        assert path.read_text() == "after" and names(tmp_path) == ["a.json"]
        assert path.stat().st_mode & 0o777 == 0o666 & ~umask

    def test_a_failure_leaves_what_was_there(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_text("before")
        with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError
        assert path.read_text() == "before" and names(tmp_path) == ["a.txt"]

    def test_json_is_readable_and_ends_with_a_line_end(self, tmp_path: Path) -> None:
        write_json(tmp_path / "a.json", {"name": "Zoë", "parts": [1, None]})
        text = (tmp_path / "a.json").read_text("utf-8")
        assert "Zoë" in text and text.endswith("}\n")
        assert json.loads(text) == {"name": "Zoë", "parts": [1, None]}

    def test_a_missing_folder_is_a_typed_error(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="Cannot write in"):
            write_json(tmp_path / "missing" / "a.json", {})


class TestReadingText:
    @pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
    def test_utf8_with_and_without_a_byte_order_mark(self, mark: bytes, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_bytes(mark + "Grüße\r\nzwei".encode())
        assert read_text(tmp_path / "a.txt", error=TextError) == "Grüße\r\nzwei"

    @pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
    def test_utf16_with_a_byte_order_mark_only(self, encoding: str, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_bytes("\ufeffGrüße".encode(encoding))
        assert read_text(tmp_path / "a.txt", error=TextError) == "Grüße"
        (tmp_path / "a.txt").write_bytes("Gruss".encode(encoding))
        with pytest.raises(TextError, match="zero bytes"):
            read_text(tmp_path / "a.txt", error=TextError)

    def test_a_missing_file_and_a_folder(self, tmp_path: Path) -> None:
        for path in (tmp_path / "nobody.txt", tmp_path, Path("a\0b")):
            with pytest.raises(MissingFileError, match="Cannot read"):
                read_text(path, error=TextError)

    def test_other_encodings_are_the_callers_error(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_bytes("Grüße".encode("latin-1"))
        with pytest.raises(TableError, match=r"a\.txt is not text in UTF-8 \(byte 2\)"):
            read_text(tmp_path / "a.txt", error=TableError)

    def test_no_more_is_read_than_is_allowed(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_bytes(b"x" * 1000)
        assert len(read_text(tmp_path / "a.txt", error=TextError, largest_bytes=1000)) == 1000
        with pytest.raises(TextError, match=r"larger than 0\.000999 MB"):
            read_text(tmp_path / "a.txt", error=TextError, largest_bytes=999)


class TestCache:
    """The cached value is an array of a count that says how often it was made."""

    @pytest.fixture
    def get(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], float]:
        monkeypatch.setattr(files.platformdirs, "user_cache_path", lambda name: tmp_path / name)
        made = 0

        def make() -> float:
            nonlocal made
            made += 1
            return float(made)

        def load(path: Path) -> float:
            arrays, _ = load_arrays(path)
            if "made" not in arrays:
                raise CheckpointError("not of this kind")
            return arrays["made"].item()

        def save(path: Path, value: float) -> None:
            save_arrays(path, {"made": np.array(value)}, {})

        return lambda key: cached("counts", key, make, load, save)

    def test_a_value_is_made_once_for_each_key(self, get: Callable[[str], float], tmp_path: Path) -> None:
        assert [get("a"), get("a"), get("b"), get("a")] == [1, 1, 2, 1]
        assert names(tmp_path / "talkinghead" / "counts") == ["a.safetensors", "b.safetensors"]

    @pytest.mark.parametrize("damage", ["empty", "cut", "another kind"])
    def test_a_damaged_entry_is_made_anew(self, damage: str, get: Callable[[str], float], tmp_path: Path) -> None:
        assert get("a") == 1
        entry = tmp_path / "talkinghead" / "counts" / "a.safetensors"
        if damage == "another kind":
            save_arrays(entry, {"other": np.zeros(3)}, {})
        else:
            entry.write_bytes(entry.read_bytes()[: 0 if damage == "empty" else -3])
        assert [get("a"), get("a")] == [2, 2]

    def test_a_cache_that_cannot_be_written_is_done_without(self, get: Callable[[str], float], tmp_path: Path) -> None:
        (tmp_path / "talkinghead").write_text("a file where the folder should be")
        assert [get("a"), get("a")] == [1, 2]

    def test_what_making_raises_is_passed_on(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(files.platformdirs, "user_cache_path", lambda name: tmp_path / name)

        def make() -> float:
            raise MissingFileError("nothing to make it from")

        with pytest.raises(MissingFileError, match="nothing to make"):
            cached("counts", "a", make, lambda path: float(len(load_arrays(path))), lambda path, value: None)
        assert names(tmp_path) == []
