"""A performer whose pictures show what drives them: their number, and the loudness of the audio as brightness."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import BusyError
from talkinghead.generation.live import LiveExpression
from talkinghead.structures import Audio, ByteArray, FloatArray

LATENCY_S = 0.3
RATE_HZ = 16_000
STEP = 200
"""Brightness of an expression of 1."""


class DrawnFrames:
    """Frame n has n in its first pixels, and nothing else."""

    def __init__(self) -> None:
        self.next_number = 0
        self.returned: list[tuple[int, ByteArray]] = []
        self.is_closed = False

    def next(self) -> tuple[int, ByteArray]:
        if self.returned:
            return self.returned.pop(0)
        image = np.zeros((4, 4, 3), np.uint8)
        image[0, 0] = np.array([self.next_number // 65536, self.next_number // 256 % 256, self.next_number % 256])
        self.next_number += 1
        return self.next_number - 1, image

    def give_back(self, frames: Sequence[tuple[int, ByteArray]]) -> None:
        self.returned = [*frames, *self.returned]

    def close(self) -> None:
        self.is_closed = True


def number_in(image: ByteArray) -> int:
    return int(image[0, 0].astype(int) @ [65536, 256, 1])


def expression_in(image: ByteArray) -> float:
    return float(image[3, 3, 0]) / STEP


class ArrivingLoudness:
    """Loudness of audio in blocks, `LATENCY_S` late."""

    def __init__(self) -> None:
        self.audio = np.zeros(0, np.float32)
        self.given = 0

    def push(self, block: FloatArray) -> LiveExpression:
        self.audio = np.concatenate([self.audio, block])
        return self._until(len(self.audio) / RATE_HZ - LATENCY_S)

    def finish(self) -> LiveExpression:
        return self._until(len(self.audio) / RATE_HZ)

    def _until(self, end_s: float) -> LiveExpression:
        count = max(self.given, int(end_s * 50))
        times_s = np.arange(self.given, count) / 50
        self.given = count
        return LiveExpression(times_s, loudness(self.audio, times_s))


def loudness(audio: FloatArray, times_s: NDArray[np.float64]) -> FloatArray:
    """(T, 2): size of the sample at each time, twice."""
    at = np.minimum((times_s * RATE_HZ).astype(int), len(audio) - 1)
    return np.repeat(np.abs(audio[at])[:, None], 2, 1).astype(np.float32)


class DrawnPerformer:
    """See above."""

    def __init__(self, frame_rate: Fraction = Fraction(25), most: int = 1) -> None:
        self.frame_rate, self.width, self.height = frame_rate, 4, 4
        self.pause = np.zeros(2, np.float32)
        self.usual_step = 0.5
        self.sha256 = "0" * 64
        self.most, self.sessions = most, 0
        self.most_speaking, self.speaking = 1000, 0
        self.opened: list[DrawnFrames] = []
        self.rendered = 0
        """Mouths other than at rest."""

    def enter(self) -> None:
        if self.sessions == self.most:
            raise BusyError("Full.")
        self.sessions += 1

    def leave(self) -> None:
        self.sessions -= 1

    def begin_to_speak(self) -> None:
        if self.speaking == self.most_speaking:
            raise BusyError("Others speak.")
        self.speaking += 1

    def end_to_speak(self) -> None:
        self.speaking -= 1

    def open_frames(self) -> DrawnFrames:
        self.opened.append(DrawnFrames())
        return self.opened[-1]

    def render(
        self, numbers: Sequence[int], images: Sequence[ByteArray], expression: Sequence[FloatArray | None]
    ) -> list[ByteArray]:
        made = []
        for image, values in zip(images, expression, strict=True):
            made.append(image.copy())
            if values is not None:
                self.rendered += 1
                made[-1][3, 3] = np.clip(np.round(values[0] * STEP), 0, 255)
        return made

    def predict(
        self, audio: Audio, times_s: NDArray[np.float64], *, own_voice: bool = False, phones: object = None
    ) -> FloatArray:
        return loudness(audio.samples, times_s)

    def listen(self, own_voice: bool) -> ArrivingLoudness:
        return ArrivingLoudness()


class BigPerformer(DrawnPerformer):
    """Frames large enough for a video codec, bright while the mouth is open."""

    def __init__(self) -> None:
        super().__init__(most=2)
        self.width = self.height = 64

    def render(
        self, numbers: Sequence[int], images: Sequence[ByteArray], expression: Sequence[FloatArray | None]
    ) -> list[ByteArray]:
        values = [0 if row is None else float(row[0]) for row in expression]
        return [np.full((64, 64, 3), 40 + round(180 * min(1, 4 * value)), np.uint8) for value in values]
