"""Model folders that cannot be used are refused with one clear line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from talkinghead.errors import ModelUnavailableError
from talkinghead.files import load_arrays, save_arrays
from talkinghead.speech.encoder import SpeechEncoder


def test_folders_that_hold_no_encoder(encoder_folder: Path, tmp_path: Path) -> None:
    for name in ("nowhere/to-be-found", str(tmp_path / "missing")):
        with pytest.raises(ModelUnavailableError, match=r"config\.json"):
            SpeechEncoder.load(name)
    with pytest.raises(ModelUnavailableError, match="lacks"):
        SpeechEncoder.load(tmp_path)
    for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((encoder_folder / name).read_bytes())
    weights = (encoder_folder / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ModelUnavailableError, match="no usable"):
        SpeechEncoder.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelUnavailableError, match="bert"):
        SpeechEncoder.load(tmp_path)


def test_missing_weights_are_not_initialized_at_random(encoder_folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((encoder_folder / name).read_bytes())
    arrays, _ = load_arrays(encoder_folder / "model.safetensors")
    del arrays[sorted(arrays)[0]]
    save_arrays(tmp_path / "model.safetensors", arrays, {"format": "pt"})
    with pytest.raises(ModelUnavailableError, match="lacks 1 weights"):
        SpeechEncoder.load(tmp_path)


def test_errors_name_the_layout_and_how_to_get_it(encoder_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError) as raised:
        SpeechEncoder.load("facebook/wav2vec2-base-960h")
    message = str(raised.value)
    for name in ("config.json", "preprocessor_config.json", "model.safetensors", "hf download facebook/wav2vec2-base"):
        assert name in message
    assert "\n" not in message
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((encoder_folder / name).read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"never opened")
    with pytest.raises(ModelUnavailableError, match=r"lacks model\.safetensors.*may run code.*save_pretrained"):
        SpeechEncoder.load(tmp_path)


@pytest.mark.parametrize(
    "claim",
    [{"num_hidden_layers": 10**6}, {"intermediate_size": 2**40}, {"hidden_dropout": [[]]}, {"hidden_act": "none"},
     {"num_attention_heads": 0}, {"attention_reach_frames": {}}, {"layer_norm_eps": float("nan")}],
    ids=str,
)  # fmt: skip
def test_configurations_that_no_encoder_has(encoder_folder: Path, tmp_path: Path, claim: dict[str, object]) -> None:
    for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((encoder_folder / name).read_bytes())
    described = json.loads((encoder_folder / "config.json").read_text("utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(described | claim))
    with pytest.raises(ModelUnavailableError) as raised:
        SpeechEncoder.load(tmp_path)
    assert "\n" not in str(raised.value)


def test_an_encoder_whose_output_is_not_finite(encoder_folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((encoder_folder / name).read_bytes())
    arrays, _ = load_arrays(encoder_folder / "model.safetensors")
    for array in arrays.values():
        array.flat[0] = np.nan
    save_arrays(tmp_path / "model.safetensors", arrays, {"format": "pt"})
    with pytest.raises(ModelUnavailableError, match="not finite"):
        SpeechEncoder.load(tmp_path)
