"""What differs between the model types of the wav2vec2 family: one row a `model_type` of config.json.

An adapter says which front end a model takes, and how its layers are run where each frame attends to near frames only.
Models without a reach attend to everything they are given and are run by transformers as they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from talkinghead.errors import ModelUnavailableError
from talkinghead.speech.front_ends import (
    LOG_MEL,
    FilterBankFrontEnd,
    FrontEnd,
    LogMelFrontEnd,
    WaveformFrontEnd,
    WhisperFrontEnd,
)

# transformers takes seconds to import, and is loaded with the model.
if TYPE_CHECKING:
    from transformers import PreTrainedModel, Wav2Vec2BertModel
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

FRONT_END_FILE = "preprocessor_config.json"
REACH_KEY = "attention_reach_frames"
"""This project's own key in config.json: feature frames on either side that a layer attends to, one number or one for
each layer."""
WHISPER_REACH_FRAMES = 32
"""Reach of a Whisper encoder whose configuration names none."""
WHISPER_POSITION = 250
"""Row of Whisper's table of positions that stands for all of them."""


@dataclass(frozen=True)
class EncoderAdapter:
    """How one model type is used."""

    front_end: Callable[[Path, Any], FrontEnd]
    """Model folder and configuration -> front end."""
    stem: Callable[[Any, Tensor], Tensor] | None = None
    """Model and its input -> what enters the first layer, (B, S, D); None where a reach is not supported."""
    layers: Callable[[Any], Iterable[nn.Module]] | None = None
    """Model -> its layers, in order."""
    final_norm: Callable[[Any], nn.Module] | None = None
    """Model -> the norm behind its last layer; None where there is none."""
    default_reach: int | None = None
    """Reach where the configuration names none; None attends to everything."""


def _waveform_front_end(folder: Path, config: Any) -> FrontEnd:
    described = _described(folder)
    unit_variance = bool(described.get("do_normalize", True))
    return WaveformFrontEnd(list(config.conv_kernel), list(config.conv_stride), unit_variance=unit_variance)


def _bert_front_end(folder: Path, config: Any) -> FrontEnd:
    if _described(folder).get("feature_extractor_type") == LOG_MEL:
        return LogMelFrontEnd()
    return FilterBankFrontEnd(folder)


def _whisper_front_end(folder: Path, config: Any) -> FrontEnd:
    return WhisperFrontEnd(config.num_mel_bins)


def _described(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / FRONT_END_FILE).read_text("utf-8")))


def _bert_stem(model: Wav2Vec2BertModel, inputs: Tensor) -> Tensor:
    hidden: Tensor = model.feature_projection(inputs)[0]
    return hidden


def _whisper_stem(model: WhisperEncoder, spectra: Tensor) -> Tensor:
    """Spectra (B, mels, 2 S) -> (B, S, D), with the same position everywhere."""
    hidden = functional.gelu(model.conv2(functional.gelu(model.conv1(spectra))))
    positions = model.embed_positions.weight
    return hidden.transpose(1, 2) + positions[min(WHISPER_POSITION, len(positions) - 1)]


_WAVEFORM = EncoderAdapter(_waveform_front_end)
ADAPTERS: Mapping[str, EncoderAdapter] = MappingProxyType(
    {
        "wav2vec2": _WAVEFORM,  # XLS-R is one too
        "hubert": _WAVEFORM,
        "wavlm": _WAVEFORM,
        "wav2vec2-bert": EncoderAdapter(_bert_front_end, _bert_stem, lambda model: model.encoder.layers),
        "wav2vec2-conformer": _WAVEFORM,
        "unispeech": _WAVEFORM,
        "unispeech-sat": _WAVEFORM,
        "whisper": EncoderAdapter(
            _whisper_front_end,
            _whisper_stem,
            lambda model: model.layers,
            lambda model: model.layer_norm,
            WHISPER_REACH_FRAMES,
        ),
    }
)
"""`model_type` of config.json -> its adapter: the model types that can be loaded."""


def attention_reach(model: PreTrainedModel) -> tuple[int, ...] | None:
    """Feature frames on either side that each layer attends to; None where all attend to all that they are given.

    Raises:
        ModelUnavailableError: the configuration names a reach that the model type does not support, or too few.
    """
    adapter = ADAPTERS[model.config.model_type]
    reach: int | list[int] | None = getattr(model.config, REACH_KEY, None)
    if reach is None:
        reach = adapter.default_reach
    elif adapter.layers is None:
        raise ModelUnavailableError(f"{REACH_KEY} is understood for Wav2Vec2Bert and Whisper models only.")
    if reach is None:
        return None
    layers = int(model.config.num_hidden_layers)
    reaches = (reach,) * layers if isinstance(reach, int) else tuple(reach)
    if len(reaches) != layers:
        raise ModelUnavailableError(f"{REACH_KEY} names {len(reaches)} layers of {layers}.")
    return reaches


def hidden_states(model: PreTrainedModel, inputs: Tensor) -> list[Tensor]:
    """Output of every layer, (B, S, D) each; the first is what enters the first layer.

    Args:
        model: of one of the types of `ADAPTERS`.
        inputs: what its front end gives.
    """
    reaches = attention_reach(model)
    adapter = ADAPTERS[model.config.model_type]
    if reaches is None or adapter.stem is None or adapter.layers is None:
        outputs = model(inputs, output_hidden_states=True)
        return [*outputs.hidden_states[:-1], outputs.last_hidden_state]  # some have a norm after their last layer
    hidden = adapter.stem(model, inputs)
    position = torch.arange(hidden.shape[1], device=hidden.device)
    distance = (position[:, None] - position).abs()
    states = [hidden]
    for layer, reach in zip(adapter.layers(model), reaches, strict=True):
        states.append(layer(states[-1], attention_mask=(distance <= reach)[None, None]))
    if adapter.final_norm is not None:
        states[-1] = cast(Tensor, adapter.final_norm(model)(states[-1]))
    return states
