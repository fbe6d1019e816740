"""The default encoder's plain modules, against Wav2Vec2BertModel of transformers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from speech_models import babble, needs_default_weights, write_encoder
from transformers import Wav2Vec2BertConfig, Wav2Vec2BertForCTC, Wav2Vec2BertModel

from talkinghead.errors import ModelUnavailableError
from talkinghead.files import load_arrays, save_arrays
from talkinghead.speech.adapters import attention_reach, hidden_states
from talkinghead.speech.conformer import Conformer, ConformerConfig
from talkinghead.speech.encoder import SpeechEncoder
from talkinghead.speech.encoder_files import WEIGHT_FILE
from talkinghead.weights.bundled import checkpoint_path


def check_parity(folder: Path) -> None:
    """Every layer's output is that of transformers on the same input, to 1e-5."""
    encoder = SpeechEncoder.load(folder)
    assert isinstance(encoder.model, Conformer)
    theirs, report = Wav2Vec2BertModel.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not report["unexpected_keys"]
    assert set(encoder.model.state_dict()) == set(theirs.state_dict()) - {"masked_spec_embed"}
    inputs = encoder.front_end(torch.from_numpy(babble(3).samples)[None])
    with torch.no_grad():
        own, expected = hidden_states(encoder.model, inputs), hidden_states(theirs.eval(), inputs)
        # Within its reach of all frames, a model is what transformers itself runs.
        encoder.model.config.attention_reach_frames = len(inputs[0])
        unlimited = hidden_states(encoder.model, inputs)[-1]
        whole = theirs(inputs).last_hidden_state
    assert attention_reach(theirs) is not None and len(own) == encoder.layer_count + 1
    for one, other in zip(own, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
    torch.testing.assert_close(unlimited, whole, atol=1e-5, rtol=0)
    assert (own[-1] - unlimited).abs().max() > 1e-3  # or the reach would do nothing


@needs_default_weights
def test_the_default_encoder_is_that_of_transformers() -> None:
    check_parity(checkpoint_path("speech_encoder"))


@pytest.mark.parametrize("activation", ["gelu", "swish"])
def test_random_encoders_are_those_of_transformers(encoder_folder: Path, tmp_path: Path, activation: str) -> None:
    described = json.loads((encoder_folder / "config.json").read_text())
    torch.manual_seed(3)
    model = Wav2Vec2BertModel(Wav2Vec2BertConfig(**described | {"hidden_act": activation, "num_hidden_layers": 3}))
    for name, parameter in model.named_parameters():
        if "layer_norm" in name:  # norms begin as 1 and 0, where one that is left out would not show
            torch.nn.init.normal_(parameter, mean=float(name.endswith("weight")), std=0.2)
    check_parity(write_encoder(tmp_path / "encoder", model, "LogMelFrontEnd"))


@pytest.mark.parametrize(
    "claim",
    [
        {"position_embeddings_type": "relative_key"},
        {"add_adapter": True},
        {"attention_reach_frames": None},
        {"hidden_act": "relu"},
        {"conv_depthwise_kernel_size": 8},
        {"hidden_size": "32"},
        {"num_hidden_layers": True},
        {"model_type": "wav2vec2"},
        {"architectures": ["Wav2Vec2BertForCTC"]},
        {"feat_proj_dropout": None},
    ],
)
def test_other_configurations_are_left_to_transformers(encoder_folder: Path, claim: dict[str, Any]) -> None:
    described = json.loads((encoder_folder / "config.json").read_text())
    assert ConformerConfig.of(described) is not None
    assert ConformerConfig.of(described | claim) is None
    assert ConformerConfig.of([described]) is None


def test_a_model_with_a_head_is_run_by_transformers(encoder_folder: Path, tmp_path: Path) -> None:
    described = json.loads((encoder_folder / "config.json").read_text())
    model = Wav2Vec2BertForCTC(Wav2Vec2BertConfig(**described | {"vocab_size": 8}))
    encoder = SpeechEncoder.load(write_encoder(tmp_path / "encoder", model, "LogMelFrontEnd"))
    assert isinstance(encoder.model, Wav2Vec2BertModel)


def test_weights_of_another_shape_are_refused(encoder_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(encoder_folder, tmp_path / "encoder"))
    arrays, _ = load_arrays(folder / WEIGHT_FILE)
    name = "encoder.layers.1.ffn1.output_dense.weight"
    save_arrays(folder / WEIGHT_FILE, arrays | {name: arrays[name][:, :-1]}, {"format": "pt"})
    with pytest.raises(ModelUnavailableError, match="no usable speech encoder"):
        SpeechEncoder.load(folder)
