"""Small speech encoders and predictors with random weights, and audio for them, for tests of several packages."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    HubertConfig,
    HubertModel,
    PreTrainedModel,
    Wav2Vec2BertConfig,
    Wav2Vec2BertModel,
    Wav2Vec2Config,
    Wav2Vec2ForCTC,
    Wav2Vec2ForPreTraining,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
    WhisperForConditionalGeneration,
)

from talkinghead.speech.encoder import SpeechEncoder
from talkinghead.speech.front_ends import RATE_HZ, LogMelFrontEnd
from talkinghead.speech.predictor import ExpressionPredictor, PredictorConfig
from talkinghead.structures import Audio
from talkinghead.weights.bundled import checkpoint_folder

K = 4
"""Expression coefficients of the predictors made here."""
WAVEFORM_SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}
"""Sizes of the small models that take a waveform."""
OTHERS = ("wav2vec2-base-960h", "xls-r", "hubert", "wavlm", "whisper")
"""Names of `other_encoders`."""

needs_default_weights = pytest.mark.skipif(
    not (checkpoint_folder() / "speech_encoder" / "model.safetensors").exists(),
    reason="the speech weights are not in this checkout",
)


def babble(seconds: float, seed: int = 0, rate_hz: int = RATE_HZ) -> Audio:
    """Noise that swells and fades some four times a second, as syllables do."""
    draw = np.random.default_rng(seed)
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    knots_s = np.arange(0, seconds + 0.25, 0.125)
    swell = np.interp(time_s, knots_s, draw.random(len(knots_s)))
    return Audio((0.1 * swell * draw.standard_normal(len(time_s))).astype(np.float32), rate_hz)


def tiny_bert() -> Wav2Vec2BertModel:
    """An encoder of the default one's architecture: two layers, each attending to 16 frames on either side."""
    torch.manual_seed(0)
    config = Wav2Vec2BertConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        feature_projection_input_dim=LogMelFrontEnd.width,
        position_embeddings_type=None,
        conv_depthwise_kernel_size=9,
        mask_time_prob=0.0,
        apply_spec_augment=False,
    )
    config.attention_reach_frames = 16
    return Wav2Vec2BertModel(config)


def whisper_config() -> WhisperConfig:
    """Sizes of a small Whisper model."""
    return WhisperConfig(
        vocab_size=50,
        num_mel_bins=80,
        d_model=32,
        encoder_layers=2,
        encoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=32,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )


def other_encoders() -> dict[str, tuple[PreTrainedModel, str]]:
    """The large encoders' architectures as their makers publish them, small, random, with their front ends' names."""
    torch.manual_seed(0)
    large = WAVEFORM_SHAPE | {"do_stable_layer_norm": True, "feat_extract_norm": "layer"}
    waveform = "Wav2Vec2FeatureExtractor"
    return {
        "wav2vec2-base-960h": (Wav2Vec2ForCTC(Wav2Vec2Config(**WAVEFORM_SHAPE, vocab_size=32)), waveform),
        "xls-r": (Wav2Vec2ForPreTraining(Wav2Vec2Config(**large)), waveform),
        "hubert": (HubertModel(HubertConfig(**WAVEFORM_SHAPE)), waveform),
        "wavlm": (WavLMModel(WavLMConfig(**WAVEFORM_SHAPE)), waveform),
        "whisper": (WhisperForConditionalGeneration(whisper_config()), "WhisperFeatureExtractor"),
    }


def write_encoder(folder: Path, model: PreTrainedModel, front_end: str) -> Path:
    """Write a model folder as `save_pretrained` lays it out."""
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"feature_extractor_type": front_end}))
    return folder


def make_predictor(encoder: SpeechEncoder) -> ExpressionPredictor:
    """A predictor with random weights for an encoder of two layers."""
    torch.manual_seed(1)
    config = PredictorConfig(encoder.name, encoder.sha256, "face", (1, 2), encoder.width, K, components=8, width=16)
    predictor = ExpressionPredictor(config)
    predictor.projection.normal_(std=0.2)
    return predictor.eval()
