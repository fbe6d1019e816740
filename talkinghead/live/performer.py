"""What a session needs of an anchor."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from talkinghead.generation.live import LiveExpression
from talkinghead.live.stored_images import Image
from talkinghead.speech.articulation import KnownPhones
from talkinghead.structures import Audio, FloatArray


class Frames(Protocol):
    """The frames of a clip without end."""

    def next(self) -> tuple[int, Image]:
        """Number in the clip and image of the next frame."""
        ...

    def give_back(self, frames: Sequence[tuple[int, Image]]) -> None:
        """Take back the newest frames, in the order in which they were given: they are the next ones."""
        ...

    def close(self) -> None:
        """Stop decoding."""
        ...


class ArrivingSpeech(Protocol):
    """Expression of speech that arrives in blocks."""

    def push(self, block: FloatArray) -> LiveExpression:
        """Take (N,) samples at 16 kHz and give what they complete."""
        ...

    def finish(self) -> LiveExpression:
        """The rest."""
        ...


class Performer(Protocol):
    """An anchor in memory, shared by sessions; `ResidentAnchor` is the real one."""

    frame_rate: Fraction
    width: int
    height: int
    pause: FloatArray
    """(K,) the mouth at rest."""
    usual_step: float
    """How far the mouth usually goes from one frame of speech to the next at most: length of the difference of two rows
    of expression."""
    sha256: str
    """Hexadecimal, of the anchor's network weights."""

    def enter(self) -> None:
        """Count a session in. Raises BusyError where the machine would not keep up with it."""
        ...

    def leave(self) -> None:
        """Count a session out."""
        ...

    def begin_to_speak(self) -> None:
        """Called by a session before it speaks. Raises BusyError where too many sessions do."""
        ...

    def end_to_speak(self) -> None:
        """Called by it when it is silent again."""
        ...

    def open_frames(self) -> Frames:
        """The frames of the clip, from its beginning."""
        ...

    def render(
        self, numbers: Sequence[int], images: Sequence[Image], expression: Sequence[FloatArray | None]
    ) -> Sequence[Image]:
        """B frames with a new mouth: their numbers in the clip, images, and expression (K,), where None is `pause`."""
        ...

    def predict(
        self, audio: Audio, times_s: NDArray[np.float64], *, own_voice: bool = False, phones: KnownPhones | None = None
    ) -> FloatArray:
        """Expression (T, K) of a whole recording at 16 kHz. Raises SpeechTooShortError."""
        ...

    def listen(self, own_voice: bool) -> ArrivingSpeech:
        """Begin an utterance that arrives in blocks."""
        ...
