"""Visemes: a shape for every phone, at its time, in the formats of Rhubarb and Azure."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from talkinghead.captions.visemes import AZURE, RHUBARB, VisemeFile, VisemeSet, make_visemes
from talkinghead.errors import OutputError
from talkinghead.speech.articulation import ARPABET, OPENNESS
from talkinghead.text_to_speech import PAUSE, Phone

PHONES = (
    Phone(PAUSE, 0.0, 0.3),
    Phone("b", 0.3, 0.4),
    Phone("aɪ", 0.4, 0.6),
    Phone("f", 0.6, 0.7),
    Phone("v", 0.7, 0.8),
    Phone(PAUSE, 0.8, 1.0),
    Phone("tʃ", 1.0, 1.1),
    Phone("u", 1.1, 1.25),
)
DURATION_S = 1.5
SHAPES = [
    *((0.0, "X"), (0.3, "A"), (0.4, "D"), (0.5, "B"), (0.6, "G"), (0.8, "X"), (1.0, "B"), (1.1, "F"), (1.25, "X")),
]


def test_every_phone_has_one_shape_of_each_set() -> None:
    for symbol in "".join(OPENNESS.values()):
        assert sum(symbol in symbols for symbols in RHUBARB.values()) == 1, symbol
        assert sum(symbol in symbols for symbols in AZURE.values()) == 1, symbol


@pytest.mark.parametrize("kind", ["rhubarb", "azure"])
def test_shapes_fill_the_time_and_begin_with_their_phones(kind: VisemeSet) -> None:
    visemes = make_visemes(PHONES, DURATION_S, kind)
    assert visemes[0].start_s == 0 and visemes[-1].end_s == DURATION_S
    for before, after in zip(visemes, visemes[1:], strict=False):
        assert before.end_s == pytest.approx(after.start_s) and before.shape != after.shape


def test_rhubarbs_shapes() -> None:
    visemes = make_visemes(PHONES, DURATION_S, "rhubarb")
    assert [(round(viseme.start_s, 3), viseme.shape) for viseme in visemes] == SHAPES


def test_azures_ids_are_those_of_its_table() -> None:
    ids = [int(viseme.shape) for viseme in make_visemes(PHONES, DURATION_S, "azure")]
    assert ids == [0, 21, 11, 18, 0, 16, 7, 0]


@pytest.mark.parametrize(
    ("arpabet", "viseme"),
    [("AY1", 11), ("AW0", 9), ("OY", 10), ("OW1", 8), ("ER0", 5), ("HH", 12), ("DH", 17), ("TH", 19), ("JH", 16)],
)
def test_arpabet_has_the_same_ids(arpabet: str, viseme: int) -> None:
    for symbol in (arpabet, ARPABET[arpabet.rstrip("012")]):
        visemes = make_visemes([Phone(symbol, 0.0, 1.0)], 1.0, "azure")
        assert [one.shape for one in visemes] == [str(viseme)]


def test_a_table_that_overlaps_or_goes_beyond_the_end_stays_in_order() -> None:
    visemes = make_visemes([Phone("m", 0.1, 0.5), Phone("a", 0.3, 0.9), Phone("f", 1.2, 2.0)], 1.0, "rhubarb")
    assert [(viseme.shape, viseme.start_s, viseme.end_s) for viseme in visemes] == [
        *(("X", 0.0, 0.1), ("A", 0.1, 0.5), ("D", 0.5, 0.9), ("X", 0.9, 1.0)),
    ]


def write(path: Path, kind: VisemeSet = "rhubarb") -> Path:
    VisemeFile(path, kind).write(PHONES, DURATION_S, Path("speech.wav"))
    return path


def test_rhubarbs_three_formats_are_read_by_the_standard_library(tmp_path: Path) -> None:
    with write(tmp_path / "mouth.tsv").open(encoding="utf-8") as file:
        rows = [(float(time), shape) for time, shape in csv.reader(file, delimiter="\t")]
    assert rows == [*SHAPES, (DURATION_S, "X")]
    root = ElementTree.parse(write(tmp_path / "mouth.xml")).getroot()  # noqa: S314
    cues = [(float(cue.attrib["start"]), cue.text) for cue in root.findall("mouthCues/mouthCue")]
    assert cues == SHAPES and root.findtext("metadata/soundFile") == "speech.wav"
    content = json.loads(write(tmp_path / "mouth.json").read_text("utf-8"))
    assert [(cue["start"], cue["value"]) for cue in content["mouthCues"]] == SHAPES
    assert content["metadata"]["duration"] == DURATION_S


def test_azures_events_count_in_100_ns(tmp_path: Path) -> None:
    events = json.loads(write(tmp_path / "mouth.json", "azure").read_text("utf-8"))
    assert events[:2] == [{"audio_offset": 0, "viseme_id": 0}, {"audio_offset": 3_000_000, "viseme_id": 21}]


def test_names_of_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"rhubarb visemes must end in \.tsv, \.xml, \.json"):
        VisemeFile(tmp_path / "mouth.srt").check(overwrite=False)
    with pytest.raises(OutputError, match=r"azure visemes must end in \.json"):
        VisemeFile(tmp_path / "mouth.tsv", "azure").check(overwrite=False)
