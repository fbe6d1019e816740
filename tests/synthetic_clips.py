"""Synthetic clips: a pattern whose brightness is the time, and the track of a face whose mouth opens by the time."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkinghead.face.face_model import load_face_model
from talkinghead.media.video_reader import VideoReader
from talkinghead.media.video_writer import EncoderSettings, VideoWriter
from talkinghead.structures import LANDMARKS, ByteArray, Frame, Track
from talkinghead.weights.bundled import checkpoint_path

SIZE = 96


def opening_px(time_s: float) -> float:
    """Gap of the lips at a time, px of a clip of `SIZE`."""
    return 8 + 4 * math.sin(7.1 * time_s) + 2 * math.sin(11.3 * time_s + 1)


def pattern(time_s: float, size: int = SIZE) -> ByteArray:
    """(size, size, 3) smooth pattern that grows brighter by 40 levels a second, so that a frame shows its time."""
    rows, columns = np.mgrid[0:size, 0:size] * (SIZE / size)
    waves = 60 + 20 * np.sin(rows / 5) + 20 * np.sin(columns / 7)
    return np.repeat((waves + 40 * time_s)[..., None], 3, axis=2).astype(np.uint8)


def write(path: Path, rate: Fraction | int = 25, seconds: float = 2.0, size: int = SIZE, dark: int = 0) -> Path:
    """Write a synthetic clip, darker by `dark` levels."""
    with VideoWriter(path, size, size, frame_rate=Fraction(rate), encoder=EncoderSettings(crf=1)) as writer:
        for number in range(round(seconds * rate)):
            time_s = float(number / Fraction(rate))
            writer.write(Frame(pattern(time_s, size) - np.uint8(dark), time_s))
    return path


def synthetic_track(path: Path) -> Track:
    """Stands in for the face landmarker: `track_at` the times of a clip's frames."""
    with VideoReader(path) as reader:
        return track_at(np.array([frame.time_s for frame in reader]), reader.info.width, reader.info.height)


def track_at(times_s: NDArray[np.float64], width: int = SIZE, height: int = SIZE) -> Track:
    """A face that fills the image, its mouth open by `opening_px` at the times given."""
    mean = load_face_model(checkpoint_path("face_model.safetensors")).neutral * (4.5, -4.5, -4.5)
    face = np.full((LANDMARKS, 3), 48.0)
    face[: len(mean)] = np.add(mean, (48, 40, 0))
    places = {234: (8, 40), 454: (88, 40), 33: (28, 30), 263: (68, 30), 2: (48, 50), 152: (48, 86)}
    for landmark, place in (places | {61: (32, 66), 291: (64, 66), 13: (48, 62), 14: (48, 62)}).items():
        face[landmark] = (*place, 0)
    landmarks = np.repeat(face[None], len(times_s), axis=0)
    landmarks[:, 14, 1] += [opening_px(time_s) for time_s in times_s]
    landmarks[:, [61, 291], 0] += np.outer(np.sin(9 * times_s), (-1, 1))
    return Track(
        landmarks=(landmarks * (width / SIZE)).astype(np.float32),
        valid=np.ones(len(times_s), np.bool_),
        times_s=times_s,
        width=width,
        height=height,
    )
