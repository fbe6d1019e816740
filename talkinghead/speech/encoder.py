"""Speech encoders of the wav2vec2 family (Baevski et al. 2020): features of recordings of any length, in chunks.

Shape letters in addition to those of `structures`: S feature frames, D width of a feature.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from talkinghead.errors import ModelUnavailableError, SpeechTooShortError
from talkinghead.speech.adapters import attention_reach, hidden_states
from talkinghead.speech.audio_window import AudioWindow, at_encoder_rate
from talkinghead.speech.conformer import Conformer
from talkinghead.speech.encoder_files import (
    LAYOUT,
    check_layout,
    encoder_sha256,
    load_model,
    local_folder,
    one_line,
)
from talkinghead.speech.front_ends import RATE_HZ, FrontEnd
from talkinghead.speech.loudness import Level, measure_level
from talkinghead.speech.stream_weights import StreamWeights, find_stream_weights
from talkinghead.structures import FloatArray, Recording

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SHORTEST_SPEECH_S = 0.2
"""Least length of a recording, seconds."""
CHUNK_S = 12.0
"""Length of a chunk without its context, seconds."""
FIRST_CHUNK_S = 2.0
"""Length of the first chunk where what is done with the first features should begin soon, seconds."""
CONTEXT_S = 3.0
"""Least context of a chunk on either side, seconds; the default encoder needs 6.5 s."""
STEM_S = 0.1
"""Reach of the convolutions before and between the layers, in addition to that of attention, seconds."""


@dataclass(frozen=True)
class SpeechFeatures:
    """Features of a recording."""

    values: FloatArray
    """(S, layers, D) float32, the output of each requested layer."""
    rate_hz: float
    """Feature frames per second."""
    first_s: float
    """Time in the recording of the center of frame 0; frame i lies at first_s + i / rate_hz."""

    @property
    def times_s(self) -> NDArray[np.float64]:
        """(S,) center of every frame, in seconds."""
        return self.first_s + np.arange(len(self.values)) / self.rate_hz


@dataclass(frozen=True)
class Piece:
    """Features of a chunk of a recording, with a margin of those of its neighbors."""

    values: FloatArray
    """(S, layers, D) float32, the output of each requested layer."""
    kept: slice
    """Frames of the chunk itself, without the margin."""


class SpeechEncoder:
    """A speech encoder: a model of the wav2vec2 family and its front end."""

    def __init__(
        self,
        model: PreTrainedModel | Conformer,
        front_end: FrontEnd,
        name: str,
        sha256: str,
        folder: Path | None = None,
    ) -> None:
        """Wrap a loaded model.

        Args:
            model: of one of the types of `adapters.ADAPTERS`.
            front_end: of the model.
            name: of the folder, or on the hub.
            sha256: one hash over configuration, front end and weights.
            folder: that may hold what the weights become in streams.

        Raises:
            ModelUnavailableError: the configuration's attention reach does not fit the model.
        """
        self.model: PreTrainedModel | Conformer = model.eval()
        self.front_end = front_end
        self.name = name
        self.sha256 = sha256
        self._folder = folder
        self.rate_hz = RATE_HZ / front_end.hop
        self.first_s = front_end.center / RATE_HZ
        """Time in the recording of the center of feature frame 0, seconds."""
        # Layers add up: each attends to outputs of the one below, which attend further.
        attended_s = sum(attention_reach(model) or ()) / self.rate_hz
        self.context_s = max(CONTEXT_S, attended_s + STEM_S)
        """Context of a chunk on either side, seconds. A model without a reach attends to its whole chunk."""

    @classmethod
    def load(cls, folder: Path | str, device: torch.device | str = "cpu") -> SpeechEncoder:
        """Load an encoder. Nothing is downloaded.

        Args:
            folder: of the encoder, or a hub name that is in the local Hugging Face cache.
            device: where the model runs.

        Raises:
            ModelUnavailableError: there is no such folder, or it does not hold a usable model of the family.
        """
        path = local_folder(str(folder))
        check_layout(path)
        name = Path(folder).name if Path(folder).is_dir() else str(folder)
        try:
            model, front_end = load_model(path)
            cast(nn.Module, model).to(device)
            encoder = cls(model, front_end, name, encoder_sha256(path), path)
            encoder._check_outputs()
        except ModelUnavailableError:
            raise
        except Exception as error:  # an unexpected configuration can raise anything anywhere in transformers
            raise ModelUnavailableError(
                f"{path} holds no usable speech encoder ({one_line(error)}); it needs {LAYOUT}."
            ) from error
        return encoder

    @cached_property
    def stream_weights(self) -> StreamWeights | None:
        """What the weights become in streams; None where that is not known. Read when a stream asks for it.

        Raises:
            CheckpointError: they are damaged, or another encoder's.
        """
        return None if self._folder is None else find_stream_weights(self._folder, self.sha256)

    @torch.inference_mode()
    def _check_outputs(self) -> None:
        """Encode a moment of noise, so that an unusable model is refused before any work is done.

        Raises:
            ValueError: the outputs have unexpected shapes, or are not finite.
        """
        noise = 0.1 * torch.randn(int(SHORTEST_SPEECH_S * RATE_HZ), generator=torch.Generator().manual_seed(0))
        states = hidden_states(self.model, self.front_end(noise[None].to(self.model.device)))
        if len(states) != self.layer_count + 1 or any(state.shape[::2] != (1, self.width) for state in states):
            raise ValueError("its layers do not fit its configuration")
        if not all(bool(state.isfinite().all()) for state in states):
            raise ValueError("its output is not finite")

    @property
    def layer_count(self) -> int:
        """Number of layers; the output of layer n has number n, from 1 on, and number 0 is the input of the first."""
        return int(self.model.config.num_hidden_layers)

    @property
    def width(self) -> int:
        """D, the width of a feature."""
        return int(self.model.config.hidden_size)

    def encode(self, audio: Recording, layers: tuple[int, ...] | None = None) -> SpeechFeatures:
        """Encode a whole recording, which is normalized in loudness first.

        Args:
            audio: at any sample rate.
            layers: numbers of the layers whose outputs are returned, in 1..layer_count; None for the last alone.

        Raises:
            SpeechTooShortError: the recording is shorter than 0.2 s.
            ModelUnavailableError: the model's output is not finite.
        """
        values = [piece.values[piece.kept] for piece in self.pieces(audio, layers or (self.layer_count,))]
        return SpeechFeatures(np.concatenate(values), self.rate_hz, self.first_s)

    def pieces(
        self,
        audio: Recording,
        layers: tuple[int, ...],
        margin_s: float = 0.0,
        *,
        chunk_s: float = CHUNK_S,
        level: Level | None = None,
        begins_soon: bool = False,
    ) -> Iterator[Piece]:
        """Encode a recording chunk by chunk, in memory that does not grow with its length.

        Args:
            audio: at any sample rate; a recording that is not at 16 kHz is read into memory.
            layers: as in `encode`.
            margin_s: seconds of its neighbors' features that each piece includes on both sides, up to `CONTEXT_S`.
            chunk_s: length of a piece without its margins, seconds.
            level: of the recording at 16 kHz; None measures it, for which the recording is read once more.
            begins_soon: whether the first piece of several is a short one, of `FIRST_CHUNK_S`.

        Raises:
            SpeechTooShortError: the recording is shorter than 0.2 s.
            ModelUnavailableError: the model's output is not finite.
        """
        audio = at_encoder_rate(audio)
        level = level or measure_level(audio)
        if level.samples < SHORTEST_SPEECH_S * RATE_HZ:
            raise SpeechTooShortError(
                f"The speech is {level.samples / RATE_HZ:.2f} s long; at least {SHORTEST_SPEECH_S} s are needed."
            )
        window = AudioWindow(audio, level)
        margin = round(margin_s * self.rate_hz)
        context = round(self.context_s * self.rate_hz)
        count, length = level.samples // self.front_end.hop, round(chunk_s * self.rate_hz)
        first = round(min(FIRST_CHUNK_S, chunk_s) * self.rate_hz) if begins_soon else 0
        for chunk in _chunks(count, length, context, first):
            yield self._encode_chunk(window, chunk, layers, margin)

    @torch.inference_mode()
    def _encode_chunk(self, window: AudioWindow, chunk: _Chunk, layers: tuple[int, ...], margin: int) -> Piece:
        """Encode one chunk with its context, and keep its frames and `margin` frames on either side."""
        hop, reach = self.front_end.hop, self.front_end.reach
        audio = window.stretch(chunk.first * hop, (chunk.end - 1) * hop + reach).to(self.model.device)
        # The last frames reach beyond the end of the recording, which is continued with silence.
        audio = functional.pad(audio, (0, (chunk.end - chunk.first - 1) * hop + reach - len(audio)))
        states = hidden_states(self.model, self.front_end(audio[None]))
        # Frames near the ends of the context lack context themselves: they are dropped, but for the margin.
        first, end = max(chunk.first, chunk.keep_first - margin), min(chunk.end, chunk.keep_end + margin)
        values = torch.stack([states[layer][0, first - chunk.first : end - chunk.first] for layer in layers], 1)
        if not values.isfinite().all():
            raise ModelUnavailableError(
                f"The output of the speech encoder {self.name} is not finite; use another --speech-encoder."
            )
        return Piece(values.float().cpu().numpy(), slice(chunk.keep_first - first, chunk.keep_end - first))


@dataclass(frozen=True)
class _Chunk:
    """Feature frames that are encoded together, and those among them that are kept."""

    first: int
    """First frame that is encoded."""
    end: int
    """Frame after the last one that is encoded."""
    keep_first: int
    """First frame that is kept."""
    keep_end: int
    """Frame after the last one that is kept."""


def _chunks(count: int, length: int, context: int, first: int = 0) -> Iterator[_Chunk]:
    """Divide `count` feature frames into even chunks of about `length`, with `context` frames on both sides.

    With `first`, so many frames are a chunk of their own before these, where there is more than it and its context.
    """
    begin = first if count > first + context else 0
    pieces = max(1, round((count - begin) / length))
    borders = [begin + round(piece * (count - begin) / pieces) for piece in range(pieces + 1)]
    if begin:
        borders.insert(0, 0)
    for keep_first, keep_end in zip(borders, borders[1:], strict=False):
        yield _Chunk(max(0, keep_first - context), min(count, keep_end + context), keep_first, keep_end)
