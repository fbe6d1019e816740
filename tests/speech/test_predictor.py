"""The expression predictor on disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from speech_models import babble, make_predictor

from talkinghead.errors import CheckpointError, MissingFileError
from talkinghead.files import load_arrays, save_arrays
from talkinghead.speech.encoder import SpeechEncoder
from talkinghead.speech.model import SpeechModel
from talkinghead.speech.predictor import ExpressionPredictor, PredictorConfig


def test_round_trip(encoder: SpeechEncoder, tmp_path: Path) -> None:
    predictor = make_predictor(encoder)
    predictor.save(tmp_path / "predictor.safetensors")
    again = ExpressionPredictor.load(tmp_path / "predictor.safetensors")
    assert again.config == predictor.config
    audio, times_s = babble(1), np.arange(25) / 25
    one, other = (SpeechModel(encoder, one).predict(audio, times_s) for one in (again, predictor))
    np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_array_equal(one.closure, other.closure)


def test_missing_and_damaged_files(encoder: SpeechEncoder, tmp_path: Path) -> None:
    with pytest.raises(MissingFileError):
        ExpressionPredictor.load(tmp_path / "none.safetensors")
    path = tmp_path / "predictor.safetensors"
    make_predictor(encoder).save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError):
        ExpressionPredictor.load(path)


@pytest.mark.parametrize(
    "claim",
    [{"width": 10**9}, {"networks": 10**6}, {"kernel": 4}, {"dilations": [0]}, {"dilations": [9000]}, {"layers": [-1]},
     {"dilations": [1] * 1000}, {"components": True}, {"expressions": "many"}, {"unknown": 1}],
    ids=str,
)  # fmt: skip
def test_configurations_that_no_predictor_has(encoder: SpeechEncoder, tmp_path: Path, claim: dict[str, object]) -> None:
    path = tmp_path / "predictor.safetensors"
    make_predictor(encoder).save(path)
    arrays, metadata = load_arrays(path)
    metadata["config"] = json.dumps(json.loads(metadata["config"]) | claim)
    save_arrays(path, arrays, metadata)
    with pytest.raises(CheckpointError, match="damaged"):
        ExpressionPredictor.load(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(encoder: SpeechEncoder, tmp_path: Path, value: float) -> None:
    path = tmp_path / "predictor.safetensors"
    make_predictor(encoder).save(path)
    arrays, metadata = load_arrays(path)
    arrays["projection"].flat[0] = value
    save_arrays(path, arrays, metadata)
    with pytest.raises(CheckpointError, match="damaged"):
        ExpressionPredictor.load(path)


def test_the_hash_is_of_the_weights() -> None:
    config = PredictorConfig("e", "e", "f", (1,), 8, 3, components=4, width=4)
    one, other = ExpressionPredictor(config), ExpressionPredictor(config)
    other.load_state_dict(one.state_dict())
    assert one.sha256() == other.sha256()
    with torch.no_grad():
        other.feature_mean += 1
    assert one.sha256() != other.sha256()
