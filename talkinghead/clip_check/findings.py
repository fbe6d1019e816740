"""What the measurements of a clip mean for an ANCHOR that is made of it: one finding for each thing, with what to do.

A problem is what a training fails at, or what makes its result worthless; all else that is worth knowing is a remark.
The thresholds lie where the development clips that look right and those that do not part from each other
(docs/training.md, "The check of a clip").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from talkinghead.clip_check.measurements import (
    AudioMeasurements,
    ClipMeasurements,
    FaceMeasurements,
    LookMeasurements,
    StreamMeasurements,
)
from talkinghead.speech.calibration import LEAST_R

FEWEST_FACES = 10
"""Frames with a usable face that a training needs."""
NEARLY_ALL_FACES = 0.98
"""Share of the frames; where fewer show the face, it is remarked on."""
SHORT_S, SHORTEST_S = 30.0, 2.0
"""Length of the frames with a face, seconds: below the first a remark, below the second a problem."""
SMALL_FACE_PX, SMALLEST_FACE_PX = 100.0, 40.0
"""Width of the face, likewise."""
TURNED_DEG, FURTHEST_DEG = 20.0, 50.0
"""Usual angle between head and camera: above the first a remark, above the second a problem."""
FAR_DEG = 30.0
"""Angle that some frames reach, above which it is remarked on."""
LITTLE_MOVEMENT_CM, LEAST_MOVEMENT_CM = 0.5, 0.15
"""Difference of the lips' gap from least to most: below the first a remark, below the second a problem."""
CLOSED_CM = 0.6
"""Least gap above which the lips were not seen closed. Full lips that touch are measured with a gap of up to 0.4 cm."""
SOFT_DETAIL = 0.05
"""Detail below which a face looks soft: a blur of 1/128 of its width brings sharp faces there."""
DARK_LUMA, BLACK_LUMA = 70.0, 16.0
"""Luma of the skin: below the first a remark, below the second a problem."""
BURNT_SHARE = 0.05
"""Share of the face that may be burnt out."""
UNEVEN_STOPS = 2.0
"""Difference of light between the halves of the face: one is four times as bright."""
SLOW_FPS = 23.0
"""Frames per second; below, lips that close for a p or b are missed."""
VARYING_SHARE = 0.05
"""Share of steps between frames that may be unusual before a clip counts as one of variable rate."""
VISIBLE_LAG_S = 0.06
"""Lag of the audio that viewers notice."""
LITTLE_SPEECH_S = 10.0
"""Speech by which the mouth's movement is calibrated."""
CLIPPED_SHARE = 1e-3
"""Share of audio samples at full scale that are heard as distortion."""


class State(StrEnum):
    """What was found."""

    OK = "ok"
    REMARK = "remark"
    """The ANCHOR can be made, and would be better otherwise."""
    PROBLEM = "problem"
    """The training would fail, or the ANCHOR would be worthless."""


@dataclass(frozen=True)
class Finding:
    """The result for one thing that was measured."""

    name: str
    state: State
    value: str
    """What was measured, with its unit."""
    advice: str = ""
    """What to do; empty where nothing is to be done."""

    def __str__(self) -> str:
        return f"{self.name}: {self.value}" + (f"; {self.advice}" if self.advice else "")


def find(measured: ClipMeasurements) -> list[Finding]:
    """Everything that is found, in the order in which it is shown."""
    found = [_face_found(measured)]
    if measured.face is not None:
        found += [_length(measured), *_face(measured.face)]
    if measured.look is not None:
        found += _look(measured.look)
    return [*found, *_stream(measured.stream), *_times(measured), *_audio(measured)]


def worst(findings: Iterable[Finding]) -> State:
    """The worst state among findings; ok where there is none."""
    order = list(State)
    return max((finding.state for finding in findings), key=order.index, default=State.OK)


def _grade(*, problem: bool, remark: bool) -> State:
    return State.PROBLEM if problem else State.REMARK if remark else State.OK


def _finding(name: str, state: State, value: str, advice: str) -> Finding:
    return Finding(name, state, value, "" if state == State.OK else advice)


def _face_found(measured: ClipMeasurements) -> Finding:
    state = _grade(
        problem=measured.faces < FEWEST_FACES, remark=measured.faces < NEARLY_ALL_FACES * max(measured.frames, 1)
    )
    value = f"found in {measured.faces} of {measured.frames} frames"
    if state == State.PROBLEM:
        return Finding("face", state, value, "take a clip in which the face is seen from the front, not covered")
    return _finding("face", state, value, "cut off where the face is not seen: those frames are passed through")


def _length(measured: ClipMeasurements) -> Finding:
    seconds = measured.duration_s * measured.faces / max(measured.frames, 1)
    state = _grade(problem=seconds < SHORTEST_S, remark=seconds < SHORT_S)
    return _finding("length", state, f"{seconds:.1f} s with the face", "half a minute works, two minutes are better")


def _face(face: FaceMeasurements) -> Iterator[Finding]:
    state = _grade(problem=face.width_px < SMALLEST_FACE_PX, remark=face.width_px < SMALL_FACE_PX)
    yield _finding(
        "face size", state, f"{face.width_px:.0f} px wide", "film closer, or take the clip before it was scaled down"
    )
    if face.others:
        yield Finding(
            "people", State.REMARK, "several faces", "--face largest, left, right or a number chooses whose it is"
        )
    turned = f"{face.turned_deg:.0f}° from the camera, up to {face.furthest_turned_deg:.0f}°"
    state = _grade(
        problem=face.turned_deg > FURTHEST_DEG,
        remark=face.turned_deg > TURNED_DEG or face.furthest_turned_deg > FAR_DEG,
    )
    yield _finding("head", state, turned, "look into the camera: half of the mouth is hidden from the side")
    moved_cm = face.opened_gap_cm - face.closed_gap_cm
    state = _grade(problem=moved_cm < LEAST_MOVEMENT_CM, remark=moved_cm < LITTLE_MOVEMENT_CM)
    advice = "take a clip in which the person speaks: what the mouth never does in it cannot be learned"
    yield _finding("mouth opens", state, f"lips part by {max(moved_cm, 0):.1f} cm", advice)
    state = _grade(problem=False, remark=face.closed_gap_cm > CLOSED_CM)
    value = f"lips come as near as {max(face.closed_gap_cm, 0):.1f} cm"
    yield _finding("mouth closes", state, value, "take a clip with closed lips in it, as at p, b, m and in pauses")


def _look(look: LookMeasurements) -> Iterator[Finding]:
    state = _grade(problem=False, remark=look.detail < SOFT_DETAIL)
    advice = "check the focus, and take the original file: the new mouth will be as soft as this"
    yield _finding("sharpness", state, f"detail {look.detail:.3f}, soft below {SOFT_DETAIL:g}", advice)
    value = f"skin at {look.luma:.0f} of 255"
    if look.white_share > BURNT_SHARE:
        yield Finding("light", State.REMARK, f"{look.white_share:.0%} of the face burnt out", "expose it less")
    else:
        state = _grade(problem=look.luma < BLACK_LUMA, remark=look.luma < DARK_LUMA)
        yield _finding("light", state, value, "give the face more light")
    state = _grade(problem=False, remark=look.side_stops > UNEVEN_STOPS)
    value = f"one side {2**look.side_stops:.1f} times as bright"
    yield _finding("evenness", state, value, "light the face from the front: shadows move as the head turns")


def _stream(stream: StreamMeasurements) -> Iterator[Finding]:
    """Only what there is: a clip that needs none of it is not told so."""
    if stream.interlaced:
        advice = "it is deinterlaced; a progressive recording has twice the detail"
        yield Finding("interlacing", State.REMARK, stream.interlaced, advice)
    if stream.hdr:
        advice = "it is converted to BT.709; a recording in SDR keeps its colors"
        yield Finding("HDR", State.REMARK, stream.hdr, advice)


def _times(measured: ClipMeasurements) -> Iterator[Finding]:
    varies = ", variable" if measured.varying_share > VARYING_SHARE else ""
    state = _grade(problem=False, remark=measured.frame_rate < SLOW_FPS)
    advice = "film at 25 frames per second or more: quick closures of the lips are missed"
    yield _finding("frame rate", state, f"{measured.frame_rate:.5g} fps{varies}", advice)
    advice = "record without interruption: where frames are missing, there is nothing to show"
    if measured.gaps:
        value = f"{measured.gaps}, the longest {measured.longest_gap_s:.1f} s"
        yield Finding("gaps", State.REMARK, value, advice)
    elif measured.stream.filled_frames:
        yield Finding("gaps", State.REMARK, f"{measured.stream.filled_frames} frames are missing", advice)
    else:
        yield Finding("gaps", State.OK, "none")
    if measured.cuts:
        advice = "one take is better: each shot is reconstructed by itself, and playback does not cross a cut unseen"
        yield Finding("cuts", State.REMARK, str(measured.cuts), advice)


def _audio(measured: ClipMeasurements) -> Iterator[Finding]:
    audio = measured.audio
    without = "the speech predictor is not fitted to this person without it"
    if measured.audio_error:
        yield Finding("audio", State.REMARK, f"cannot be used: {measured.audio_error}", without)
    elif audio is None:
        yield Finding("audio", State.REMARK, "none", f"record the voice with the pictures: {without}")
    else:
        yield _speech(audio)
        if audio.r is not None and audio.lag_s is not None:
            yield _lag(audio.lag_s, audio.r)


def _speech(audio: AudioMeasurements) -> Finding:
    if audio.clipped_share > CLIPPED_SHARE:
        return Finding("audio", State.REMARK, f"{audio.clipped_share:.1%} of it overdriven", "record at a lower level")
    state = _grade(problem=False, remark=audio.speech_s < LITTLE_SPEECH_S)
    advice = "take a clip with more speech: the predictor is fitted to this person by it"
    return _finding("audio", state, f"{audio.speech_s:.0f} s of speech in the first minute", advice)


def _lag(lag_s: float, r: float) -> Finding:
    if r < LEAST_R:
        value = f"does not go with the mouth (r {r:.2f})"
        return Finding("audio and mouth", State.REMARK, value, "give the clip its own audio; this is not used")
    state = _grade(problem=False, remark=abs(lag_s) > VISIBLE_LAG_S)
    where = "late" if lag_s > 0 else "early"
    value = f"{abs(lag_s) * 1000:.0f} ms {where}" if lag_s else "in time"
    return _finding("audio and mouth", state, f"{value} (r {r:.2f})", "generating from speech corrects this")
