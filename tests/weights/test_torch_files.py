"""Tensors come out of files that torch.save wrote; nothing that is written in them is run."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import pickletools
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from talkinghead.errors import CheckpointError, MissingFileError
from talkinghead.weights import torch_files
from talkinghead.weights.torch_files import read_tensors


class Watch:
    """What the interpreter's auditing (PEP 578) reports of calls to the system while it is on."""

    SUSPECT = ("os.mkdir", "os.system", "os.exec", "os.spawn", "os.posix_spawn", "subprocess.", "socket.")

    def __init__(self) -> None:
        self.events: list[str] = []
        self.on = False
        sys.addaudithook(self._note)  # for ever: a hook cannot be taken off

    def _note(self, event: str, _: object) -> None:
        if self.on and event.startswith(self.SUSPECT):
            self.events.append(event)


class Evil:
    """A pickle that would make a folder if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


STATE = {
    "a.weight": torch.arange(12.0).reshape(3, 4),
    "turned": torch.arange(6).reshape(2, 3).t(),
    "half": torch.ones(2, dtype=torch.float16),
    "count": torch.tensor(7),
}


@pytest.mark.parametrize("archive", [True, False])
def test_both_forms_are_read(tmp_path: Path, archive: bool) -> None:
    path = tmp_path / "state.pth"
    torch.save(STATE, path, _use_new_zipfile_serialization=archive)
    found = read_tensors(path)
    assert found.keys() == STATE.keys()
    for name, tensor in STATE.items():
        np.testing.assert_array_equal(found[name], tensor.numpy())


def test_dicts_in_dicts_get_dotted_names_and_other_values_are_left_out(tmp_path: Path) -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    torch.save({"model": {"a": torch.zeros(1), "b": parameter}, "epoch": 3}, tmp_path / "state.pth")
    assert read_tensors(tmp_path / "state.pth").keys() == {"model.a", "model.b"}


@pytest.mark.parametrize("archive", [True, False])
def test_nothing_in_the_file_is_called(tmp_path: Path, archive: bool) -> None:
    path = tmp_path / "evil.pth"
    torch.save({"a": Evil(tmp_path / "made")}, path, _use_new_zipfile_serialization=archive)
    with pytest.raises(CheckpointError, match="mkdir") as caught:
        read_tensors(path)
    assert "\n" not in str(caught.value) and "weights_only" not in str(caught.value)
    assert not (tmp_path / "made").exists()


def test_a_plain_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps(Evil(tmp_path / "made")))
    with pytest.raises(CheckpointError):
        read_tensors(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("archive", [True, False])
def test_damaged_files_are_refused_or_read_and_never_run(tmp_path: Path, archive: bool) -> None:
    """Bytes changed at random, some of them into calls: what is no state dict any more is an error of our own."""
    path = tmp_path / "state.pth"
    torch.save(STATE, path, _use_new_zipfile_serialization=archive)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    opcodes = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]
    call = b"cos\nmkdir\n(V" + str(tmp_path / "made").encode() + b"\ntR."
    watch, read = Watch(), 0
    for number in range(400):
        content = bytearray(whole)
        for at in rng.integers(0, len(content), 1 + number % 5):
            content[at : at + 1] = opcodes[rng.integers(len(opcodes))] if number % 2 else bytes([rng.integers(256)])
        if number % 7 == 0:
            at = int(rng.integers(0, len(content)))
            content[at : at + len(call)] = call
        path.write_bytes(bytes(content[: rng.integers(1, len(content)) if number % 11 == 0 else None]))
        watch.on = True
        with contextlib.suppress(CheckpointError):
            read_tensors(path)
            read += 1
        watch.on = False
    assert watch.events == []
    assert 0 < read < 360
    watch.on = True
    pickle.loads(pickle.dumps(Evil(tmp_path / "made")))  # noqa: S301
    watch.on = False
    assert watch.events == ["os.mkdir"]  # it would have been noticed


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    """It could hold more than there is memory."""
    path = tmp_path / "state.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("state/data.pkl", b"\x80\x02}q\x00.")
    with pytest.raises(CheckpointError, match="compressed"):
        read_tensors(path)


@pytest.mark.parametrize("archive", [True, False])
def test_a_file_cut_short_is_refused(tmp_path: Path, archive: bool) -> None:
    path = tmp_path / "state.pth"
    torch.save(STATE, path, _use_new_zipfile_serialization=archive)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(CheckpointError, match="not a file of tensors alone"):
        read_tensors(path)


@pytest.mark.parametrize("state", [[torch.zeros(2)], {"a": [torch.zeros(2)]}, {}, torch.zeros(2)])
def test_what_is_no_state_dict_is_refused(state: object, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "state.pth")
    with pytest.raises(CheckpointError):
        read_tensors(tmp_path / "state.pth")


def test_a_missing_file_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="Cannot read"):
        read_tensors(tmp_path / "nobody.pth")


def test_a_hash_that_is_published_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state-0123.pth"
    torch.save(STATE, path)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_tensors(path, sha256_prefix=found[:8].upper()) and read_tensors(path, sha256_prefix=found)
    with pytest.raises(CheckpointError, match="not the published file"):
        read_tensors(path, sha256_prefix="f" * 8)
    monkeypatch.setattr(torch_files, "PUBLISHED_SHA256", {path.name: "f" * 64})
    with pytest.raises(CheckpointError, match="not the published file"):
        read_tensors(path)
    monkeypatch.setattr(torch_files, "PUBLISHED_SHA256", {path.name: found})
    assert read_tensors(path).keys() == STATE.keys()


def test_published_names_carry_the_first_digits_of_their_hash() -> None:
    for name, sha256 in torch_files.PUBLISHED_SHA256.items():
        assert len(sha256) == 64 and Path(name).stem.endswith(f"-{sha256[:8]}")
