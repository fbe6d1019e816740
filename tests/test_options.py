"""Options that are fields of a dataclass: what is listed, what is allowed, and how it is said."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_type_hints

import numpy as np
import pytest

from talkinghead.batch.config import BatchConfig
from talkinghead.errors import CoefficientError, OptionError
from talkinghead.generation.config import GenerationConfig, GenerationOptions
from talkinghead.options.fields import check_options, option, options_of, parse_face
from talkinghead.structures import ClipRange, FaceChoice
from talkinghead.training.face_update.config import TrainingConfig


@dataclass(frozen=True)
class Everything:
    """One option of every type."""

    factor: float = option(1.0, help="A factor.", low=0, high=3, error=CoefficientError)
    delay_ms: float | None = option(None, help="A delay.", low=1, unit="ms")
    count: int = option(2, help="A count.", high=9)
    on: bool = option(True, help="A switch.")
    name: str | None = option(None, help="A name.")
    file: Path | None = option(None, help="A file.")
    pair: tuple[Path, Path] | None = option(None, help="Two files.")
    kind: Literal["one", "two"] = option("one", help="A choice.")
    face: FaceChoice = option("largest", help="A face.")
    internal: int = -1

    def __post_init__(self) -> None:
        check_options(self)


def test_every_option_is_listed_with_range_and_default() -> None:
    assert [(found.name, found.description) for found in options_of(Everything)] == [
        ("factor", "A factor. [from 0 to 3; default: 1]"),
        ("delay_ms", "A delay. [at least 1 ms]"),
        ("count", "A count. [at most 9; default: 2]"),
        ("on", "A switch. [default: on]"),
        ("name", "A name."),
        ("file", "A file."),
        ("pair", "Two files."),
        ("kind", "A choice. [default: one]"),
        ("face", "A face. [default: largest]"),
    ]


@pytest.mark.parametrize(
    "values",
    [
        {"factor": 0},
        {"factor": np.float32(3)},
        {"delay_ms": 1e9},
        {"count": -5},
        {"count": np.int64(9)},
        {"on": False, "name": "", "file": Path("a"), "pair": (Path("a"), Path("b"))},
        {"kind": "two", "face": 0},
        {"face": "right"},
    ],
)
def test_allowed_values(values: dict[str, Any]) -> None:
    config = Everything(**values)
    assert {name: getattr(config, name) for name in values} == values


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"factor": 3.5}, CoefficientError, "factor has to be a number from 0 to 3, not 3.5."),
        ({"factor": float("nan")}, CoefficientError, "factor has to be a number from 0 to 3, not nan."),
        ({"factor": "1"}, CoefficientError, "factor has to be a number from 0 to 3, not '1'."),
        ({"factor": True}, CoefficientError, "factor has to be a number from 0 to 3, not True."),
        ({"factor": None}, CoefficientError, "factor has to be a number from 0 to 3, not None."),
        ({"delay_ms": 0}, OptionError, "delay_ms has to be a number of at least 1 ms, not 0."),
        ({"delay_ms": float("inf")}, OptionError, "delay_ms has to be a number of at least 1 ms, not inf."),
        ({"count": 10}, OptionError, "count has to be a whole number of at most 9, not 10."),
        ({"count": 1.5}, OptionError, "count has to be a whole number of at most 9, not 1.5."),
        ({"on": 1}, OptionError, "on has to be true or false, not 1."),
        ({"name": 7}, OptionError, "name has to be a text, not 7."),
        ({"file": 5}, OptionError, "file has to be a path, not 5."),
        ({"pair": (Path("a"),)}, OptionError, "pair has to be a pair of paths, not"),
        ({"kind": "three"}, OptionError, "kind has to be one of one, two, not 'three'."),
        ({"face": -1}, OptionError, "face has to be largest, left, right or a number from 0 on, not -1."),
        ({"face": True}, OptionError, "face has to be largest, left, right or a number from 0 on, not True."),
        ({"name": [0] * 1000}, OptionError, "name has to be a text, not [0, 0"),
    ],
)
def test_a_value_that_is_not_allowed_is_named(values: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        Everything(**values)
    assert str(caught.value).startswith(message) and len(str(caught.value)) < 150


@pytest.mark.parametrize("text", ["-1", "1.0", "", "middle", "²", "٣"])
def test_texts_that_name_no_face(text: str) -> None:
    with pytest.raises(ValueError, match="none of largest"):
        parse_face(text)


def test_texts_that_name_a_face() -> None:
    assert [parse_face(text) for text in ("largest", "left", "right", "0", "12")] == ["largest", "left", "right", 0, 12]


@pytest.mark.parametrize("config", [GenerationConfig, BatchConfig])
def test_every_field_is_an_option_with_a_sentence_of_help(config: type[Any]) -> None:
    found = options_of(config)
    assert [one.name for one in found] == [field.name for field in dataclasses.fields(config)]
    for one in found:
        assert one.help.endswith(".") and "\n" not in one.help and one.help[0].isupper()
        assert (one.unit != "") == one.name.endswith(("_ms", "time_limit", "lead_in", "lead_out"))


def test_keyword_arguments_of_generate_are_the_fields_of_its_config() -> None:
    assert get_type_hints(GenerationOptions) == get_type_hints(GenerationConfig)


def test_the_config_gives_the_times_of_the_mouths_rest() -> None:
    assert (GenerationConfig().voice_activity.attack_ms, GenerationConfig().voice_activity.release_ms) == (140, 180)
    changed = GenerationConfig(attack_ms=90, release_ms=250.5).voice_activity
    assert (changed.attack_ms, changed.release_ms) == (90, 250.5)


@pytest.mark.parametrize(
    ("text", "start_s", "end_s"),
    [("3-17s", 3, 17), ("0-1", 0, 1), ("0.5-12.25s", 0.5, 12.25), (" 3s - 17s ", 3, 17), ("003-4", 3, 4)],
)
def test_a_clip_range_is_read_and_written(text: str, start_s: float, end_s: float) -> None:
    found = ClipRange.parse(text)
    assert found == ClipRange(start_s, end_s) and ClipRange.parse(str(found)) == found
    assert GenerationConfig(clip_range=text).clip_range == found  # type: ignore[arg-type]
    assert TrainingConfig(clip_range=text).clip_range == found  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("3", "START-ENDs in seconds is expected, such as 3-17s, not '3'"),
        ("", "not ''"),
        ("3-", "not '3-'"),
        ("-3-17s", "not '-3-17s'"),
        ("3:17", "not '3:17'"),
        ("a-b", "not 'a-b'"),
        ("1e3-2e3", "not '1e3-2e3'"),
        ("nan-inf", "not 'nan-inf'"),
        ("3-17m", "not '3-17m'"),
        ("17-3s", "17-3s ends before it starts"),
        ("3-3.9s", "3-3.9s is shorter than 1 s"),
    ],
)
@pytest.mark.parametrize("config", [GenerationConfig, TrainingConfig])
def test_a_clip_range_that_cannot_be_used_is_refused_in_one_line(text: str, what: str, config: type[Any]) -> None:
    with pytest.raises(OptionError) as caught:
        config(clip_range=text)
    message = str(caught.value)
    assert message.startswith("clip_range: ") and what in message and "\n" not in message


def test_a_clip_range_holds_the_frames_between_its_ends() -> None:
    times_s = np.array([0.0, 2.96, 2.9999, 3.0, 3.04, 16.96, 17.0, 17.04])
    inside = [False, False, True, True, True, True, False, False]
    np.testing.assert_array_equal(ClipRange(3, 17).contains(times_s), inside)
    with pytest.raises(ValueError, match="ends before"):
        ClipRange(5, 2)
    with pytest.raises(ValueError, match="ends before"):
        ClipRange(-1, 2)
