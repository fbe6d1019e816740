"""An anchor and the models that drive it, kept in memory and shared by sessions."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from talkinghead.anchor import Anchor
from talkinghead.device import choose_device
from talkinghead.errors import BusyError
from talkinghead.generation.crossing import Crossing
from talkinghead.generation.driving import calibration_for, expression_from_speech, load_speech_model
from talkinghead.generation.face_updater import FaceUpdater
from talkinghead.generation.live import LiveStream
from talkinghead.generation.passthrough import blend_weights, reject_reasons
from talkinghead.live.frame_source import FrameSource
from talkinghead.live.idle_loop import AT_ONCE, IdleLoop, IdleMaker
from talkinghead.live.session import BATCH
from talkinghead.live.shared_clip import SharedClip, crossing_of
from talkinghead.live.stored_images import Image, ImageStore, pixels
from talkinghead.media.video_reader import read_video_info
from talkinghead.speech.articulation import KnownPhones
from talkinghead.structures import Audio, ByteArray, FloatArray, Picture

IDLE_BYTES = 192 * 1024 * 1024
"""Most memory for the idle frames of one anchor; those beyond are rendered each time."""
CLIP_BYTES = 192 * 1024 * 1024
"""Most memory for the frames of its clip; if they are more, the clip is decoded again and again."""
LEAD_S = 2.0
"""Rendering ahead leaves half of the time to others where it is so far ahead of the foremost session, seconds."""
QUIET_S = 1.0
"""So long after the last word, rendering ahead waits: an answer may follow, and the mouth is coming to rest."""
MEASURED_FRAMES = 24
"""Frames that are rendered to measure how many a second there can be."""
USABLE_SHARE = 0.8
"""Share of the measured speed that sessions may use: the rest is for encoding and for speech."""
USUAL_STEP = 0.99
"""Quantile of what the mouth does from one frame of the clip to the next, that still counts as usual."""


class Capacity:
    """How much of a machine its live sessions take, whatever anchors they are of."""

    def __init__(self, idle_sessions: int | None = None) -> None:
        """Args: most sessions that may be open, of which as many may speak at once as the machine keeps up with; None
        lets in only as many as could all speak."""
        self._idle_sessions = idle_sessions
        self._lock = threading.Lock()
        self._taken = 0.0
        self._sessions = self._speaking = 0
        """Open, and those that something is held for."""
        self._heard = 0
        """Sessions that speak."""
        self._silent_since_s = -math.inf

    @property
    def sessions(self) -> int:
        """Number of sessions that are open."""
        with self._lock:
            return self._sessions

    @property
    def is_speaking(self) -> bool:
        """Whether any of them speaks, or did a moment ago."""
        with self._lock:
            return self._heard > 0 or time.monotonic() - self._silent_since_s < QUIET_S

    def enter(self, share: float, most: int) -> None:
        """Count a session in; one always fits.

        Args:
            share: of the machine that it takes while it speaks.
            most: how many such sessions fit, for the message.

        Raises:
            BusyError: there is no room for it.
        """
        with self._lock:
            if self._idle_sessions is None:
                self._take(share, f"This machine keeps up with {most} live session(s) of this anchor, and "
                           f"{self._sessions} run(s); end one first.")  # fmt: skip
            elif self._sessions >= self._idle_sessions:
                raise BusyError(f"There are {self._sessions} live session(s), and no more are let in; end one first.")
            self._sessions += 1

    def leave(self, share: float) -> None:
        """Count it out."""
        with self._lock:
            self._sessions -= 1
            if self._idle_sessions is None:
                self._give_back(share)

    def begin_to_speak(self, share: float, most: int) -> None:
        """Take what a session needs to speak, where that is not held for it all the time.

        Raises:
            BusyError: too many speak.
        """
        with self._lock:
            if self._idle_sessions is not None:
                self._take(share, f"This machine keeps up with {most} session(s) of this anchor that speak, and "
                           f"{self._speaking} do(es); try again when one is silent.")  # fmt: skip
            self._heard += 1

    def end_to_speak(self, share: float) -> None:
        """Give that back."""
        with self._lock:
            self._heard -= 1
            self._silent_since_s = time.monotonic()
            if self._idle_sessions is not None:
                self._give_back(share)

    def _take(self, share: float, message: str) -> None:
        if self._speaking and self._taken + share > USABLE_SHARE:
            raise BusyError(message)
        self._taken, self._speaking = self._taken + share, self._speaking + 1

    def _give_back(self, share: float) -> None:
        self._taken, self._speaking = max(0.0, self._taken - share), self._speaking - 1


class ResidentAnchor:
    """All that sessions of one anchor have in common. Its methods may be called from any thread."""

    def __init__(self, anchor: Anchor, device: str = "auto", capacity: Capacity | None = None) -> None:
        """Load the speech model, and measure how quickly this machine renders.

        Args:
            anchor: who is driven.
            device: where to compute.
            capacity: that all anchors of the machine share; None is one of its own.

        Raises:
            CheckpointError, ModelUnavailableError: see `driving.load_speech_model`.
        """
        self.anchor = anchor
        self.sha256 = anchor.network_sha256
        chosen = choose_device(device)
        self.speech_model = load_speech_model(anchor, None, chosen)
        calibration = calibration_for(anchor, self.speech_model)
        self.pause = anchor.rest_expression() if calibration.pause is None else calibration.pause
        info = read_video_info(anchor.clip)
        self.frame_rate, self.width, self.height = info.frame_rate, info.width, info.height
        self.crossing = crossing_of(anchor)
        own = anchor.reconstruction
        self._updater = FaceUpdater(anchor, own if self.crossing is None else self.crossing.extended, chosen)
        accepted = np.array([reason is None for reason in reject_reasons(own, own)])
        self._weights = _with_crossing(blend_weights(accepted, own.times_s), self.crossing)
        self.usual_step = usual_step(anchor)
        self._counting, self._sessions = threading.Lock(), 0
        self._idle = IdleLoop(ImageStore(IDLE_BYTES), self._at_rest)
        self._clip = SharedClip(anchor, ImageStore(CLIP_BYTES), self.crossing)
        self._capacity = capacity or Capacity()
        self.frames_per_second = self._measure()
        self._making = threading.Lock()
        self._maker: IdleMaker | None = None

    @property
    def most_sessions(self) -> int:
        """How many sessions of this anchor alone can speak at once on this machine, at least one."""
        return max(1, int(USABLE_SHARE / self._share))

    @property
    def _share(self) -> float:
        """Share of the machine that a session takes while it speaks."""
        return float(self.frame_rate) / self.frames_per_second

    def enter(self) -> None:
        """Count a session in.

        Raises:
            BusyError: more would not keep up.
        """
        self._capacity.enter(self._share, self.most_sessions)
        with self._counting:
            self._sessions += 1

    def leave(self) -> None:
        """Count a session out."""
        self._capacity.leave(self._share)
        with self._counting:
            self._sessions -= 1

    def begin_to_speak(self) -> None:
        """Called by a session before it speaks.

        Raises:
            BusyError: too many sessions speak.
        """
        self._capacity.begin_to_speak(self._share, self.most_sessions)

    def end_to_speak(self) -> None:
        """Called by it when it is silent again."""
        self._capacity.end_to_speak(self._share)

    def render(
        self, numbers: Sequence[int], images: Sequence[Image], expression: Sequence[FloatArray | None]
    ) -> list[Image]:
        """Frames of the clip with a new mouth.

        Args:
            numbers: B numbers of frames in the clip.
            images: the frames.
            expression: (K,) for each, in standard deviations of the face model; None is the mouth at rest, which is
                rendered once for each frame of the clip.

        Returns:
            B frames; those that cannot be given a mouth are as they were.
        """
        made = list(images)
        usable = [place for place, number in enumerate(numbers) if self._weights[number]]
        resting = [place for place in usable if expression[place] is None]
        if resting:
            pictures = self._idle.pictures([numbers[place] for place in resting], [images[place] for place in resting])
            for place, picture in zip(resting, pictures, strict=True):
                made[place] = picture
        rows = {place: row for place in usable if (row := expression[place]) is not None}
        if rows:
            chosen: NDArray[np.int64] = np.array([numbers[place] for place in rows])
            updated = self._updated([pixels(images[place]) for place in rows], chosen, np.stack(list(rows.values())))
            for place, image in zip(rows, updated, strict=True):
                made[place] = image
        return made

    def make_idle_ahead(self) -> IdleMaker:
        """Begin to render what the anchor looks like while it idles, before a session needs it: in a thread, while
        nobody speaks, and for half of the time where sessions are open and none is near. Called again, it gives the
        thread that does so."""
        with self._making:
            if self._maker is None:
                self._maker = IdleMaker(self._make_idle, len(self._clip.once), self._rest_s)
            return self._maker

    def close(self) -> None:
        """Stop rendering ahead; sessions go on. May be called twice."""
        with self._making:
            if self._maker is not None:
                self._maker.close()

    def open_frames(self) -> FrameSource:
        """The frames of the clip, from its beginning."""
        self.make_idle_ahead()
        return FrameSource(self._clip)

    def predict(
        self, audio: Audio, times_s: NDArray[np.float64], *, own_voice: bool = False, phones: KnownPhones | None = None
    ) -> FloatArray:
        """As `driving.expression_from_speech`."""
        return expression_from_speech(
            self.anchor, self.speech_model, audio, times_s, own_voice=own_voice, phones=phones
        )

    def listen(self, own_voice: bool) -> LiveStream:
        """Begin an utterance that arrives in blocks."""
        return LiveStream(self.anchor, self.speech_model, own_voice=own_voice)

    def _at_rest(self, numbers: Sequence[int], images: Sequence[Image]) -> Sequence[ByteArray]:
        """Frames with the mouth at rest, rendered."""
        rows = np.stack([self.pause] * len(numbers))
        return self._updated([pixels(image) for image in images], np.array(numbers), rows)

    def _make_idle(self, place: int) -> bool:
        """Decode `AT_ONCE` frames from a place of the clip's first round on, and render them with the mouth at rest;
        whether there is room for more."""
        places = range(place, min(place + AT_ONCE, len(self._clip.once)))
        numbers = [int(self._clip.once[one]) for one in places]
        images = [self._clip.frame(one, is_ahead=True) for one in places]
        known = {n: image for n, image in zip(numbers, images, strict=True) if image is not None and self._weights[n]}
        if known:
            self._idle.pictures(list(known), list(known.values()))
        return not self._idle.is_full and all(image is not None for image in images)

    def _rest_s(self, place: int, worked_s: float) -> float | None:
        """How long rendering ahead rests before a place after so long a work, seconds; None while somebody speaks, and
        while nobody but sessions of other anchors needs the machine."""
        if self._capacity.is_speaking or (self._capacity.sessions and not self._sessions):
            return None
        # A session that comes too near would have to render by itself: then no time is gained by resting.
        is_near = place - self._clip.foremost < LEAD_S * self.frame_rate
        return 0.0 if is_near or not self._capacity.sessions else worked_s

    def _updated(
        self, images: Sequence[ByteArray], numbers: NDArray[np.int64], rows: FloatArray
    ) -> Sequence[ByteArray]:
        """Frames with a new mouth, less of it near frames that cannot have one, none where the face is covered."""
        prepared = self._updater.prepare([Picture.of(image) for image in images], numbers, rows)
        weights = self._weights[numbers[prepared.usable]] * ~prepared.covered
        weighted = replace(prepared, blend_weights=weights.astype(np.float32))
        return [picture.image for picture in self._updater.paste(*self._updater.render(weighted))]

    def _measure(self) -> float:
        """Frames per second that are rendered in batches of `BATCH`."""
        usable = np.flatnonzero(self._weights)[:BATCH]
        if not len(usable):
            return float("inf")
        images = [np.zeros((self.height, self.width, 3), np.uint8)] * len(usable)
        rows = np.stack([self.pause] * len(usable))
        self._updater.update(images, usable, rows)  # the first is slower
        started_s = time.perf_counter()
        for _ in range(MEASURED_FRAMES // BATCH):
            self._updater.update(images, usable, rows)
        return MEASURED_FRAMES // BATCH * len(usable) / (time.perf_counter() - started_s)


def usual_step(anchor: Anchor) -> float:
    """How far the mouth usually goes from one frame of the anchor's clip to the next at most, as the length of the
    difference of two rows of expression."""
    own = anchor.trained
    both = own.valid[1:] & own.valid[:-1]
    steps = np.linalg.norm(np.diff(own.expression, axis=0), axis=1)[both]
    return float(np.quantile(steps, USUAL_STEP)) if len(steps) else 0.0


def _with_crossing(weights: FloatArray, crossing: Crossing | None) -> FloatArray:
    """(T,) weights of the mouths of a clip's frames, and after them those of the blended frames, (T + N,)."""
    if crossing is None:
        return weights
    loop, share = crossing.loop, crossing.weights
    left, entered = weights[loop.leave :][: loop.frames], weights[loop.enter :][: loop.frames]
    return np.concatenate([weights, (1 - share) * left + share * entered]).astype(np.float32)
