"""Options of the output that are texts: ranges of previews, sizes of pictures; and what leads a configuration means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talkinghead.errors import OptionError
from talkinghead.generation.config import GenerationConfig
from talkinghead.generation.leads import MOVING_SHARE, Leads
from talkinghead.generation.output_options import Size, TimeRange, parse_preview, parse_size


@pytest.mark.parametrize(
    ("text", "begin_s", "end_s"),
    [("10-13", 10, 13), ("10-13s", 10, 13), ("10s - 13 s", 10, 13), ("3", 0, 3), ("0.5s", 0, 0.5), ("1.25-2", 1.25, 2)],
)
def test_ranges(text: str, begin_s: float, end_s: float) -> None:
    assert parse_preview(text) == TimeRange(begin_s, end_s)


@pytest.mark.parametrize("text", ["", "0", "3-3", "13-10", "-3", "a", "1:00", "1-2-3", "1e3", "9" * 400, "٣", "nan"])
def test_texts_that_are_no_range(text: str) -> None:
    with pytest.raises(OptionError, match="preview") as caught:
        GenerationConfig(preview=text)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("text", "picture", "size"),
    [
        ("1280", (1920, 1080), (1280, 720)),
        ("720p", (1920, 1080), (1280, 720)),
        ("720p", (608, 1080), (720, 1278)),
        ("720p", (512, 512), (720, 720)),
        ("1080x1920", (606, 1080), (1080, 1920)),
        ("640x360", (1920, 1080), (640, 360)),
        ("500", (513, 511), (500, 498)),
    ],
)
def test_sizes_keep_the_shape_and_are_even(text: str, picture: tuple[int, int], size: tuple[int, int]) -> None:
    assert parse_size(text).of(*picture) == size


@pytest.mark.parametrize(
    "text", ["", "641", "640x", "x480", "640x481", "62", "8194", "720P", "-640", "640x480p", "1e3"]
)
def test_texts_that_are_no_size(text: str) -> None:
    with pytest.raises(OptionError, match="size has to be"):
        GenerationConfig(size=text)


def test_a_size_that_would_distort_the_picture_or_is_too_extreme_is_refused() -> None:
    with pytest.raises(OptionError, match="640x480 would distort the picture of 1920x1080"):
        Size(640, 480).of(1920, 1080)
    with pytest.raises(OptionError, match="not possible"):
        Size(width=8192).of(100, 200)
    with pytest.raises(OptionError, match="not possible"):
        Size(width=64).of(200, 100)


@pytest.mark.parametrize(
    ("options", "leads"),
    [
        ({}, (0.3, 0.3)),
        ({"lead_in": 0.5, "lead_out": 1}, (0.5, 1)),
        ({"lead_out": 0}, (0.3, 0)),
        ({"expression": Path("mouth.csv")}, (0, 0)),
        ({"clip": Path("other.mp4")}, (0, 0)),
        ({"clip": Path("other.mp4"), "lead_in": 1}, (1, 0)),
    ],
)
def test_leads_are_there_unless_frames_or_expression_have_times_of_their_own(
    options: dict[str, Any], leads: tuple[float, float]
) -> None:
    assert GenerationConfig(**options).leads == Leads(*leads)


@pytest.mark.parametrize("seconds", [-0.1, 61, float("nan")])
def test_leads_out_of_range_are_refused(seconds: float) -> None:
    with pytest.raises(OptionError, match="lead_in has to be a number from 0 to 60 s"):
        GenerationConfig(lead_in=seconds)


def test_the_mouth_rests_in_the_leads_and_moves_in_the_speech() -> None:
    leads = Leads(0.3, 1.0)
    times_s = np.arange(-0.3, 3.0001, 0.01)
    weights = leads.weights(times_s, 2.0, attack_s=0.4, release_s=0.4)
    moves = 0.3 * MOVING_SHARE
    assert (weights[times_s < -moves - 1e-9] == 0).all() and (weights[times_s > 2.4 + 1e-9] == 0).all()
    assert (weights[(times_s > -1e-9) & (times_s < 2)] == 1).all()
    assert (np.diff(weights[times_s < 1e-9]) >= 0).all() and (np.diff(weights[times_s > 2]) <= 0).all()
    assert np.abs(np.diff(weights)).max() < 0.1
    assert weights[np.argmin(np.abs(times_s - 2.2))] == pytest.approx(0.5, abs=1e-6)


def test_without_leads_nothing_rests() -> None:
    assert (Leads().weights(np.arange(0, 2, 0.04), 2.0, 0.4, 0.4) == 1).all()
