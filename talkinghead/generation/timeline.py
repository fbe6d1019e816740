"""The timeline of an output: which frame of the clip is shown when."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkinghead.anchor import Anchor
from talkinghead.errors import NoFaceError
from talkinghead.face.reconstruction import reconstruct
from talkinghead.face.steady_track import Look, steady_track
from talkinghead.face.tracking import track_file
from talkinghead.generation.frame_order import ping_pong, turning_points
from talkinghead.generation.passthrough import Reason, reject_reasons
from talkinghead.media.video_reader import read_video_info
from talkinghead.structures import DEFAULT_TRACKS, FaceChoice, Reconstruction, Tracks


@dataclass(frozen=True)
class Timeline:
    """Which frame of the clip is shown at which time of the output."""

    clip: Path
    reconstruction: Reconstruction
    """Of the clip."""
    frames: NDArray[np.int64]
    """(T,) number in the clip of each output frame."""
    times_s: NDArray[np.float64]
    """(T,) presentation time of each output frame."""
    frame_rate: Fraction
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    reject_reasons: Sequence[Reason | None]
    """Of each of the clip's frames: why it cannot be given a new lower face, as far as its landmarks show; None where
    it can."""
    tracks: Tracks = DEFAULT_TRACKS
    """Which video track of the clip."""

    def __len__(self) -> int:
        return len(self.frames)


def plan(
    anchor: Anchor,
    clip: Path | None,
    duration_s: float,
    face: FaceChoice = "largest",
    tracks: Tracks = DEFAULT_TRACKS,
) -> Timeline:
    """Lay out an output of ceil(duration x frame rate) frames.

    Args:
        anchor: who speaks.
        clip: another clip of the same person, whose frames are taken one for one; None takes the anchor's own clip,
            forth and back with turns where the head is still.
        duration_s: of the speech.
        face: which face of the other clip.
        tracks: which video track of it.

    Raises:
        MissingFileError, MediaError, NoFaceError: the other clip cannot be used.
    """
    source = clip or anchor.clip
    tracks = anchor.tracks if clip is None else tracks
    info = read_video_info(source, tracks)
    if clip is None:
        reconstruction = anchor.reconstruction
    else:
        look = Look(anchor.clip, anchor.reconstruction, anchor.tracks)
        track = (
            steady_track(clip, anchor.model, face=face, tracks=tracks, look=look)
            if anchor.is_steady
            else track_file(clip, face=face, tracks=tracks)
        )
        if not track.valid.any():
            raise NoFaceError(f"{clip}: no frame shows a usable face.")
        reconstruction = reconstruct(track, anchor.model, identity=anchor.reconstruction.identity)
    count = frame_count(duration_s, info.frame_rate)
    if is_constant_rate(reconstruction.times_s, info.frame_rate):
        ends = (0, len(reconstruction) - 1)
        frames = ping_pong(count, *(turning_points(reconstruction) if clip is None and count > ends[1] + 1 else ends))
        times_s = np.arange(count, dtype=np.float64) * float(1 / info.frame_rate)
    else:
        frames, times_s = _variable_rate_plan(reconstruction.times_s, info.frame_rate, duration_s)
    return Timeline(
        clip=source,
        reconstruction=reconstruction,
        frames=frames,
        times_s=times_s,
        frame_rate=info.frame_rate,
        width=info.width,
        height=info.height,
        reject_reasons=reject_reasons(reconstruction, anchor.reconstruction),
        tracks=tracks,
    )


def frame_count(duration_s: float, frame_rate: Fraction) -> int:
    """ceil(duration x frame rate); a duration within a microsecond of a whole number of frames counts as whole."""
    return max(1, math.ceil(duration_s * frame_rate - Fraction(1, 1_000_000) * frame_rate))


def is_constant_rate(times_s: NDArray[np.float64], frame_rate: Fraction) -> bool:
    """Whether frames come at an even pace: no time of (T,) is off by half a frame or more."""
    return bool(np.abs(times_s - np.arange(len(times_s)) / float(frame_rate)).max() < 0.5 / float(frame_rate))


def _variable_rate_plan(
    clip_times_s: NDArray[np.float64], frame_rate: Fraction, duration_s: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Frames and times of a variable-rate clip: its own timestamps, forth and back until the speech ends."""
    intervals = np.append(np.diff(clip_times_s), 1 / float(frame_rate))
    length_s = float(intervals.sum())
    rounds = math.ceil(duration_s / length_s) + 1
    frames = ping_pong(len(clip_times_s) * rounds, 0, len(clip_times_s) - 1)
    times_s = np.concatenate([[0.0], np.cumsum(intervals[frames])[:-1]])
    inside = times_s < duration_s - 1e-6
    inside[0] = True
    return frames[inside], times_s[inside]
