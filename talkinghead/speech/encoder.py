"""Speech encoders of the wav2vec2 family: features of recordings of any length, encoded in chunks.

Letters beside those of `structures`: S feature frames, N samples, D width of a feature.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from talkinghead.errors import ModelUnavailableError, SpeechTooShortError
from talkinghead.speech.audio_window import AudioWindow, at_encoder_rate
from talkinghead.speech.encoder_files import (
    LAYOUT,
    check_layout,
    encoder_sha256,
    load_with_transformers,
    local_folder,
    one_line,
)
from talkinghead.speech.front_ends import RATE_HZ, FrontEnd
from talkinghead.speech.loudness import measure_level
from talkinghead.structures import FloatArray, Recording

# transformers, huggingface_hub and librosa are imported where they are used: together they take three seconds.
if TYPE_CHECKING:
    from transformers import PreTrainedModel, Wav2Vec2BertModel
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

SHORTEST_SPEECH_S = 0.2
CHUNK_S = 12.0
"""Length of sound that is encoded at a time, without its context."""
CONTEXT_S = 3.0
"""Sound on either side that a chunk is encoded with, at least; the default encoder sees 6.5 s."""
STEM_S = 0.1
"""What convolutions before and between the layers see beyond their attention."""
WHISPER_REACH_FRAMES = 32
"""How far to either side a Whisper encoder attends here, unless its configuration says otherwise."""
WHISPER_POSITION = 250
"""The row of its table of positions that stands for all of them."""


@dataclass(frozen=True)
class SpeechFeatures:
    """What the encoder hears in a recording."""

    values: FloatArray
    """(S, layers, D) float32."""
    rate_hz: float
    """Feature frames per second."""
    first_s: float
    """Time in the recording at which the centre of frame 0 lies; frame i lies at first_s + i / rate_hz."""

    @property
    def times_s(self) -> NDArray[np.float64]:
        """(S,) centre of every frame, in seconds."""
        return self.first_s + np.arange(len(self.values)) / self.rate_hz


class SpeechEncoder:
    """A model of the wav2vec2 family with its front end, encoding recordings of any length in chunks."""

    def __init__(self, model: PreTrainedModel, front_end: FrontEnd, name: str, sha256: str) -> None:
        self.model = model.eval()
        self.front_end = front_end
        self.name = name
        """Folder's own name, or the name on the hub."""
        self.sha256 = sha256
        """Of the model's three files together."""
        self.rate_hz = RATE_HZ / front_end.hop
        self.first_s = front_end.center / RATE_HZ
        """Centre of feature frame 0 in the recording."""
        attended_s = sum(attention_reach(model) or ()) / self.rate_hz
        self.context_s = max(CONTEXT_S, attended_s + STEM_S)
        """Sound on either side that a chunk is encoded with. An encoder without a reach hears the whole chunk."""

    @classmethod
    def load(cls, folder: Path | str, device: torch.device | str = "cpu") -> SpeechEncoder:
        """Load an encoder from a folder, or by a hub name that is in the local cache already. Nothing is fetched.

        Raises:
            ModelUnavailableError: there is no such folder, or it does not hold a model of the family.
        """
        place = local_folder(str(folder))
        check_layout(place)
        name = Path(folder).name if Path(folder).is_dir() else str(folder)
        try:
            model, front_end = load_with_transformers(place)
            cast(nn.Module, model).to(device)
            encoder = cls(model, front_end, name, encoder_sha256(place))
            encoder._try_out()
        except ModelUnavailableError:
            raise
        except Exception as error:  # a strange configuration can break another's code anywhere
            raise ModelUnavailableError(
                f"{place} holds no usable speech encoder ({one_line(error)}); it needs {LAYOUT}."
            ) from error
        return encoder

    @torch.inference_mode()
    def _try_out(self) -> None:
        """Hear a moment of noise, so that a model which cannot do that is found out before there is work to lose."""
        noise = 0.1 * torch.randn(int(SHORTEST_SPEECH_S * RATE_HZ), generator=torch.Generator().manual_seed(0))
        states = hidden_states(self.model, self.front_end(noise[None].to(self.model.device)))
        if len(states) != self.layer_count + 1 or any(state.shape[::2] != (1, self.width) for state in states):
            raise ValueError("its layers are not those that its configuration names")
        if not all(bool(state.isfinite().all()) for state in states):
            raise ValueError("what it hears is no number")

    @property
    def layer_count(self) -> int:
        """How many layers there are; layer n's output is called n, and 0 is what enters the first."""
        return int(self.model.config.num_hidden_layers)

    @property
    def width(self) -> int:
        """D, the width of a feature."""
        return int(self.model.config.hidden_size)

    def encode(self, audio: Recording, layers: tuple[int, ...] | None = None) -> SpeechFeatures:
        """Features of a whole recording, at one loudness whatever its own.

        Args:
            sound: at any sample rate.
            layers: which layers' outputs to keep, in 1..layer_count; None for the last alone.

        Raises:
            SpeechTooShortError: under 0.2 s.
            ModelUnavailableError: its weights do not give numbers.
        """
        values = [piece.values[piece.kept] for piece in self.pieces(audio, layers or (self.layer_count,))]
        return SpeechFeatures(np.concatenate(values), self.rate_hz, self.first_s)

    def pieces(
        self, audio: Recording, layers: tuple[int, ...], margin_s: float = 0.0, chunk_s: float = CHUNK_S
    ) -> Iterator[Piece]:
        """The features of a recording piece by piece, so that an hour needs no more memory than a minute.

        The recording is read twice: once for its loudness, once to be encoded.

        Args:
            sound: at any sample rate; one that is not at 16 kHz is held whole.
            layers: as in `encode`.
            margin_s: so much of its neighbours' features comes with each piece, on both sides.
            chunk_s: length of a piece without its margins; at most `CONTEXT_S` of margin make sense.

        Raises:
            SpeechTooShortError: under 0.2 s.
            ModelUnavailableError: its weights do not give numbers.
        """
        audio = at_encoder_rate(audio)
        level = measure_level(audio)
        if level.samples < SHORTEST_SPEECH_S * RATE_HZ:
            raise SpeechTooShortError(
                f"The speech lasts {level.samples / RATE_HZ:.2f} s; {SHORTEST_SPEECH_S} s are needed."
            )
        window = AudioWindow(audio, level)
        margin = round(margin_s * self.rate_hz)
        context = round(self.context_s * self.rate_hz)
        for chunk in _chunks(level.samples // self.front_end.hop, round(chunk_s * self.rate_hz), context):
            yield self._encode_chunk(window, chunk, layers, margin)

    @torch.inference_mode()
    def _encode_chunk(self, window: AudioWindow, chunk: _Chunk, layers: tuple[int, ...], margin: int) -> Piece:
        hop, reach = self.front_end.hop, self.front_end.reach
        audio = window.stretch(chunk.first * hop, (chunk.end - 1) * hop + reach).to(self.model.device)
        # The last frames reach over the end of the recording: silence stands there.
        audio = functional.pad(audio, (0, (chunk.end - chunk.first - 1) * hop + reach - len(audio)))
        states = hidden_states(self.model, self.front_end(audio[None]))
        first, end = max(chunk.first, chunk.keep_first - margin), min(chunk.end, chunk.keep_end + margin)
        kept = torch.stack([states[layer][0, first - chunk.first : end - chunk.first] for layer in layers], 1)
        if not kept.isfinite().all():
            raise ModelUnavailableError(f"The speech encoder {self.name} is of no use: what it hears is no number.")
        return Piece(kept.float().cpu().numpy(), slice(chunk.keep_first - first, chunk.keep_end - first))


@dataclass(frozen=True)
class Piece:
    """Features of a stretch of a recording with some of its neighbours'."""

    values: FloatArray
    """(S, layers, D) float32."""
    kept: slice
    """Those of the stretch itself."""


@dataclass(frozen=True)
class _Chunk:
    """A stretch of feature frames to encode, and the part of it to keep."""

    first: int
    end: int
    keep_first: int
    keep_end: int


def _chunks(count: int, length: int, context: int) -> Iterator[_Chunk]:
    """Cut `count` feature frames into even stretches of about `length`, with context on both sides."""
    pieces = max(1, round(count / length))
    borders = [round(piece * count / pieces) for piece in range(pieces + 1)]
    for keep_first, keep_end in zip(borders, borders[1:], strict=False):
        yield _Chunk(max(0, keep_first - context), min(count, keep_end + context), keep_first, keep_end)


def attention_reach(model: PreTrainedModel) -> tuple[int, ...] | None:
    """Feature frames on either side that each layer attends to; None where all attend to all that they are given.

    The configuration says so as `attention_reach_frames`, this project's own key: one number, or one for each layer.
    """
    reach: int | list[int] | None = getattr(model.config, "attention_reach_frames", None)
    if model.config.model_type == "whisper":
        reach = WHISPER_REACH_FRAMES if reach is None else reach
    elif reach is not None and model.config.model_type != "wav2vec2-bert":
        raise ModelUnavailableError("attention_reach_frames is understood for Wav2Vec2Bert and Whisper models only.")
    if reach is None:
        return None
    layers = int(model.config.num_hidden_layers)
    reaches = (reach,) * layers if isinstance(reach, int) else tuple(reach)
    if len(reaches) != layers:
        raise ModelUnavailableError(f"attention_reach_frames names {len(reaches)} layers of {layers}.")
    return reaches


def hidden_states(model: PreTrainedModel, inputs: Tensor) -> list[Tensor]:
    """Output of every layer, (B, S, D) each; the first is what enters the first layer.

    Where the model has an attention reach, a frame attends to so many frames on either side only. Whisper gets the
    same position everywhere, so that its answers, too, depend on the sound alone.
    """
    reaches = attention_reach(model)
    if reaches is None:
        made = model(inputs, output_hidden_states=True)
        return [*made.hidden_states[:-1], made.last_hidden_state]  # some have a norm after their last layer
    layers: Iterable[nn.Module]
    is_whisper = model.config.model_type == "whisper"
    if is_whisper:
        whisper = cast("WhisperEncoder", model)
        hidden, layers = _whisper_stem(whisper, inputs), whisper.layers
    else:
        bert = cast("Wav2Vec2BertModel", model)
        hidden, layers = bert.feature_projection(inputs)[0], bert.encoder.layers
    position = torch.arange(hidden.shape[1], device=hidden.device)
    distance = (position[:, None] - position).abs()
    states = [hidden]
    for layer, reach in zip(layers, reaches, strict=True):
        states.append(layer(states[-1], attention_mask=(distance <= reach)[None, None]))
    if is_whisper:
        states[-1] = whisper.layer_norm(states[-1])
    return states


def _whisper_stem(model: WhisperEncoder, spectra: Tensor) -> Tensor:
    """Spectra (B, mels, 2 S) -> what enters the first layer, (B, S, D)."""
    hidden = functional.gelu(model.conv2(functional.gelu(model.conv1(spectra))))
    positions = model.embed_positions.weight
    return hidden.transpose(1, 2) + positions[min(WHISPER_POSITION, len(positions) - 1)]
