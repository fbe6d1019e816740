"""Features of audio that is still arriving, against those of the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from speech_models import babble
from torch import Tensor

from talkinghead.speech import encoder_stream as module
from talkinghead.speech.adapters import hidden_states
from talkinghead.speech.encoder import SpeechEncoder
from talkinghead.speech.encoder_stream import open_encoder_stream
from talkinghead.structures import FloatArray

LAYERS = (1, 2)
SAMPLES = babble(8).samples[: 8 * 16000 - 100]
"""The last feature frame is incomplete, and not encoded."""


def whole(encoder: SpeechEncoder, samples: FloatArray, gain: float) -> Tensor:
    """(S, layers, D) features of a recording that is encoded at once."""
    front_end = encoder.front_end
    count = len(samples) // front_end.hop
    length = (count - 1) * front_end.hop + front_end.reach
    audio = np.append(samples, np.zeros(front_end.reach, np.float32))[:length]
    audio[count * front_end.hop :] = 0
    with torch.inference_mode():
        states = hidden_states(encoder.model, front_end(torch.from_numpy(audio * np.float32(gain))[None]))
    return torch.stack([states[layer][0] for layer in LAYERS], 1)


def streamed(
    encoder: SpeechEncoder, samples: FloatArray, look_ahead_s: float, block: int, *, quantized: bool = False
) -> Tensor:
    """(S, layers, D) features as they were when they became final."""
    stream = open_encoder_stream(encoder, LAYERS, look_ahead_s, quantized=quantized)
    parts, final = [], 0
    for start in range(0, len(samples), block):
        end = start + block
        features = stream.push(samples[start:end], 2.0, is_end=end >= len(samples))
        assert features.first == final <= features.final <= features.first + len(features.values)
        final = features.final
        parts.append(features.values[: final - features.first])
    return torch.cat(parts)


@pytest.mark.parametrize("block", [320, 777, 16000])
def test_with_everything_awaited_the_features_are_those_of_the_whole(encoder: SpeechEncoder, block: int) -> None:
    samples = SAMPLES[: 2 * 16000]
    expected = whole(encoder, samples, 2.0)
    torch.testing.assert_close(streamed(encoder, samples, 100.0, block), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("block", [640, 1600, 40000])
def test_a_look_ahead_beyond_the_layers_reach_is_enough(encoder: SpeechEncoder, block: int) -> None:
    """Two layers reach 16 frames each. States of older frames are kept meanwhile, those of the oldest dropped."""
    expected = whole(encoder, SAMPLES, 2.0)
    torch.testing.assert_close(streamed(encoder, SAMPLES, 1.0, block), expected, atol=1e-4, rtol=0)


def test_features_depend_on_the_look_ahead_and_not_on_what_follows_it(encoder: SpeechEncoder) -> None:
    other = SAMPLES.copy()
    other[4 * 16000 :] = babble(4, seed=9).samples[: len(other) - 4 * 16000]
    ours, theirs = (streamed(encoder, samples, 0.26, 640) for samples in (SAMPLES, other))
    same = (ours == theirs).flatten(1).all(1)
    # Frame i is at 320 i, and is final when the audio up to 320 i + 0.26 s is there: the last of these is number 187.
    assert same[:188].all() and not same[188:].any()


def test_a_short_look_ahead_is_a_short_recording(encoder: SpeechEncoder) -> None:
    """The first frames that become final are those of a recording that ends where their look-ahead ends."""
    stream = open_encoder_stream(encoder, LAYERS, 0.26)
    features = stream.push(SAMPLES[:6400], 2.0)
    assert features.final == (6400 - 4160) // 320 + 1
    torch.testing.assert_close(features.values, whole(encoder, SAMPLES[:6400], 2.0), atol=1e-4, rtol=0)


def test_weights_of_8_bits_change_little(encoder: SpeechEncoder) -> None:
    exact, rounded = (streamed(encoder, SAMPLES, 0.26, 640, quantized=quantized) for quantized in (False, True))
    assert np.corrcoef(exact.flatten(), rounded.flatten())[0, 1] > 0.99


@pytest.mark.parametrize("name", ["hubert", "whisper"])
def test_other_encoders_encode_their_last_seconds(other_folders: Path, name: str) -> None:
    encoder = SpeechEncoder.load(other_folders / name)
    samples = SAMPLES[: 2 * 16000]
    expected = whole(encoder, samples, 2.0)
    torch.testing.assert_close(streamed(encoder, samples, 100.0, 3000), expected, atol=1e-3, rtol=0)


def test_memory_does_not_grow_with_the_stream(encoder: SpeechEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = []
    begin = module._KeptStates.begin

    def measured(self: module._KeptStates, first: int, count: int) -> None:
        begin(self, first, count)
        lengths.append(self.gated.shape[1])

    monkeypatch.setattr(module._KeptStates, "begin", measured)
    streamed(encoder, np.tile(SAMPLES, 2), 0.26, 640)
    assert max(lengths) <= 16 + 13 + 2 + module.SPARE_FRAMES + 2
