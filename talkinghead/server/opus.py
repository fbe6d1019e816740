"""Opus for live anchors: silence, which is most of what idle anchors send, is encoded once."""

from __future__ import annotations

import fractions
import functools
from typing import Any

import aiortc.codecs
import av
import numpy as np
from aiortc.codecs import opus

from talkinghead.live.ticks import AUDIO_RATE_HZ
from talkinghead.structures import FloatArray

BLOCK = AUDIO_RATE_HZ // 50
"""Samples of a packet."""
SETTLED_BLOCKS = 10
"""Silent blocks that are encoded after sound, before the packet of silence is sent again and again: encoder and decoder
have forgotten the sound by then, and are in one state whenever it begins again."""

_TIME_BASE = fractions.Fraction(1, AUDIO_RATE_HZ)


class SoundBlocks:
    """Cuts the audio of successive ticks into blocks of one packet each."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.int16)
        self._pts = 0
        self._silent_blocks = 0

    def add(self, start: int, samples: FloatArray) -> list[av.AudioFrame | av.Packet[Any]]:
        """Take audio; gives what it completes: frames to be encoded, and packets of silence.

        Args:
            start: time of the first sample, in samples; where it is not that of the next one, audio is missing.
            samples: (N,) in [-1, 1].
        """
        if start != self._pts + len(self._rest):
            self._rest, self._pts = self._rest[:0], start
        rest = np.concatenate([self._rest, (np.clip(samples, -1, 1) * 32767).astype(np.int16)])
        count = len(rest) // BLOCK
        self._rest = rest[count * BLOCK :]
        return [self._block(rest[place * BLOCK :][:BLOCK]) for place in range(count)]

    def _block(self, samples: np.ndarray[Any, np.dtype[np.int16]]) -> av.AudioFrame | av.Packet[Any]:
        made: av.AudioFrame | av.Packet[Any]
        if self._silent_blocks >= SETTLED_BLOCKS and not samples.any():
            made = av.Packet(silent_packet())
        else:
            self._silent_blocks = 0 if samples.any() else self._silent_blocks + 1
            made = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
            made.sample_rate = AUDIO_RATE_HZ
        made.pts, made.time_base = self._pts, _TIME_BASE
        self._pts += BLOCK
        return made


class BlockEncoder(opus.OpusEncoder):
    """aiortc's encoder for frames of `BLOCK` samples: their times are those of the frames, also where packets that it
    has not encoded were sent between them."""

    def encode(self, frame: Any, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        """Packets of a frame, see `opus.OpusEncoder`."""
        pts = frame.pts
        payloads, _ = super().encode(frame, force_keyframe)
        return payloads, pts


@functools.cache
def silent_packet() -> bytes:
    """What the encoder makes of silence."""
    encoder, payloads = opus.OpusEncoder(), [b""]
    for place in range(SETTLED_BLOCKS):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, BLOCK), np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = AUDIO_RATE_HZ, place * BLOCK, _TIME_BASE
        payloads = encoder.encode(frame)[0] or payloads
    return payloads[-1]


# aiortc makes its encoders by their names.
aiortc.codecs.OpusEncoder = BlockEncoder  # type: ignore[attr-defined]
