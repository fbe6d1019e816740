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
from talkinghead.structures import UNTREATED, FaceChoice, PictureTreatment, Reconstruction


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
    treatment: PictureTreatment = UNTREATED
    """What reading the clip does to its pictures."""

    def __len__(self) -> int:
        return len(self.frames)


def plan(anchor: Anchor, clip: Path | None, duration_s: float, face: FaceChoice = "largest") -> Timeline:
    """Lay out an output of ceil(duration x frame rate) frames.

    Args:
        anchor: who speaks.
        clip: another clip of the same person, whose frames are taken one for one; None takes the anchor's own clip,
            forth and back with turns where the head is still.
        duration_s: of the speech.
        face: which face of the other clip.

    Raises:
        MissingFileError, MediaError, NoFaceError: the other clip cannot be used.
    """
    source = clip or anchor.clip
    info = read_video_info(source)
    if clip is None:
        reconstruction = anchor.reconstruction
    else:
        look = Look(anchor.clip, anchor.reconstruction)
        track = (
            steady_track(clip, anchor.model, face=face, look=look) if anchor.is_steady else track_file(clip, face=face)
        )
        if not track.valid.any():
            raise NoFaceError(f"{clip}: no frame shows a usable face.")
        reconstruction = reconstruct(track, anchor.model, identity=anchor.reconstruction.identity)
    count = frame_count(duration_s, info.frame_rate)
    is_constant = is_constant_rate(reconstruction.times_s, info.frame_rate)
    intervals_s = np.append(np.diff(reconstruction.times_s), 1 / float(info.frame_rate))
    is_longer = count > len(reconstruction) if is_constant else duration_s > float(intervals_s.sum())
    # Another clip is to be seen from end to end; the anchor's own may turn where the head is stillest.
    turns = turning_points(reconstruction) if clip is None and is_longer else (0, len(reconstruction) - 1)
    if is_constant:
        frames = ping_pong(count, *turns)
        times_s = np.arange(count, dtype=np.float64) * float(1 / info.frame_rate)
    else:
        frames, times_s = _variable_rate_plan(intervals_s, turns, duration_s)
    return Timeline(
        clip=source,
        reconstruction=reconstruction,
        frames=frames,
        times_s=times_s,
        frame_rate=info.frame_rate,
        width=info.width,
        height=info.height,
        reject_reasons=reject_reasons(reconstruction, anchor.reconstruction),
        treatment=info.treatment,
    )


def frame_count(duration_s: float, frame_rate: Fraction) -> int:
    """ceil(duration x frame rate); a duration within a microsecond of a whole number of frames counts as whole."""
    return max(1, math.ceil(duration_s * frame_rate - Fraction(1, 1_000_000) * frame_rate))


def is_constant_rate(times_s: NDArray[np.float64], frame_rate: Fraction) -> bool:
    """Whether frames come at an even pace: no time of (T,) is off by half a frame or more, with the best start."""
    return bool(np.ptp(times_s - np.arange(len(times_s)) / float(frame_rate)) < 1 / float(frame_rate))


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
