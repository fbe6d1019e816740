"""Adapters: how each model type of the wav2vec2 family is run, by the `model_type` of its config.json.

An adapter names the front end of a model, and how its layers are run where each frame attends to near frames only.
Models without such a reach attend to all of their input and are run unchanged.
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
from talkinghead.speech.conformer import REACH_KEY, Conformer
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
"""File that describes the front end in an encoder's folder."""
WHISPER_REACH_FRAMES = 32
"""Reach of a Whisper encoder whose configuration names none, feature frames on either side."""
WHISPER_POSITION = 250
"""Row of Whisper's position table that is added to every frame, so that features do not depend on absolute time."""


@dataclass(frozen=True)
class EncoderAdapter:
    """How models of one type are run."""

    front_end: Callable[[Path, Any], FrontEnd]
    """Makes the front end from the model's folder and configuration."""
    stem: Callable[[Any, Tensor], Tensor] | None = None
    """Computes the input of the first layer, (B, S, D), from model and input; None where a reach is not supported."""
    layers: Callable[[Any], Iterable[nn.Module]] | None = None
    """Gives the layers of a model in order; None where a reach is not supported."""
    final_norm: Callable[[Any], nn.Module] | None = None
    """Gives the norm after the last layer of a model; None where there is none."""
    default_reach: int | None = None
    """Reach where the configuration names none; None attends to all frames."""


def _waveform_front_end(folder: Path, config: Any) -> FrontEnd:
    """Front end of a model that takes waveforms."""
    described = _described(folder)
    unit_variance = bool(described.get("do_normalize", True))
    return WaveformFrontEnd(list(config.conv_kernel), list(config.conv_stride), unit_variance=unit_variance)


def _bert_front_end(folder: Path, config: Any) -> FrontEnd:
    """Front end of a Wav2Vec2Bert model: this project's own, or that of the published models."""
    if _described(folder).get("feature_extractor_type") == LOG_MEL:
        return LogMelFrontEnd()
    return FilterBankFrontEnd(folder)


def _whisper_front_end(folder: Path, config: Any) -> FrontEnd:
    """Front end of a Whisper encoder."""
    return WhisperFrontEnd(config.num_mel_bins)


def _described(folder: Path) -> dict[str, Any]:
    """Content of preprocessor_config.json."""
    return dict(json.loads((folder / FRONT_END_FILE).read_text("utf-8")))


def _bert_stem(model: Wav2Vec2BertModel | Conformer, inputs: Tensor) -> Tensor:
    """Feature frames (B, S, width) -> input of the first layer (B, S, D)."""
    hidden: Tensor = model.feature_projection(inputs)[0]
    return hidden


def _whisper_stem(model: WhisperEncoder, spectra: Tensor) -> Tensor:
    """Spectra (B, mels, 2 S) -> input of the first layer (B, S, D), with one position for all frames."""
    hidden = functional.gelu(model.conv2(functional.gelu(model.conv1(spectra))))
    positions = model.embed_positions.weight
    return hidden.transpose(1, 2) + positions[min(WHISPER_POSITION, len(positions) - 1)]


_WAVEFORM = EncoderAdapter(_waveform_front_end)
ADAPTERS: Mapping[str, EncoderAdapter] = MappingProxyType(
    {
        "wav2vec2": _WAVEFORM,  # XLS-R has this type too
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
"""Adapter of each `model_type` of config.json that can be loaded."""


def attention_reach(model: PreTrainedModel | Conformer) -> tuple[int, ...] | None:
    """Feature frames on either side that each layer attends to; None where every layer attends to all frames.

    Raises:
        ModelUnavailableError: the configuration names a reach that the model type does not support, or not one for
            each layer.
    """
    adapter = ADAPTERS[model.config.model_type]
    reach: int | list[int] | None = getattr(model.config, REACH_KEY, None)
    if reach is None:
        reach = adapter.default_reach
    elif adapter.layers is None:
        raise ModelUnavailableError(
            f"{REACH_KEY} in config.json is supported for Wav2Vec2Bert and Whisper models only; remove it."
        )
    if reach is None:
        return None
    layers = int(model.config.num_hidden_layers)
    reaches = (reach,) * layers if isinstance(reach, int) else tuple(reach)
    if len(reaches) != layers:
        raise ModelUnavailableError(
            f"{REACH_KEY} in config.json has {len(reaches)} numbers, but the model has {layers} layers."
        )
    return reaches


def hidden_states(model: PreTrainedModel | Conformer, inputs: Tensor) -> list[Tensor]:
    """Run a model and return the output of every layer, (B, S, D) each, after the input of the first layer.

    Args:
        model: of one of the types of `ADAPTERS`.
        inputs: output of its front end.
    """
    reaches = attention_reach(model)
    adapter = ADAPTERS[model.config.model_type]
    if reaches is None or adapter.stem is None or adapter.layers is None:
        outputs = model(inputs, output_hidden_states=True)
        return [*outputs.hidden_states[:-1], outputs.last_hidden_state]  # some have a norm after their last layer
    # A band around the diagonal of the attention matrix limits each layer to its reach.
    hidden = adapter.stem(model, inputs)
    position = torch.arange(hidden.shape[1], device=hidden.device, dtype=torch.int32)
    distance = (position[:, None] - position).abs_()  # (S, S), which in int64 is 13 MB for a chunk, twice
    states = [hidden]
    for layer, reach in zip(adapter.layers(model), reaches, strict=True):
        states.append(layer(states[-1], attention_mask=(distance <= reach)[None, None]))
    if adapter.final_norm is not None:
        states[-1] = cast(Tensor, adapter.final_norm(model)(states[-1]))
    return states
