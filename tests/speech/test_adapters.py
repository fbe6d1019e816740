"""Encoders of other model types, against transformers and against the table of adapters."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from speech_models import OTHERS, WAVEFORM_SHAPE, babble, tiny_bert, whisper_config, write_encoder
from transformers import (
    AutoModel,
    HubertConfig,
    PretrainedConfig,
    PreTrainedModel,
    UniSpeechConfig,
    UniSpeechSatConfig,
    Wav2Vec2Config,
    Wav2Vec2ConformerConfig,
    WavLMConfig,
    WhisperModel,
)

from talkinghead.errors import ModelUnavailableError
from talkinghead.speech.adapters import ADAPTERS, attention_reach, hidden_states
from talkinghead.speech.audio_window import normalize_loudness
from talkinghead.speech.encoder import SpeechEncoder
from talkinghead.speech.front_ends import RATE_HZ, FilterBankFrontEnd, WaveformFrontEnd, WhisperFrontEnd
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


class Row(NamedTuple):
    """What a row of `ADAPTERS` has to say of a model type."""

    model: Callable[[], PreTrainedModel]
    """A small model of the type, with random weights."""
    front_end: type[object]
    described: dict[str, Any]
    """preprocessor_config.json."""
    default_reach: int | None
    """Reach where config.json names none."""
    takes_reach: bool
    """Whether config.json may name a reach."""


def waveform_row(config: type[PretrainedConfig]) -> Row:
    return Row(lambda: AutoModel.from_config(config(**WAVEFORM_SHAPE)), WaveformFrontEnd, {}, None, False)


def published_bert() -> PreTrainedModel:
    """Of the default encoder's model type, but as others publish it: a filter bank, and no reach."""
    config = tiny_bert().config
    del config.attention_reach_frames
    config.feature_projection_input_dim = 160
    return AutoModel.from_config(config)


MELS = {"feature_extractor_type": "SeamlessM4TFeatureExtractor", "feature_size": 80, "num_mel_bins": 80, "stride": 2}
TABLE = {
    "wav2vec2": waveform_row(Wav2Vec2Config),
    "hubert": waveform_row(HubertConfig),
    "wavlm": waveform_row(WavLMConfig),
    "wav2vec2-conformer": waveform_row(Wav2Vec2ConformerConfig),
    "unispeech": waveform_row(UniSpeechConfig),
    "unispeech-sat": waveform_row(UniSpeechSatConfig),
    "wav2vec2-bert": Row(published_bert, FilterBankFrontEnd, MELS, None, True),
    "whisper": Row(lambda: AutoModel.from_config(whisper_config()), WhisperFrontEnd, {}, 32, True),
}


@pytest.fixture(scope="module")
def typed_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model folder for each row of `TABLE`."""
    root = tmp_path_factory.mktemp("types")
    for model_type, row in TABLE.items():
        torch.manual_seed(0)
        write_encoder(root / model_type, row.model(), "")
        (root / model_type / "preprocessor_config.json").write_text(json.dumps(row.described))
    return root


def name_reach(source: Path, folder: Path, reach: int | list[int]) -> Path:
    """A copy of a model folder whose config.json names a reach."""
    shutil.copytree(source, folder)
    described = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(described | {"attention_reach_frames": reach}))
    return folder


def test_the_table_has_a_row_for_each_adapter() -> None:
    assert ADAPTERS.keys() == TABLE.keys()


@pytest.mark.parametrize("model_type", TABLE)
def test_every_model_type_is_loaded_with_its_front_end(typed_folders: Path, model_type: str) -> None:
    encoder, row = SpeechEncoder.load(typed_folders / model_type), TABLE[model_type]
    assert encoder.model.config.model_type == model_type
    assert type(encoder.front_end) is row.front_end
    assert encoder.rate_hz == 50 and (encoder.layer_count, encoder.width) == (2, 32)
    values = encoder.encode(babble(2), (1, 2)).values
    assert values.shape == (100, 2, 32) and np.isfinite(values).all() and values.std() > 0.01
    assert np.abs(encoder.encode(babble(2, seed=5), (1, 2)).values - values).max() > 1e-3


@pytest.mark.parametrize("model_type", TABLE)
def test_a_reach_is_the_default_or_the_named_one_where_the_type_takes_one(
    typed_folders: Path, tmp_path: Path, model_type: str
) -> None:
    row = TABLE[model_type]
    default = attention_reach(SpeechEncoder.load(typed_folders / model_type).model)
    assert default == (None if row.default_reach is None else (row.default_reach,) * 2)
    for number, (named, reach) in enumerate([(7, (7, 7)), ([3, 9], (3, 9))]):
        folder = name_reach(typed_folders / model_type, tmp_path / str(number), named)
        if row.takes_reach:
            assert attention_reach(SpeechEncoder.load(folder).model) == reach
        else:
            with pytest.raises(ModelUnavailableError, match="attention_reach_frames"):
                SpeechEncoder.load(folder)
    if row.takes_reach:
        with pytest.raises(ModelUnavailableError, match="3 numbers, but the model has 2 layers"):
            SpeechEncoder.load(name_reach(typed_folders / model_type, tmp_path / "three", [1, 2, 3]))


@pytest.mark.parametrize("model_type", [name for name, row in TABLE.items() if row.takes_reach])
def test_no_layer_attends_beyond_its_reach(typed_folders: Path, tmp_path: Path, model_type: str) -> None:
    """A change of what enters the first layer at one frame reaches as many frames as the layers' reaches allow."""
    encoder = SpeechEncoder.load(name_reach(typed_folders / model_type, tmp_path / "named", [3, 9]))
    audio = torch.from_numpy(babble(2).samples)[None]
    inputs = encoder.front_end(audio)
    frames_axis, per_frame = (2, 2) if model_type == "whisper" else (1, 1)
    changed = inputs.clone()
    changed.narrow(frames_axis, 50 * per_frame, per_frame).neg_()
    with torch.inference_mode():
        before, after = (hidden_states(encoder.model, given) for given in (inputs, changed))
    differs = [np.flatnonzero((a - b).abs().amax(-1)[0] > 1e-6) for a, b in zip(before, after, strict=True)]
    # What the convolutions add: before the layers in Whisper's stem, inside each layer in Wav2Vec2Bert's.
    stem, layer = (1, 0) if model_type == "whisper" else (0, 8)
    for places, reach in zip(differs, (stem, stem + 3 + layer, stem + 12 + 2 * layer), strict=True):
        assert places.min() >= 50 - reach and places.max() <= 50 + reach
    assert differs[2].max() > 50 + 3 + stem
