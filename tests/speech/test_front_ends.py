"""Front ends: where their frames lie in time, and what they make of a level."""

from __future__ import annotations

import json
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from speech_models import WAVEFORM_SHAPE, babble, write_encoder
from transformers import Wav2Vec2Config, Wav2Vec2Model, WhisperFeatureExtractor

from talkinghead.speech.encoder import SpeechEncoder
from talkinghead.speech.front_ends import RATE_HZ, LogMelFrontEnd, WaveformFrontEnd, mel_filters


def test_log_mel_frames_are_centered_on_multiples_of_20_ms() -> None:
    front_end = LogMelFrontEnd()
    for frame in (3, 20, 41):
        click = torch.zeros(1, RATE_HZ)
        click[0, frame * 320] = 1.0
        loudness = front_end.spectra_of(click)[0].mean(0)
        assert int(loudness.argmax()) == 2 * frame
        assert loudness[2 * frame - 1] == pytest.approx(float(loudness[2 * frame + 1]), abs=1e-4)
        stacked = front_end(click)[0, frame, : 5 * 80].view(5, 80).mean(1)
        assert int(stacked.argmax()) == 2


def test_log_mel_is_whispers_except_for_the_floor() -> None:
    audio = babble(3).samples
    extractor = WhisperFeatureExtractor()
    theirs = extractor(audio, sampling_rate=RATE_HZ, return_tensors="np", padding="do_not_pad")["input_features"][0]
    ours = LogMelFrontEnd().spectra_of(torch.from_numpy(audio)[None])[0].numpy()
    above = theirs > theirs.max() - 1.9  # theirs ends 2 below the loudest
    above[:, :2] = above[:, -2:] = False  # and mirrors the audio at its ends
    assert above.mean() > 0.5
    np.testing.assert_allclose(ours[above], np.maximum(theirs[above], (LogMelFrontEnd.floor + 4) / 4), atol=1e-4)


@pytest.mark.parametrize(("bands", "window"), [(80, 400), (128, 400), (40, 512)])
def test_the_mel_filters_are_librosas(bands: int, window: int) -> None:
    theirs = librosa.filters.mel(sr=RATE_HZ, n_fft=window, n_mels=bands)
    np.testing.assert_allclose(mel_filters(bands, window), theirs, rtol=1e-6, atol=1e-9)


def test_waveform_frames_lie_at_the_centers_of_the_convolutions() -> None:
    front_end = WaveformFrontEnd([10, 3, 3, 3, 3, 2, 2], [5, 2, 2, 2, 2, 2, 2], unit_variance=False)
    assert (front_end.hop, front_end.reach, front_end.center) == (320, 400, 200)


def test_the_gain_of_a_waveform_front_end_is_a_constant(tmp_path: Path) -> None:
    config = Wav2Vec2Config(**WAVEFORM_SHAPE, feat_extract_norm="layer")
    folder = write_encoder(tmp_path / "model", Wav2Vec2Model(config), "Wav2Vec2FeatureExtractor")
    assert SpeechEncoder.load(folder).front_end.gain == pytest.approx(14.1, abs=0.1)  # type: ignore[attr-defined]
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": False}))
    assert SpeechEncoder.load(folder).front_end.gain == 1.0  # type: ignore[attr-defined]
