"""What makes the utterances of a live session: a text, a recording, or audio that arrives in blocks."""

from __future__ import annotations

import queue
from collections.abc import Callable
from pathlib import Path

import numpy as np

from talkinghead.errors import SpeechTooShortError, TalkingHeadError
from talkinghead.live.performer import Performer
from talkinghead.live.resampling import StreamResampler, resampled
from talkinghead.live.ticks import AUDIO_RATE_HZ
from talkinghead.live.utterance import LiveUtterance
from talkinghead.media.audio_reader import read_audio
from talkinghead.speech.articulation import KnownPhones
from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.structures import Audio, FloatArray
from talkinghead.text_to_speech.engine import Utterance
from talkinghead.text_to_speech.speaking import Script, speak

LEAD_S = 0.1
"""Silence before the first word of a text: time for the lips to get ready, seconds."""
SPOKEN_AHEAD_S = 20.0
"""How far a text is spoken ahead of what is heard, seconds: an interrupt throws it away."""
LONGEST_BLOCK_S = 60.0
"""Longest block of audio that is taken at once, seconds."""

Cancelled = Callable[[], bool]
"""Whether the utterance has been interrupted."""


def speak_text(performer: Performer, utterance: LiveUtterance, script: Script, cancelled: Cancelled) -> None:
    """Fill an utterance with a script, sentence by sentence, while those before are heard.

    Raises:
        TalkingHeadError: the voice is not there, or can say nothing of the text.
    """
    for spoken in speak(script, lead_s=LEAD_S):
        while not utterance.wait_for_room(SPOKEN_AHEAD_S, 0.1):
            if cancelled():
                return
        if cancelled():
            return
        _add_sentence(performer, utterance, spoken)


def _add_sentence(performer: Performer, utterance: LiveUtterance, spoken: Utterance) -> None:
    start_s = utterance.duration_s
    audio = Audio(resampled(spoken.audio.samples, spoken.audio.rate_hz, RATE_HZ), RATE_HZ)
    # On the grid of the session's frames, which began with the utterance.
    rate_hz = float(performer.frame_rate)
    first = int(np.ceil(start_s * rate_hz - 1e-6))
    times_s = np.arange(first, max(first + 1, int(np.ceil((start_s + audio.duration_s) * rate_hz)))) / rate_hz
    phones = None if spoken.phones is None else KnownPhones(spoken.phones, is_synthetic=True)
    try:
        values = performer.predict(audio, times_s - start_s, phones=phones)
    except SpeechTooShortError:  # the silence at the end
        values = np.stack([performer.pause] * len(times_s)).astype(np.float32)
    utterance.add_expression(times_s, values)
    utterance.add_audio(resampled(spoken.audio.samples, spoken.audio.rate_hz, AUDIO_RATE_HZ))


def play_file(performer: Performer, utterance: LiveUtterance, path: Path, own_voice: bool) -> None:
    """Fill an utterance with a recording.

    Raises:
        MissingFileError, MediaError: it cannot be read.
    """
    audio = read_audio(path, RATE_HZ)
    rate_hz = float(performer.frame_rate)
    times_s = np.arange(0, audio.duration_s, 1 / rate_hz)
    values = performer.predict(audio, times_s, own_voice=own_voice)
    utterance.add_expression(times_s, values)
    utterance.add_audio(read_audio(path, AUDIO_RATE_HZ).samples)


class PushedAudio:
    """An utterance of audio that arrives in blocks, such as a voice agent's. One thread pushes, another one works."""

    def __init__(self, rate_hz: int) -> None:
        """Args: rate_hz: sampling rate of the blocks."""
        self.rate_hz = rate_hz
        self._blocks: queue.Queue[FloatArray | None] = queue.Queue()
        self._ended = False

    def push(self, samples: FloatArray) -> None:
        """Take the next samples, (N,) float32 in [-1, 1].

        Raises:
            ValueError: the utterance has ended, the block is too long, or holds what is no finite number.
        """
        if self._ended:
            raise ValueError("The utterance has ended.")
        if samples.ndim != 1 or len(samples) > LONGEST_BLOCK_S * self.rate_hz or not np.isfinite(samples).all():
            raise ValueError(f"A block is a row of finite samples, at most {LONGEST_BLOCK_S:.0f} s of them.")
        self._blocks.put(np.clip(samples, -1, 1).astype(np.float32))

    def end(self) -> None:
        """Nothing more will be pushed."""
        if not self._ended:
            self._ended = True
            self._blocks.put(None)

    def fill(self, performer: Performer, utterance: LiveUtterance, own_voice: bool, cancelled: Cancelled) -> None:
        """Fill an utterance until the audio ends or it is interrupted.

        Raises:
            ModelUnavailableError: the encoder's output is not finite.
        """
        stream = performer.listen(own_voice)
        heard, to_session = StreamResampler(self.rate_hz, RATE_HZ), StreamResampler(self.rate_hz, AUDIO_RATE_HZ)
        while not cancelled():
            try:
                block = self._blocks.get(timeout=0.1)
            except queue.Empty:
                continue
            is_end = block is None
            audio = to_session.finish() if block is None else to_session.push(block)
            speech = heard.finish() if block is None else heard.push(block)
            utterance.add_audio(audio)
            made = stream.push(speech)
            utterance.add_expression(made.times_s, made.values)
            if is_end:
                rest = stream.finish()
                utterance.add_expression(rest.times_s, rest.values)
                return


def message_of(error: Exception) -> str:
    """What a user is told of an error."""
    return str(error) if isinstance(error, TalkingHeadError) else f"{type(error).__name__}: {error}"
