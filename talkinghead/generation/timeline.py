"""The timeline of an output: which frame of the clip is shown when."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkinghead.anchor import Anchor
from talkinghead.errors import NoFaceError
from talkinghead.face.reconstruction import reconstruct
from talkinghead.face.region_removal import LocalRegion
from talkinghead.face.steady_track import Look, steady_track
from talkinghead.face.tracking import track_file
from talkinghead.generation.crossing import Crossing
from talkinghead.generation.frame_order import forward_loop, ping_pong, read_in_order, turning_points
from talkinghead.generation.loops import cached_loops, check_range, frames_in
from talkinghead.generation.passthrough import Reason, reject_reasons
from talkinghead.media.video_reader import read_video_info
from talkinghead.structures import (
    DEFAULT_TRACKS,
    UNTREATED,
    BoolArray,
    ClipRange,
    Coding,
    FaceChoice,
    Frame,
    Loop,
    PictureTreatment,
    Reconstruction,
    Tracks,
)


@dataclass(frozen=True)
class Timeline:
    """Which frame of the clip is shown at which time of the output."""

    clip: Path
    reconstruction: Reconstruction
    """Of the clip, and after it of the blended frames of the crossing, if there is one."""
    frames: NDArray[np.int64]
    """(T,) number in the reconstruction of each output frame."""
    times_s: NDArray[np.float64]
    """(T,) presentation time of each output frame."""
    frame_rate: Fraction
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    reject_reasons: Sequence[Reason | None]
    """Of each frame of the reconstruction: why it cannot be given a new lower face, as far as its landmarks show; None
    where it can."""
    span: tuple[int, int]
    """First and last frame of the clip that may be shown."""
    crossing: Crossing | None = None
    """With which the clip goes on forwards; None where it is long enough, or turns."""
    tracks: Tracks = DEFAULT_TRACKS
    """Which video track of the clip."""
    treatment: PictureTreatment = UNTREATED
    """What reading the clip does to its pictures."""
    coding: Coding | None = None
    """Of the clip's planes; None where reading gives RGB alone."""

    def __len__(self) -> int:
        return len(self.frames)

    def read(self) -> Iterator[Frame]:
        """The frames of the clip that the output shows, one after the other, as they are before any is updated.

        Raises:
            MediaError: the clip cannot be decoded.
        """
        return read_in_order(self.clip, self.frames, self.reconstruction.times_s, self.tracks, self.crossing)


def plan(
    anchor: Anchor,
    clip: Path | None,
    duration_s: float,
    face: FaceChoice = "largest",
    tracks: Tracks = DEFAULT_TRACKS,
    clip_range: ClipRange | None = None,
) -> Timeline:
    """Lay out an output of ceil(duration x frame rate) frames.

    Longer speech goes round a forward loop where the clip has one that is not seen, and else forth and back.

    Args:
        anchor: who speaks.
        clip: another clip of the same person, whose frames are taken one for one; None takes the anchor's own clip.
        duration_s: of the speech.
        face: which face of the other clip.
        tracks: which video track of it.
        clip_range: whose frames are taken; None takes the anchor's own range of its own clip, all of another one.

    Raises:
        MissingFileError, MediaError, NoFaceError: the other clip cannot be used.
        OptionError: the clip ends before the range does.
    """
    source = clip or anchor.clip
    tracks = anchor.tracks if clip is None else tracks
    info = read_video_info(source, tracks)
    check_range(clip_range, source, tracks)
    reconstruction = anchor.reconstruction if clip is None else _reconstruction_of(clip, anchor, face, tracks)
    shown = clip_range or (anchor.clip_range if clip is None else None)
    span = frames_in(shown, reconstruction.times_s, source)
    reasons = reject_reasons(reconstruction, anchor.trained)
    crossing = None
    if is_constant_rate(reconstruction.times_s, info.frame_rate):
        count = frame_count(duration_s, info.frame_rate)
        times_s = np.arange(count, dtype=np.float64) * float(1 / info.frame_rate)
        usable = np.array([reason is None for reason in reasons])
        known = anchor.loops if clip is None and shown == anchor.clip_range else None
        frames, crossing = playback(count, source, anchor.region, reconstruction, usable, span, known, tracks=tracks)
    else:
        stretch = reconstruction.select(np.arange(span[0], span[1] + 1))
        frames, times_s = _variable_rate_playback(stretch, info.frame_rate, duration_s, may_turn=clip is None)
        frames += span[0]
    if crossing is not None:
        reconstruction, reasons = crossing.extended, [*reasons, *[None] * crossing.loop.frames]
    return Timeline(
        source,
        reconstruction,
        frames,
        times_s,
        frame_rate=info.frame_rate,
        width=info.width,
        height=info.height,
        reject_reasons=reasons,
        span=span,
        crossing=crossing,
        tracks=tracks,
        treatment=info.treatment,
        coding=info.coding,
    )


def _reconstruction_of(clip: Path, anchor: Anchor, face: FaceChoice, tracks: Tracks) -> Reconstruction:
    """Of another clip of the anchor's person, tracked as the anchor's own was."""
    look = Look(anchor.clip, anchor.reconstruction, anchor.tracks)
    track = (
        steady_track(clip, anchor.model, face=face, tracks=tracks, look=look)
        if anchor.is_steady
        else track_file(clip, face=face, tracks=tracks)
    )
    if not track.valid.any():
        raise NoFaceError(f"{clip}: no frame shows a usable face.")
    return reconstruct(track, anchor.model, identity=anchor.reconstruction.identity)


def playback(
    count: int,
    clip: Path,
    region: LocalRegion,
    reconstruction: Reconstruction,
    usable: BoolArray,
    span: tuple[int, int],
    known: tuple[Loop, ...] | None = None,
    *,
    tracks: Tracks = DEFAULT_TRACKS,
) -> tuple[NDArray[np.int64], Crossing | None]:
    """Which frames of a clip of constant rate are shown: once through a stretch of it, and then round a loop or back.

    Args:
        count: number of output frames.
        clip: the video.
        region: the lower face, which is drawn anew.
        reconstruction: of the clip.
        usable: (T,) frames that can be given a new lower face.
        span: first and last frame of the stretch.
        known: its loops, the best one first; None has them sought, where they are needed.
        tracks: which video track of the clip.

    Returns:
        (count,) frame numbers; and the crossing of which those from T on are the blended frames, None where playback
        does not loop.

    Raises:
        MediaError: the clip cannot be decoded.
    """
    first, last = span
    if count <= last - first + 1:
        return np.arange(first, first + count, dtype=np.int64), None
    loops = known
    if loops is None:
        loops = cached_loops(clip, region, reconstruction, usable, first, last, tracks)
    if loops:
        return forward_loop(count, first, len(reconstruction), loops[0]), Crossing(loops[0], region, reconstruction)
    return first + ping_pong(count, *turning_points(reconstruction.select(np.arange(first, last + 1)))), None


def frame_count(duration_s: float, frame_rate: Fraction) -> int:
    """ceil(duration x frame rate); a duration within a microsecond of a whole number of frames counts as whole."""
    return max(1, math.ceil(duration_s * frame_rate - Fraction(1, 1_000_000) * frame_rate))


def is_constant_rate(times_s: NDArray[np.float64], frame_rate: Fraction) -> bool:
    """Whether frames come at an even pace: no time of (T,) is off by half a frame or more, with the best start."""
    return bool(np.ptp(times_s - np.arange(len(times_s)) / float(frame_rate)) < 1 / float(frame_rate))


def _variable_rate_playback(
    stretch: Reconstruction, frame_rate: Fraction, duration_s: float, *, may_turn: bool
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Frames and times of a stretch of variable rate that is played for as long as the speech.

    The anchor's own clip may turn where the head is stillest; another one is to be seen from end to end.
    """
    intervals_s = np.append(np.diff(stretch.times_s), 1 / float(frame_rate))
    is_longer = duration_s > float(intervals_s.sum())
    turns = turning_points(stretch) if may_turn and is_longer else (0, len(stretch) - 1)
    return _variable_rate_plan(intervals_s, turns, duration_s)


def _variable_rate_plan(
    intervals_s: NDArray[np.float64], turns: tuple[int, int], duration_s: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Frames and times of a variable-rate clip: each frame for as long as in the clip, until the speech ends.

    Args:
        intervals_s: (T,) how long each of the clip's frames is shown, seconds.
        turns: frames at which playback turns.
        duration_s: of the speech.
    """
    count = len(intervals_s)
    while True:
        frames = ping_pong(count, *turns)
        times_s = np.concatenate([[0.0], np.cumsum(intervals_s[frames])[:-1]])
        if times_s[-1] >= duration_s:
            break
        count *= 2
    inside = times_s < duration_s - 1e-6
    inside[0] = True
    return frames[inside], times_s[inside]
