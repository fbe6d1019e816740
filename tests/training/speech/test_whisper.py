"""Whisper's weights in a CTranslate2 file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from training_tools import small_whisper, write_ctranslate2

from talkinghead.errors import CheckpointError, MissingFileError
from talkinghead.training.speech.whisper import WhisperTeacher, read_ctranslate2


def test_ctranslate2_files_are_read(tmp_path: Path) -> None:
    written = small_whisper()
    write_ctranslate2(tmp_path / "model.bin", written)
    read = read_ctranslate2(tmp_path / "model.bin")
    assert read.keys() == written.keys()
    for name, value in written.items():
        np.testing.assert_array_equal(read[name], value)
    (tmp_path / "model.bin").write_bytes((tmp_path / "model.bin").read_bytes()[:5000])
    with pytest.raises(CheckpointError):
        read_ctranslate2(tmp_path / "model.bin")


def test_a_file_without_enough_layers_is_refused(tmp_path: Path) -> None:
    write_ctranslate2(tmp_path / "model.bin", small_whisper(layers=1))
    with pytest.raises(CheckpointError, match="2 layers"):
        WhisperTeacher(tmp_path / "model.bin", (8, 8))
    with pytest.raises(MissingFileError):
        WhisperTeacher(tmp_path / "none.bin", (8, 8))
