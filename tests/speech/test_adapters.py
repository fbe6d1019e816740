"""Encoders of other model types, against transformers and against the table of adapters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from speech_models import OTHERS, babble
from transformers import AutoModel, WhisperModel

from talkinghead.speech.audio_window import normalize_loudness
from talkinghead.speech.encoder import SpeechEncoder
from talkinghead.speech.front_ends import RATE_HZ, WhisperFrontEnd
from talkinghead.structures import Audio


@pytest.mark.parametrize("name", OTHERS)
def test_other_encoders_take_its_place(other_folders: Path, name: str) -> None:
    encoder = SpeechEncoder.load(other_folders / name)
    audio = babble(2)
    features = encoder.encode(audio, (1, 2))
    assert features.values.shape == (100, 2, 32) and np.isfinite(features.values).all()
    assert features.first_s == pytest.approx(0.0 if name == "whisper" else 0.0125)
    assert encoder.encode(babble(2, seed=5), (1, 2)).values.std() > 0.01
    later = Audio(np.concatenate([np.zeros(RATE_HZ, np.float32), audio.samples]), RATE_HZ)
    assert encoder.encode(later, (1,)).values.shape == (150, 1, 32)


@pytest.mark.parametrize("name", [name for name in OTHERS if name != "whisper"])
def test_features_are_those_of_transformers(other_folders: Path, name: str) -> None:
    encoder, audio = SpeechEncoder.load(other_folders / name), babble(2)
    model = AutoModel.from_pretrained(other_folders / name).eval()
    even = normalize_loudness(torch.from_numpy(audio.samples)) * 10 ** (23 / 20)
    padded = torch.nn.functional.pad(even, (0, 80))
    with torch.no_grad():
        expected = model(padded[None]).last_hidden_state[0].numpy()
    np.testing.assert_allclose(encoder.encode(audio).values[:, 0], expected, atol=1e-4)


def test_whisper_has_no_positions_and_shows_no_seam(other_folders: Path) -> None:
    encoder, audio = SpeechEncoder.load(other_folders / "whisper"), babble(31)
    whole = np.concatenate([p.values[p.kept] for p in encoder.pieces(audio, (1, 2), chunk_s=1000)])
    chunks = np.concatenate([p.values[p.kept] for p in encoder.pieces(audio, (1, 2), chunk_s=5)])
    np.testing.assert_allclose(chunks, whole, atol=1e-3)
    # With that row of the table at every place, and an unlimited reach, it is what transformers computes.
    model = WhisperModel.from_pretrained(other_folders / "whisper").eval().get_encoder()
    with torch.no_grad():
        model.embed_positions.weight.copy_(model.embed_positions.weight[250].expand(1500, -1).clone())
        spectra = WhisperFrontEnd(80)(normalize_loudness(torch.from_numpy(babble(30).samples))[None])
        expected = model(spectra).last_hidden_state[0].numpy()
    encoder.model.config.attention_reach_frames = 1500
    found = np.concatenate([p.values[p.kept] for p in encoder.pieces(babble(30), (2,), chunk_s=1000)])
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-4)
