"""What is found in measurements: each threshold from both sides, and what is told of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from talkinghead.clip_check import findings
from talkinghead.clip_check.findings import Finding, State, find, worst
from talkinghead.clip_check.measurements import (
    AudioMeasurements,
    ClipMeasurements,
    FaceMeasurements,
    LookMeasurements,
    StreamMeasurements,
)
from talkinghead.training.face_update.train import FEWEST_FRAMES

GOOD = ClipMeasurements(
    frames=1500,
    faces=1500,
    duration_s=60.0,
    frame_rate=25.0,
    varying_share=0.0,
    gaps=0,
    longest_gap_s=0.04,
    cuts=0,
    stream=StreamMeasurements(),
    face=FaceMeasurements(
        width_px=230, others=False, turned_deg=5, furthest_turned_deg=9, closed_gap_cm=0.0, opened_gap_cm=1.2
    ),
    look=LookMeasurements(detail=0.1, luma=140, white_share=0.0, side_stops=0.3),
    audio=AudioMeasurements(speech_s=45, clipped_share=0.0, lag_s=0.02, r=0.8),
)


def changed(**changes: Any) -> ClipMeasurements:
    """The good clip with some fields changed, whichever part they belong to."""
    made = GOOD
    for name, value in changes.items():
        if hasattr(made, name):
            made = replace(made, **{name: value})
            continue
        part = next(part for part in ("face", "look", "audio", "stream") if hasattr(getattr(made, part), name))
        inner: Any = getattr(made, part)
        made = replace(made, **{part: replace(inner, **{name: value})})
    return made


def by_name(measured: ClipMeasurements) -> dict[str, Finding]:
    return {finding.name: finding for finding in find(measured)}


def test_of_a_good_clip_everything_is_told_and_nothing_to_do() -> None:
    found = find(GOOD)
    assert worst(found) == State.OK and not any(finding.advice for finding in found)
    assert {finding.name: finding.value for finding in found} == {
        "face": "found in 1500 of 1500 frames",
        "length": "60.0 s with the face",
        "face size": "230 px wide",
        "head": "5° from the camera, up to 9°",
        "mouth opens": "lips part by 1.2 cm",
        "mouth closes": "lips come as near as 0.0 cm",
        "sharpness": "detail 0.100, soft below 0.05",
        "light": "skin at 140 of 255",
        "evenness": "one side 1.2 times as bright",
        "frame rate": "25 fps",
        "gaps": "none",
        "audio": "45 s of speech in the first minute",
        "audio and mouth": "20 ms late (r 0.80)",
    }


@pytest.mark.parametrize(
    ("name", "state", "at", "beyond", "told"),
    [
        ("face", State.REMARK, {"faces": 1470}, {"faces": 1469}, "1469 of 1500"),
        ("length", State.REMARK, {"duration_s": 30.0}, {"duration_s": 29.9}, "29.9 s"),
        ("length", State.PROBLEM, {"duration_s": 2.0}, {"duration_s": 1.9}, "1.9 s"),
        ("face size", State.REMARK, {"width_px": 100.0}, {"width_px": 99.0}, "99 px"),
        ("face size", State.PROBLEM, {"width_px": 40.0}, {"width_px": 39.0}, "39 px"),
        ("head", State.REMARK, {"turned_deg": 20.0}, {"turned_deg": 21.0}, "21°"),
        ("head", State.REMARK, {"furthest_turned_deg": 30.0}, {"furthest_turned_deg": 31.0}, "31°"),
        ("head", State.PROBLEM, {"turned_deg": 50.0}, {"turned_deg": 51.0}, "51°"),
        ("mouth opens", State.REMARK, {"opened_gap_cm": 0.5}, {"opened_gap_cm": 0.4}, "0.4 cm"),
        ("mouth opens", State.PROBLEM, {"opened_gap_cm": 0.15}, {"opened_gap_cm": 0.14}, "0.1 cm"),
        ("mouth closes", State.REMARK, {"closed_gap_cm": 0.6}, {"closed_gap_cm": 0.7}, "0.7 cm"),
        ("sharpness", State.REMARK, {"detail": 0.05}, {"detail": 0.049}, "0.049"),
        ("light", State.REMARK, {"luma": 70.0}, {"luma": 69.0}, "69 of 255"),
        ("light", State.PROBLEM, {"luma": 16.0}, {"luma": 15.0}, "15 of 255"),
        ("light", State.REMARK, {"white_share": 0.05}, {"white_share": 0.06}, "6% of the face burnt out"),
        ("evenness", State.REMARK, {"side_stops": 2.0}, {"side_stops": 2.1}, "4.3 times"),
        ("frame rate", State.REMARK, {"frame_rate": 23.976}, {"frame_rate": 15.0}, "15 fps"),
        ("gaps", State.REMARK, {}, {"gaps": 2, "longest_gap_s": 1.04}, "2, the longest 1.0 s"),
        ("gaps", State.REMARK, {}, {"filled_frames": 7}, "7 frames are missing"),
        ("audio", State.REMARK, {"speech_s": 10.0}, {"speech_s": 9.0}, "9 s of speech"),
        ("audio", State.REMARK, {"clipped_share": 0.001}, {"clipped_share": 0.02}, "2.0% of it overdriven"),
        ("audio", State.REMARK, {}, {"audio": None}, "none"),
        ("audio", State.REMARK, {}, {"audio_error": "a.mp4: truncated"}, "cannot be used: a.mp4: truncated"),
        ("audio and mouth", State.REMARK, {"lag_s": -0.06}, {"lag_s": -0.08}, "80 ms early"),
        ("audio and mouth", State.REMARK, {"lag_s": 0.06}, {"lag_s": 0.26}, "260 ms late"),
        ("audio and mouth", State.REMARK, {"r": 0.35}, {"r": 0.34}, "does not go with the mouth (r 0.34)"),
    ],
)
def test_each_threshold(name: str, state: State, at: dict[str, Any], beyond: dict[str, Any], told: str) -> None:
    """At the threshold the state is a better one, beyond it the finding tells why and what to do."""
    order = list(State)
    assert order.index(by_name(changed(**at))[name].state) < order.index(state)
    found = by_name(changed(**beyond))
    assert found[name].state == state and told in found[name].value and found[name].advice
    assert [finding.name for finding in found.values() if finding.state != State.OK] == [name]
    assert worst(found.values()) == state


def test_what_is_only_told_where_it_is() -> None:
    for name, changes, told in (
        ("people", {"others": True}, "--face"),
        ("interlacing", {"interlaced": "interlaced, top field first"}, "deinterlaced"),
        ("HDR", {"hdr": "HLG BT.2020"}, "converted"),
        ("cuts", {"cuts": 2}, "one take"),
    ):
        assert name not in by_name(GOOD)
        found = by_name(changed(**changes))[name]
        assert found.state == State.REMARK and told in found.advice
    assert by_name(changed(varying_share=0.06))["frame rate"].value == "25 fps, variable"
    uncompared = changed(lag_s=None, r=None)
    assert "audio and mouth" not in by_name(uncompared) and worst(find(uncompared)) == State.OK


def test_a_clip_without_a_face_is_a_problem_and_the_rest_is_still_told() -> None:
    found = by_name(replace(GOOD, faces=0, face=None, look=None))
    assert found["face"].state == State.PROBLEM and "gaps" in found and "length" not in found


def test_what_training_refuses_is_a_problem() -> None:
    assert findings.FEWEST_FACES == FEWEST_FRAMES
    assert by_name(changed(faces=FEWEST_FRAMES))["face"].state == State.REMARK
    assert by_name(changed(faces=FEWEST_FRAMES - 1))["face"].state == State.PROBLEM
