"""An anchor in memory, shown before another background: each frame is cut out as it is rendered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkinghead.generation.crossing import Crossing
from talkinghead.generation.cutout import Cutout, check_matte, matte_of
from talkinghead.generation.framing import Framing
from talkinghead.generation.output_options import Color
from talkinghead.live.performer import ArrivingSpeech, Frames, Performer
from talkinghead.live.resident import ResidentAnchor
from talkinghead.live.stored_images import Image, pixels
from talkinghead.matting.backgrounds import Background, open_background
from talkinghead.matting.clip_matte import ClipMatte
from talkinghead.speech.articulation import KnownPhones
from talkinghead.structures import DEFAULT_TRACKS, Audio, ByteArray, FloatArray


class BeforeBackground:
    """A performer of one session, whose frames have another background.

    A video in the background goes on by one period for each frame that is rendered; an interrupt, whose frames are
    rendered again, makes it jump ahead by those few.
    """

    def __init__(
        self, performer: Performer, matte: ClipMatte, background: Background, crossing: Crossing | None = None
    ) -> None:
        """Args: the anchor; the matte of its clip; what is put behind, closed with the session; the crossing of the
        clip's loop."""
        self._performer = performer
        self.frame_rate, self.width, self.height = performer.frame_rate, performer.width, performer.height
        self.pause: FloatArray = performer.pause
        self.usual_step, self.sha256 = performer.usual_step, performer.sha256
        whole = Framing(0, 0, self.width, self.height, self.width, self.height)
        self._cutout = Cutout(matte, crossing, whole, background)
        self._background = background
        self._rendered = 0

    def enter(self) -> None:
        """Count a session in. Raises BusyError."""
        self._performer.enter()

    def leave(self) -> None:
        """Count a session out."""
        self._performer.leave()
        self._background.close()

    def begin_to_speak(self) -> None:
        """As `Performer.begin_to_speak`."""
        self._performer.begin_to_speak()

    def end_to_speak(self) -> None:
        """As `Performer.end_to_speak`."""
        self._performer.end_to_speak()

    def open_frames(self) -> Frames:
        """The frames of the clip, from its beginning."""
        return self._performer.open_frames()

    def render(
        self, numbers: Sequence[int], images: Sequence[Image], expression: Sequence[FloatArray | None]
    ) -> list[ByteArray]:
        """As `Performer.render`, before the background."""
        made = []
        for number, image in zip(numbers, self._performer.render(numbers, images, expression), strict=True):
            made.append(self._cutout.applied(number, pixels(image), self._rendered / float(self.frame_rate))[0])
            self._rendered += 1
        return made

    def predict(
        self, audio: Audio, times_s: NDArray[np.float64], *, own_voice: bool = False, phones: KnownPhones | None = None
    ) -> FloatArray:
        """As `Performer.predict`."""
        return self._performer.predict(audio, times_s, own_voice=own_voice, phones=phones)

    def listen(self, own_voice: bool) -> ArrivingSpeech:
        """Begin an utterance that arrives in blocks."""
        return self._performer.listen(own_voice)


def before_background(resident: ResidentAnchor, named: Color | Path) -> BeforeBackground:
    """A performer for one session; the matte of its clip is made and cached if there is none yet.

    Args:
        resident: the anchor.
        named: color, or picture or video file.

    Raises:
        MissingFileError, MediaError: the background cannot be read.
        ModelUnavailableError: the network that a matte is made with cannot be had.
        CheckpointError: the ANCHOR's matte is damaged.
    """
    background = open_background(named, resident.width, resident.height)
    matte = matte_of(resident.anchor, None, DEFAULT_TRACKS, None)
    check_matte(matte, len(resident.anchor.reconstruction), resident.width, resident.height)
    return BeforeBackground(resident, matte, background, resident.crossing)
