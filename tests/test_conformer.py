"""The conformer against transformers' own `Wav2Vec2BertModel` of the same weights."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2BertConfig, Wav2Vec2BertModel

from talkinghead.conformer import Conformer
from talkinghead.resources import checkpoint_folder
from talkinghead.speech import LogMelFrontEnd, SpeechEncoder, hidden_states

ENCODER = checkpoint_folder() / "speech_encoder"
needs_default_weights = pytest.mark.skipif(
    not (ENCODER / "model.safetensors").exists(), reason="the speech weights are not in this checkout"
)


def made_by_transformers(**changes: object) -> Wav2Vec2BertModel:
    torch.manual_seed(0)
    config = Wav2Vec2BertConfig(
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=48,
        feature_projection_input_dim=LogMelFrontEnd.width,
        position_embeddings_type=None,
        hidden_act="gelu",
        conv_depthwise_kernel_size=9,
        apply_spec_augment=False,
    )
    config.attention_reach_frames = [3, 7, 40]
    for name, value in changes.items():
        setattr(config, name, value)
    return Wav2Vec2BertModel(config).eval()


def test_states_are_those_of_transformers() -> None:
    theirs = made_by_transformers()
    config = json.loads(theirs.config.to_json_string(use_diff=False))
    assert Conformer.runs(config)
    ours = Conformer(config).eval()
    lacking = ours.load_state_dict(theirs.state_dict(), strict=False)
    assert not lacking.missing_keys and set(lacking.unexpected_keys) <= {"masked_spec_embed"}
    inputs = torch.randn(2, 60, LogMelFrontEnd.width)
    with torch.inference_mode():
        for found, wanted in zip(hidden_states(ours, inputs), hidden_states(theirs, inputs), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [{"position_embeddings_type": "relative_key"}, {"add_adapter": True}, {"hidden_act": "swish"}],
    ids=lambda changes: next(iter(changes)),
)
def test_other_models_are_left_to_transformers(changes: dict[str, object], tmp_path: Path) -> None:
    theirs = made_by_transformers(**changes)
    assert not Conformer.runs(json.loads(theirs.config.to_json_string(use_diff=False)))
    theirs.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"feature_extractor_type": "LogMelFrontEnd"}))
    assert isinstance(SpeechEncoder.load(tmp_path).model, Wav2Vec2BertModel)


@needs_default_weights
def test_the_default_encoder_runs_without_transformers() -> None:
    code = (
        "import sys; from pathlib import Path; from talkinghead.speech import SpeechEncoder;"
        f"SpeechEncoder.load(Path({str(ENCODER)!r})); print('transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@needs_default_weights
def test_the_default_encoder_hears_what_it_heard_in_transformers() -> None:
    encoder = SpeechEncoder.load(ENCODER)
    theirs = Wav2Vec2BertModel.from_pretrained(ENCODER, dtype=torch.float32).eval()
    frames = encoder.front_end(torch.from_numpy(np.random.default_rng(0).normal(0, 0.1, (1, 32000))).float())
    with torch.inference_mode():
        for found, wanted in zip(hidden_states(encoder.model, frames), hidden_states(theirs, frames), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
