"""Inputs of `evaluate`: files, folders, tables of pairs, tables of phone times, transcripts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from picture_files import interlaced, write_lossless
from safetensors import safe_open

from talkinghead.errors import MissingFileError, TableError
from talkinghead.evaluation.clip import Clip
from talkinghead.evaluation.driving_audio import DrivingAudio, with_aligned_phones
from talkinghead.evaluation.needs import Need
from talkinghead.evaluation.notes import difference_notes
from talkinghead.evaluation.pairs import find_pairs
from talkinghead.media.audio_reader import read_audio
from talkinghead.media.video_reader import read_video_info
from talkinghead.speech.phone_alignment import align_phones
from talkinghead.speech.phone_times import plain, read_phone_times
from talkinghead.structures import LANDMARKS, Audio, Track

PRESENTER = Path(__file__).parents[2] / "data" / "presenter" / "presenter.mp4"


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_a_note_says_what_reading_did_to_the_pictures(tmp_path: Path) -> None:
    path = write_lossless(tmp_path / "clip.mp4", interlaced(20, top_first=True), flags="tff")
    info = read_video_info(path)
    landmarks = np.zeros((20, LANDMARKS, 3), np.float32)
    track = Track(landmarks, np.zeros(20, np.bool_), np.arange(20) / 25, info.width, info.height)
    clip = Clip(path, info.frame_rate, track, info.treatment)
    assert list(difference_notes(clip, clip))[:2] == [
        f"pictures of the {role}: deinterlaced (interlaced, top field first)" for role in ("output", "reference")
    ]


def test_files_are_paired_in_order_and_one_serves_all() -> None:
    outputs, references = [Path("a.mp4"), Path("b.mp4")], [Path("x.mp4"), Path("y.mp4")]
    matched = find_pairs(outputs, references, driving=[Path("speech.wav")])
    assert [(p.output.name, p.reference and p.reference.name) for p in matched.pairs] == [
        ("a.mp4", "x.mp4"),
        ("b.mp4", "y.mp4"),
    ]
    assert {pair.driving for pair in matched.pairs} == {Path("speech.wav")}


def test_a_wrong_number_of_files_is_an_error() -> None:
    with pytest.raises(TableError, match="2 files of --reference for 3 outputs"):
        find_pairs([Path("a.mp4"), Path("b.mp4"), Path("c.mp4")], [Path("x.mp4"), Path("y.mp4")])


def test_folders_are_matched_by_name_whatever_the_suffix(tmp_path: Path) -> None:
    ours = touch(tmp_path / "ours", "one.mp4", "two.mp4", "three.mp4", "notes.txt")
    true = touch(tmp_path / "true", "two.mov", "one.mp4")
    theirs = touch(tmp_path / "theirs", "one.mp4")
    matched = find_pairs([ours], [true], against=[theirs])
    assert [(p.system, p.output.name, p.reference and p.reference.name) for p in matched.pairs] == [
        ("ours", "one.mp4", "one.mp4"),
        ("ours", "two.mp4", "two.mov"),
        ("theirs", "one.mp4", "one.mp4"),
    ]
    assert [(left.system, left.output.name) for left in matched.left_out] == [
        ("ours", "three.mp4"),
        ("theirs", "two.mp4"),
    ]


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="holds no clips"):
        find_pairs([touch(tmp_path / "empty")])


def test_a_table_names_files_beside_itself(tmp_path: Path) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text("output,reference,system,phones\nout/a.mp4,a.mp4,ours,\nout/b.mp4,,theirs,b.tsv\n")
    first, second = find_pairs([table]).pairs
    assert (first.output, first.reference, first.phones) == (tmp_path / "out/a.mp4", tmp_path / "a.mp4", None)
    assert (second.reference, second.system, second.phones) == (None, "theirs", tmp_path / "b.tsv")


@pytest.mark.parametrize("text", ["", "reference\na.mp4\n", "output,color\na.mp4,red\n"])
def test_a_file_that_is_no_table_of_pairs_is_an_error(tmp_path: Path, text: str) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text(text)
    with pytest.raises(TableError):
        find_pairs([table])


@pytest.mark.parametrize("apart", ["\t", ",", "  "])
def test_phone_times_are_read_with_and_without_headings(tmp_path: Path, apart: str) -> None:
    lines = [("begin", "end", "phone"), ("0", "0.2", "sil"), ("0.2", "0.3", "P"), ("0.3", "0.5", "AA1")]
    for name, rows in (("with", lines), ("without", lines[1:])):
        path = tmp_path / name
        path.write_text("\n".join(apart.join(row) for row in rows))
        found = read_phone_times(path)
        assert found.phones == ("sil", "P", "AA1")
        assert found.closures_s.tolist() == [[0.2, 0.3]]
        assert found.others_s.tolist() == [[0.3, 0.5]]


def test_phones_lose_stress_and_length() -> None:
    assert [plain(phone) for phone in ("P", "pʰ", "AA1", "ˈm", "iː")] == ["p", "p", "aa", "m", "i"]


@pytest.mark.parametrize("text", ["", "0 1 a\nsoon 2 b\n", "1 0.5 a\n"])
def test_a_file_that_is_no_table_of_phone_times_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "phones.tsv"
    path.write_text(text)
    with pytest.raises(TableError):
        read_phone_times(path)


SAID = """Good evening, and welcome. Five new bridges will open along the river before the end of May, the mayor
announced today. Farmers in the valley hope for showers, which should move in from the west by Thursday. Stay with us
for the weather and the markets. And the boy who found a puppy on the beach? He may keep it."""


class TestAlignment:
    def test_finds_the_presenters_phones_at_their_known_times(self, tmp_path: Path) -> None:
        pytest.importorskip("pocketsphinx")
        with safe_open(PRESENTER.with_suffix(".safetensors"), "np") as file:
            times_s, phones = file.get_tensor("phone_times_s"), json.loads(file.metadata()["about"])["phones"]
        known = times_s[[phone in "pbm" for phone in phones]]
        transcript = tmp_path / "said.txt"
        transcript.write_text(SAID)
        found = align_phones(transcript, read_audio(PRESENTER)).closures_s
        assert len(found) == len(known) == 18
        late_s = np.abs(found[:, 0] - known[:, 0])
        assert late_s.max() < 0.05 and np.median(late_s) < 0.015

    @pytest.mark.parametrize(("text", "wrong"), [("", "no English words"), ("well xqzzt", "does not know: xqzzt")])
    def test_words_that_cannot_be_aligned_are_an_error(self, tmp_path: Path, text: str, wrong: str) -> None:
        pytest.importorskip("pocketsphinx")
        transcript = tmp_path / "said.txt"
        transcript.write_text(text)
        with pytest.raises(TableError, match=wrong):
            align_phones(transcript, Audio(np.zeros(16000, np.float32), 16000))

    def test_without_pocketsphinx_the_reason_says_how_to_install_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "pocketsphinx", None)
        transcript = tmp_path / "said.txt"
        transcript.write_text("good evening")
        driving = with_aligned_phones(DrivingAudio(Audio(np.zeros(16000, np.float32), 16000)), transcript)
        assert "pip install 'talkinghead[align]'" in driving.missing[Need.PHONE_TIMES]
