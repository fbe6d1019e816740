"""Silence is encoded once, and what is heard stays in time."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from aiortc.codecs import get_encoder, opus
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from talkinghead.live.ticks import AUDIO_RATE_HZ
from talkinghead.server.opus import BLOCK, SETTLED_BLOCKS, SoundBlocks
from talkinghead.structures import FloatArray

DELAY = 312
"""Samples by which libopus's output is later than its input."""


def encoded_whole(audio: FloatArray) -> list[tuple[int, bytes]]:
    """Packets of audio all of which aiortc's own encoder has encoded."""
    encoder, packets = opus.OpusEncoder(), []
    for start in range(0, len(audio) // BLOCK * BLOCK, BLOCK):
        samples = (audio[None, start : start + BLOCK] * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = AUDIO_RATE_HZ, start, Fraction(1, AUDIO_RATE_HZ)
        packets += [(start, payload) for payload in encoder.encode(frame)[0]]
    return packets


def sent(audio: FloatArray, tick: int) -> tuple[list[tuple[int, bytes]], int]:
    """Packets of audio that comes in ticks of so many samples, by their times; and how many blocks were encoded."""
    encoder = get_encoder(RTCRtpCodecParameters(mimeType="audio/opus", clockRate=AUDIO_RATE_HZ, channels=2))
    blocks, packets, encoded = SoundBlocks(), [], 0
    for start in range(0, len(audio), tick):
        for block in blocks.add(start, audio[start : start + tick]):
            is_frame = isinstance(block, av.AudioFrame)
            payloads, pts = encoder.encode(block) if is_frame else encoder.pack(block)
            encoded += is_frame
            packets += [(pts, payload) for payload in payloads]
    return packets, encoded


def heard(packets: list[tuple[int, bytes]]) -> FloatArray:
    decoder = av.CodecContext.create("libopus", "r")
    decoder.layout, decoder.sample_rate = "stereo", AUDIO_RATE_HZ
    frames = [frame for _, data in packets for frame in decoder.decode(av.Packet(data))]
    left = [frame.to_ndarray().reshape(-1, 2)[:, 0] for frame in frames]
    return np.concatenate(left).astype(np.float32) / 32768


@pytest.mark.parametrize("tick", [AUDIO_RATE_HZ // 25, AUDIO_RATE_HZ // 24, AUDIO_RATE_HZ // 30])
def test_silence_is_encoded_once_and_tones_come_when_they_are_due(tick: int) -> None:
    time_s = np.arange(3 * AUDIO_RATE_HZ) / AUDIO_RATE_HZ
    tone = (0.5 * np.sin(2 * np.pi * 440 * time_s)).astype(np.float32)
    audio = np.where((time_s % 1.4 > 0.6) & (time_s % 1.4 < 0.8), tone, 0).astype(np.float32)
    packets, encoded = sent(audio, tick)
    # One packet for each block, none at another time than its own.
    assert [pts for pts, _ in packets] == [BLOCK * place for place in range(len(packets))]
    assert len(packets) == len(audio) // tick * tick // BLOCK
    tones = 2 * (0.2 * AUDIO_RATE_HZ // BLOCK + 1)
    assert encoded <= 3 * SETTLED_BLOCKS + tones
    got, expected = heard(packets), heard(encoded_whole(audio))
    for begins_s in (0.6, 2.0):
        loud = np.flatnonzero(np.abs(got[DELAY:][round((begins_s - 0.3) * AUDIO_RATE_HZ) :]) > 0.1)[0]
        assert loud / AUDIO_RATE_HZ - 0.3 == pytest.approx(0, abs=0.002)
    # It is what would be heard if the silence had been encoded, too.
    count = min(len(got), len(expected))
    np.testing.assert_allclose(got[:count], expected[:count], atol=1e-3)


def test_audio_after_a_gap_keeps_its_time() -> None:
    blocks = SoundBlocks()
    ones = np.full(BLOCK + 100, 0.5, np.float32)
    times = [block.pts for start in (0, 5000, 5000 + BLOCK + 100) for block in blocks.add(start, ones)]
    assert times == [0, 5000, 5000 + BLOCK]
