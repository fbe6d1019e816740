"""From speech to expression: an encoder of the wav2vec2 family, and a predictor on its features.

Speech is brought to one loudness, turned into features some fifty times a second by the encoder, and those into
expression coefficients by a few small temporal models. Time stays continuous: expression is read off at whatever
times it is wanted, and a sound's features do not depend on where in the recording it stands.

Letters beside those of `structures`: S feature frames, N samples, D width of a feature.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import torch
import torchaudio
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from talkinghead.errors import CheckpointError, ModelUnavailableError, SpeechTooShortError
from talkinghead.files import load_arrays, save_arrays, sha256_of
from talkinghead.speech.loudness import LoudnessMeter
from talkinghead.structures import FloatArray, Recording, Sound
from talkinghead.weights.bundled import checkpoint_path

# transformers, huggingface_hub and librosa are imported where they are used: together they take three seconds.
if TYPE_CHECKING:
    from transformers import PreTrainedModel, Wav2Vec2BertModel
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

RATE_HZ = 16000
"""Sample rate of every encoder of the family."""
SHORTEST_SPEECH_S = 0.2
CHUNK_S = 12.0
"""Length of sound that is encoded at a time, without its context."""
CONTEXT_S = 3.0
"""Sound on either side that a chunk is encoded with, at least; the default encoder sees 6.5 s."""
STEM_S = 0.1
"""What convolutions before and between the layers see beyond their attention."""
LOUDNESS_LUFS = -23.0
"""Integrated loudness that every recording is brought to: the target of EBU R128."""

FAMILY = ("wav2vec2", "hubert", "wavlm", "wav2vec2-bert", "wav2vec2-conformer", "unispeech", "unispeech-sat", "whisper")
"""Values of `model_type` in config.json that can be loaded; XLS-R is a wav2vec2."""
WHISPER_REACH_FRAMES = 32
"""How far to either side a Whisper encoder attends here, unless its configuration says otherwise."""
WHISPER_POSITION = 250
"""The row of its table of positions that stands for all of them."""
WEIGHT_FILE = "model.safetensors"
FRONT_END_FILE = "preprocessor_config.json"
FILES = ("config.json", FRONT_END_FILE, WEIGHT_FILE)
LAYOUT = f"{', '.join(FILES[:-1])} and {FILES[-1]} of a Hugging Face model of the kinds {', '.join(FAMILY)}"
PICKLED_FILE = "pytorch_model.bin"
"""Never opened: loading it may run code."""
LOG_MEL = "LogMelFrontEnd"
"""Name of this project's own front end in preprocessor_config.json."""

PREDICTOR_FILE = "expression_predictor.safetensors"
"""Looked for in the encoder's folder first, then among the default checkpoints."""
FORMAT = "talkinghead/expression-predictor/2"
NEVER = -20.0
"""Logit of what does not happen."""
LARGEST_NUMBER = 1e6
"""In an encoder's configuration."""
MOST_LAYERS = 100
LARGEST_SIZE = 1 << 14
"""Of anything that a predictor's description counts."""
MOST_PARTS = 64
"""Layers, taps, networks or convolutions of a predictor."""


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


class FrontEnd(Protocol):
    """What an encoder is given in place of a waveform, and where in time its frames lie."""

    hop: int
    """Samples from one feature frame to the next."""
    centre: int
    """Samples from where a chunk begins to the centre of its first feature frame."""
    reach: int
    """Samples that the last feature frame needs beyond the beginning of its hop."""

    def __call__(self, samples: Tensor) -> Tensor:
        """Waveform (1, N) -> the input of the model, (1, ...)."""
        ...


class LogMelFrontEnd:
    """Log-mel spectrogram with a fixed floor, five spectra of 10 ms to each feature of 20 ms.

    Frame i is centred on sample 320 i. The definition is Whisper's (25 ms Hann window, 80 Slaney mels up to 8 kHz,
    (log10 + 4) / 4) but for the floor, which does not follow the file's loudest moment: so a frame's input depends on
    nothing but the sound around it. Two constants are added to each frame; the layer norm that comes first in the
    model would otherwise take away how loud the frame is.
    """

    hop = 320
    centre = 0
    reach = 320
    mels = 80
    window = 400
    spectra = 5
    """Consecutive spectra to a frame."""
    floor = -7.0
    """Least log10 of mel power."""
    anchor = 8.0
    """The constants are this and its negative."""
    width = mels * spectra + 2

    def __init__(self) -> None:
        import librosa

        self._filters = torch.from_numpy(librosa.filters.mel(sr=RATE_HZ, n_fft=self.window, n_mels=self.mels)).float()
        self._window = torch.hann_window(self.window)

    def spectra_of(self, samples: Tensor) -> Tensor:
        """Waveform (B, N) -> log-mel spectra (B, mels, 2 N / 320), spectrum j centred on sample 160 j."""
        device = samples.device
        hop = self.hop // 2
        # The reflection at the ends wants more sound than the shortest recordings have.
        padded = functional.pad(samples, (self.window // 2, self.window // 2))
        spectrum = torch.stft(
            padded, self.window, hop, window=self._window.to(device), center=False, return_complex=True
        )
        power = self._filters.to(device) @ spectrum.abs().square()
        return (power.clamp(min=1e-10).log10().clamp(min=self.floor)[..., : samples.shape[-1] // self.hop * 2] + 4) / 4

    def stacked(self, spectra: Tensor) -> Tensor:
        """Spectra (B, mels, 2 S) -> frames (B, S, width)."""
        side = self.spectra // 2
        frames = functional.pad(spectra, (side, side), mode="replicate").unfold(2, self.spectra, 2)
        frames = frames.permute(0, 2, 3, 1).flatten(2)
        constant = frames.new_full((*frames.shape[:2], 1), self.anchor)
        return torch.cat([frames, constant, -constant], -1)

    def __call__(self, samples: Tensor) -> Tensor:
        """Waveform (B, N) -> frames (B, N // 320, width)."""
        return self.stacked(self.spectra_of(samples))


class WhisperFrontEnd(LogMelFrontEnd):
    """The same spectra, unstacked, two of which become a frame in Whisper's own convolutions."""

    def __init__(self, mels: int) -> None:
        self.mels = mels
        super().__init__()

    def __call__(self, samples: Tensor) -> Tensor:
        """Waveform (B, N) -> spectra (B, mels, 2 N / 320)."""
        return self.spectra_of(samples)


class WaveformFrontEnd:
    """The waveform itself, for models with a convolutional front end of their own.

    Where a model wants its input at variance 1 (`do_normalize`), speech is brought there by the one factor that does so
    for speech at `LOUDNESS_LUFS`, and not by what each recording or chunk would need.
    """

    def __init__(self, kernels: list[int], strides: list[int], *, unit_variance: bool) -> None:
        self.gain = 10 ** (-LOUDNESS_LUFS / 20) if unit_variance else 1.0
        self.hop = int(np.prod(strides))
        field = 1
        for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
            field = (field - 1) * stride + kernel
        self.reach = field
        self.centre = field // 2

    def __call__(self, samples: Tensor) -> Tensor:
        return samples * self.gain


class FilterBankFrontEnd:
    """Kaldi's filter bank, two spectra stacked, as the published Wav2Vec2Bert models take it."""

    hop = 320
    reach = 560
    centre = 280

    def __init__(self, folder: Path) -> None:
        from transformers import AutoFeatureExtractor

        self._extractor = AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)

    def __call__(self, samples: Tensor) -> Tensor:
        sound = samples[0].cpu().numpy()
        made = self._extractor(sound, sampling_rate=RATE_HZ, return_tensors="pt", pad_to_multiple_of=2)
        frames: Tensor = made["input_features"]
        return frames.to(samples.device)


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
        self.first_s = front_end.centre / RATE_HZ
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
        place = _local_folder(str(folder))
        _check_layout(place)
        name = Path(folder).name if Path(folder).is_dir() else str(folder)
        try:
            model, front_end = _load_with_transformers(place)
            cast(nn.Module, model).to(device)
            encoder = cls(model, front_end, name, encoder_sha256(place))
            encoder._try_out()
        except ModelUnavailableError:
            raise
        except Exception as error:  # a strange configuration can break another's code anywhere
            raise ModelUnavailableError(
                f"{place} holds no usable speech encoder ({_reason(error)}); it needs {LAYOUT}."
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

    def encode(self, sound: Recording, layers: tuple[int, ...] | None = None) -> SpeechFeatures:
        """Features of a whole recording, at one loudness whatever its own.

        Args:
            sound: at any sample rate.
            layers: which layers' outputs to keep, in 1..layer_count; None for the last alone.

        Raises:
            SpeechTooShortError: under 0.2 s.
            ModelUnavailableError: its weights do not give numbers.
        """
        values = [piece.values[piece.kept] for piece in self.pieces(sound, layers or (self.layer_count,))]
        return SpeechFeatures(np.concatenate(values), self.rate_hz, self.first_s)

    def pieces(
        self, sound: Recording, layers: tuple[int, ...], margin_s: float = 0.0, chunk_s: float = CHUNK_S
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
        sound = _at_encoder_rate(sound)
        level = measure_level(sound)
        if level.samples < SHORTEST_SPEECH_S * RATE_HZ:
            raise SpeechTooShortError(
                f"The speech lasts {level.samples / RATE_HZ:.2f} s; {SHORTEST_SPEECH_S} s are needed."
            )
        window = _Window(sound, level)
        margin = round(margin_s * self.rate_hz)
        context = round(self.context_s * self.rate_hz)
        for chunk in _chunks(level.samples // self.front_end.hop, round(chunk_s * self.rate_hz), context):
            yield self._encode_chunk(window, chunk, layers, margin)

    @torch.inference_mode()
    def _encode_chunk(self, window: _Window, chunk: _Chunk, layers: tuple[int, ...], margin: int) -> Piece:
        hop, reach = self.front_end.hop, self.front_end.reach
        sound = window.stretch(chunk.first * hop, (chunk.end - 1) * hop + reach).to(self.model.device)
        # The last frames reach over the end of the recording: silence stands there.
        sound = functional.pad(sound, (0, (chunk.end - chunk.first - 1) * hop + reach - len(sound)))
        states = hidden_states(self.model, self.front_end(sound[None]))
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


@dataclass(frozen=True)
class Level:
    """What a first pass over a recording tells."""

    samples: int
    """N"""
    mean: float
    gain: float
    """Brings what remains without the mean to `LOUDNESS_LUFS`; 1 where there is nothing but silence."""

    def applied(self, samples: FloatArray) -> FloatArray:
        """(N,) -> (N,)"""
        return np.asarray((samples - np.float32(self.mean)) * np.float32(self.gain), np.float32)


def measure_level(recording: Recording) -> Level:
    """Length, mean and integrated loudness of a recording, in constant memory."""
    meter = LoudnessMeter(recording.rate_hz)
    count, total, offset = 0, 0.0, np.float32(0)
    for block in recording.blocks():
        if count == 0 and len(block):
            offset = block.mean()  # the meter's filter would hear a constant as a blow at the beginning
        meter.push(block - offset)
        count += len(block)
        total += float(block.sum(dtype=np.float64))
    lufs = meter.integrated_lufs()
    gain = 1.0 if lufs is None else 10 ** ((LOUDNESS_LUFS - lufs) / 20)
    return Level(count, total / max(count, 1), gain)


def normalise_loudness(samples: Tensor) -> Tensor:
    """Bring speech to one loudness: (N,) at 16 kHz -> (N,), its mean removed and its loudness at `LOUDNESS_LUFS`."""
    sound = Sound(samples.numpy(), RATE_HZ)
    return torch.from_numpy(measure_level(sound).applied(sound.samples))


def _at_encoder_rate(recording: Recording) -> Recording:
    if recording.rate_hz == RATE_HZ:
        return recording
    samples = torch.from_numpy(np.concatenate(list(recording.blocks()) or [np.zeros(0, np.float32)]))
    return Sound(torchaudio.functional.resample(samples, recording.rate_hz, RATE_HZ).numpy(), RATE_HZ)


class _Window:
    """A recording at the encoder's level, of which no more is held than the stretch that is wanted."""

    def __init__(self, recording: Recording, level: Level) -> None:
        self._blocks = recording.blocks()
        self._level = level
        self._held = np.zeros(0, np.float32)
        self._first = 0
        """Sample of the recording with which `_held` begins."""

    def stretch(self, first: int, end: int) -> Tensor:
        """Samples from `first` to before `end`, or to the recording's end; `first` never goes back."""
        parts = [self._held[first - self._first :]]
        reached = self._first + len(self._held)
        while reached < end and (block := next(self._blocks, None)) is not None:
            parts.append(self._level.applied(block[max(0, first - reached) :]))
            reached += len(block)
        self._held, self._first = np.concatenate(parts), first
        return torch.from_numpy(self._held[: end - first])


def encoder_sha256(folder: Path) -> str:
    """One hash for an encoder's folder: over the hashes of its configuration, front end and weights."""
    parts = [sha256_of(folder / name) for name in FILES]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def _load_with_transformers(folder: Path) -> tuple[PreTrainedModel, FrontEnd]:
    from transformers import AutoModel, WhisperModel

    config = _configuration(folder)
    with _quiet_transformers():
        model, report = AutoModel.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,  # the weights may be stored in half precision
            output_loading_info=True,
        )
    _check_weights(folder, report["missing_keys"])
    if isinstance(model, WhisperModel):
        model = model.get_encoder()
    return model, _front_end(folder, config)


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No progress bar for a second of loading, no table of weights left over; those lacking are checked."""
    from transformers.utils import logging

    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()


def _check_weights(folder: Path, missing: Iterable[str]) -> None:
    """What a file lacks, transformers makes up at random; that may be Whisper's decoder and the mask of pretraining."""
    needed = sorted(name for name in missing if not name.startswith("decoder.") and "masked_spec_embed" not in name)
    if needed:
        raise ModelUnavailableError(f"{folder / WEIGHT_FILE} lacks {len(needed)} weights, {needed[0]} among them.")


def _local_folder(name: str) -> Path:
    """The folder itself, or the cached snapshot of a hub name."""
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, HfHubHTTPError, OSError, ValueError) as error:
        raise ModelUnavailableError(
            f"{name} is neither a folder nor a model in the local Hugging Face cache, and none is fetched from here; "
            f"give a folder with {LAYOUT}: hf download {name} {' '.join(FILES)} --local-dir FOLDER"
        ) from error


def _check_layout(folder: Path) -> None:
    """Whether the folder is complete."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ModelUnavailableError(
            f"{folder} lacks {' and '.join(missing)}; a speech encoder is a folder with {LAYOUT}."
            + _conversion_hint(folder, missing)
        )


def _configuration(folder: Path) -> Any:
    """The model's configuration, where it is of the family."""
    from transformers import AutoConfig

    try:
        _check_numbers(json.loads((folder / "config.json").read_text("utf-8")))
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # anything can be wrong with a configuration, and transformers checks little of it
        raise ModelUnavailableError(
            f"{folder}/config.json cannot be used ({_reason(error)}); needed are {LAYOUT}."
        ) from error
    if config.model_type not in FAMILY:
        raise ModelUnavailableError(f"{folder} holds a {config.model_type} model; needed are {LAYOUT}.")
    return config


def _check_numbers(described: Any) -> None:
    """No size that is taken from a configuration is one that would fill the memory by itself.

    Raises:
        ValueError: there is a number beyond reason, or more layers than any model of the family has.
    """
    parts = described.items() if isinstance(described, dict) else enumerate(described)
    for name, value in parts:
        if isinstance(value, (dict, list)):
            _check_numbers(value)
        elif isinstance(value, (int, float)):
            largest = MOST_LAYERS if str(name).endswith("layers") else LARGEST_NUMBER
            if not abs(value) <= largest:
                raise ValueError(f"{name} is {value}")


def _reason(error: Exception) -> str:
    """One line."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def _conversion_hint(folder: Path, missing: list[str]) -> str:
    """What to do where there are weights, but pickled ones."""
    if WEIGHT_FILE not in missing or not (folder / PICKLED_FILE).is_file():
        return ""
    return (
        f" {PICKLED_FILE} may run code when it is loaded, so it is not; "
        "if you trust it, convert it by transformers' from_pretrained and save_pretrained."
    )


def _front_end(folder: Path, config: Any) -> FrontEnd:
    described = dict(json.loads((folder / FRONT_END_FILE).read_text("utf-8")))
    if config.model_type == "whisper":
        return WhisperFrontEnd(config.num_mel_bins)
    if config.model_type != "wav2vec2-bert":
        unit_variance = bool(described.get("do_normalize", True))
        return WaveformFrontEnd(list(config.conv_kernel), list(config.conv_stride), unit_variance=unit_variance)
    if described.get("feature_extractor_type") == LOG_MEL:
        return LogMelFrontEnd()
    return FilterBankFrontEnd(folder)


@dataclass(frozen=True)
class PredictorConfig:
    """Shape of a predictor, and what it belongs to."""

    encoder: str
    """Name of the encoder it was taught on."""
    encoder_sha256: str
    face_model_sha256: str
    layers: tuple[int, ...]
    """Layers of the encoder that it takes."""
    features: int
    """D, the width of a feature."""
    expressions: int
    """K, the number of expression coefficients."""
    components: int = 256
    """C, the principal components of each layer's features that are kept."""
    taps: tuple[int, ...] = (-8, -5, -3, -1, 0, 1, 3, 5, 8)
    """Feature frames, counted from the one predicted, that the linear member sees."""
    networks: int = 2
    width: int = 96
    kernel: int = 5
    dilations: tuple[int, ...] = (1, 2, 4, 6)
    """With kernels of 5 these reach 26 frames, 0.52 s, to either side."""

    @property
    def inputs(self) -> int:
        """Width of what the members are given."""
        return len(self.layers) * self.components

    @property
    def reach(self) -> int:
        """Feature frames on either side that an output depends on."""
        return max(*map(abs, self.taps), self.kernel // 2 * sum(self.dilations))


class TemporalNetwork(nn.Module):
    """A residual stack of dilated temporal convolutions."""

    def __init__(self, config: PredictorConfig, outputs: int) -> None:
        super().__init__()
        width, kernel = config.width, config.kernel
        self.enter = nn.Linear(config.inputs, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in config.dilations)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, width, kernel, dilation=d, padding=d * (kernel // 2)) for d in config.dilations
        )
        self.leave = nn.Linear(width, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, S, inputs) -> (B, S, outputs)"""
        hidden = self.enter(inputs)
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            hidden = hidden + convolution(functional.gelu(norm(hidden)).transpose(1, 2)).transpose(1, 2)
        outcome: Tensor = self.leave(functional.gelu(hidden))
        return outcome


class ExpressionPredictor(nn.Module):
    """Speech features -> normalised expression: principal components, of which several members make the mean.

    One member is linear in some frames around, the others are small temporal networks. Taught on minutes of speech
    each errs in its own way: together they do better than any of them, however large.

    Normalised means: in each coefficient, mean 0 and standard deviation 1 over a speaker's own clip. An anchor's own
    mean and standard deviation bring it back.
    """

    feature_mean: Tensor
    projection: Tensor
    tap_weights: Tensor
    tap_bias: Tensor
    output_scale: Tensor

    def __init__(self, config: PredictorConfig) -> None:
        super().__init__()
        self.config = config
        layers = len(config.layers)
        self.register_buffer("feature_mean", torch.zeros(layers, config.features))
        self.register_buffer("projection", torch.zeros(layers, config.features, config.components))
        self.register_buffer("tap_weights", torch.zeros(len(config.taps), config.inputs, config.expressions))
        self.register_buffer("tap_bias", torch.zeros(config.expressions))
        self.register_buffer("output_scale", torch.ones(()))
        self.networks = nn.ModuleList(TemporalNetwork(config, config.expressions) for _ in range(config.networks))
        self.closing = TemporalNetwork(config, 1)
        """Hears closed lips; until it is taught, none."""
        nn.init.zeros_(self.closing.leave.weight)
        nn.init.constant_(self.closing.leave.bias, NEVER)

    def components(self, values: Tensor) -> Tensor:
        """Features (B, S, layers, D) -> what the members are given, (B, S, inputs)."""
        return torch.einsum("bsld,ldc->bslc", values - self.feature_mean, self.projection).flatten(2)

    def forward(self, values: Tensor) -> Tensor:
        """Features (B, S, layers, D) -> normalised expression (B, S, K)."""
        return self.expression(self.components(values))

    def expression(self, inputs: Tensor) -> Tensor:
        """The mean of the members: (B, S, inputs) -> normalised expression (B, S, K)."""
        members = [self.linear(inputs), *(network(inputs) for network in self.networks)]
        return torch.stack(members).mean(0) * self.output_scale

    def closure(self, inputs: Tensor) -> Tensor:
        """Probability of p, b or m: (B, S, inputs) -> (B, S)."""
        heard: Tensor = self.closing(inputs)[..., 0].sigmoid()
        return heard

    def linear(self, inputs: Tensor) -> Tensor:
        """The linear member: (B, S, inputs) -> (B, S, K)."""
        return torch.einsum("btsi,tik->bsk", self.tapped(inputs), self.tap_weights) + self.tap_bias

    def tapped(self, inputs: Tensor) -> Tensor:
        """Every tap's view of the frames, whose ends are repeated: (B, S, inputs) -> (B, taps, S, inputs)."""
        position = torch.arange(inputs.shape[1], device=inputs.device)
        return torch.stack([inputs[:, (position + tap).clamp(0, len(position) - 1)] for tap in self.config.taps], 1)

    def sha256(self) -> str:
        """One hash over configuration and weights."""
        found = hashlib.sha256(json.dumps(asdict(self.config)).encode())
        for name, value in sorted(self.state_dict().items()):
            found.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
        return found.hexdigest()

    def save(self, path: Path) -> None:
        """Write weights and configuration as one safetensors file.

        Raises:
            OutputError: the file cannot be written.
        """
        arrays = {name: value.detach().cpu().numpy() for name, value in self.state_dict().items()}
        save_arrays(path, arrays, {"format": FORMAT, "config": json.dumps(asdict(self.config))})

    @classmethod
    def load(cls, path: Path) -> ExpressionPredictor:
        """Read a predictor that `save` wrote.

        Raises:
            MissingFileError, CheckpointError: no such file; damaged, or no predictor of this version.
        """
        arrays, metadata = load_arrays(path)
        if metadata.get("format") != FORMAT:
            raise CheckpointError(f"{path} is not an expression predictor of this version ({FORMAT}).")
        try:
            # Nothing is as large as it claims before the weights that are there have been found to fit.
            with torch.device("meta"):
                predictor = cls(_predictor_config(json.loads(metadata["config"])))
            state = {name: _finite(array) for name, array in arrays.items()}
            predictor.load_state_dict(state, assign=True)
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{path} is a damaged expression predictor.") from error
        return predictor.eval()


def _predictor_config(described: dict[str, Any]) -> PredictorConfig:
    """From JSON, where tuples are lists."""
    unknown = set(described) - {field.name for field in fields(PredictorConfig)}
    if unknown:
        raise ValueError(f"unknown fields {sorted(unknown)}")
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in described.items()}
    for name, value in values.items():
        numbers = value if isinstance(value, tuple) else (value,)
        if not isinstance(value, str) and not all(type(n) is int and abs(n) <= LARGEST_SIZE for n in numbers):
            raise ValueError(f"{name} is {value!r:.100}")
        if len(numbers) > MOST_PARTS:
            raise ValueError(f"{name} has {len(numbers)} parts")
    config = PredictorConfig(**values)
    if config.networks > MOST_PARTS or config.kernel % 2 == 0 or min(config.dilations, default=1) < 1:
        raise ValueError("such networks are not made")
    if min(config.layers) < 0 or config.reach > CONTEXT_S * 50:
        raise ValueError("that is not what an encoder hears")
    return config


def _finite(array: NDArray[Any]) -> Tensor:
    """Weights in single precision, without NaN and infinity."""
    if array.dtype != np.float32 or not np.isfinite(array).all():
        raise ValueError("weights have to be finite numbers in single precision")
    return torch.from_numpy(array)


def load_speech_side(
    encoder: str | None = None, device: torch.device | str = "cpu"
) -> tuple[SpeechEncoder, ExpressionPredictor]:
    """An encoder, by folder or cached hub name (None is the project's own), and the predictor taught for it.

    Raises:
        MissingFileError, CheckpointError, ModelUnavailableError: one of them is not there, damaged, or of no use.
    """
    folder = checkpoint_path("speech_encoder") if encoder is None else _local_folder(encoder)
    own = folder / PREDICTOR_FILE
    predictor = ExpressionPredictor.load(own if own.is_file() else checkpoint_path(PREDICTOR_FILE))
    loaded = SpeechEncoder.load(folder if encoder is None else encoder, device)
    _check_pair(loaded, predictor)
    return loaded, predictor


def _check_pair(encoder: SpeechEncoder, predictor: ExpressionPredictor) -> None:
    if predictor.config.encoder_sha256 != encoder.sha256:
        raise CheckpointError(
            f"The expression predictor belongs to the speech encoder {predictor.config.encoder}, not to "
            f"{encoder.name}; teach one: python -m talkinghead.training.speech predictor CLIPS.tsv "
            f"--encoder {encoder.name} -o FOLDER/{PREDICTOR_FILE}, FOLDER being the encoder's."
        )
    if max(predictor.config.layers) > encoder.layer_count or predictor.config.features != encoder.width:
        raise CheckpointError("The expression predictor is damaged: it names another shape than its encoder has.")


@dataclass(frozen=True)
class SpokenExpression:
    """What a mouth does at some times while it says something."""

    values: FloatArray
    """(T, K) normalised expression."""
    closure: FloatArray
    """(T,) probability that the sound comes through closed lips: p, b or m."""


def predict_expression(
    encoder: SpeechEncoder, predictor: ExpressionPredictor, sound: Recording, times_s: NDArray[np.float64]
) -> SpokenExpression:
    """Normalised expression and closure of the lips at the wanted times, (T,), which rise.

    Times beyond the recording take what is predicted at its end.

    Raises:
        CheckpointError: the predictor was taught on another encoder.
        SpeechTooShortError: under 0.2 s of speech.
    """
    parts = list(predicted_parts(encoder, predictor, sound, times_s))
    return SpokenExpression(
        np.concatenate([part.values for part in parts]), np.concatenate([part.closure for part in parts])
    )


def predicted_parts(
    encoder: SpeechEncoder, predictor: ExpressionPredictor, sound: Recording, times_s: NDArray[np.float64]
) -> Iterator[SpokenExpression]:
    """What `predict_expression` gives, part by part as the recording is heard."""
    _check_pair(encoder, predictor)
    config = predictor.config
    given, heard, last = 0, 0, np.zeros((0, config.expressions + 1), np.float32)
    for piece in encoder.pieces(sound, config.layers, config.reach / encoder.rate_hz):
        curves = np.concatenate([last, _predict(predictor, piece)])
        first, heard = heard - len(last), heard - len(last) + len(curves)
        own_times_s = encoder.first_s + np.arange(first, heard) / encoder.rate_hz
        reached = int(np.searchsorted(times_s, own_times_s[-1]))
        yield _spoken(np.stack([np.interp(times_s[given:reached], own_times_s, curve) for curve in curves.T], 1))
        given, last = reached, curves[-1:]
    yield _spoken(np.repeat(last, len(times_s) - given, axis=0))


def _spoken(curves: NDArray[Any]) -> SpokenExpression:
    """(T, K + 1) expression and closure beside each other."""
    return SpokenExpression(curves[:, :-1].astype(np.float32), curves[:, -1].astype(np.float32))


@torch.inference_mode()
def _predict(predictor: ExpressionPredictor, piece: Piece) -> FloatArray:
    """(S, K + 1): expression and closure of the frames that are kept."""
    values = torch.from_numpy(piece.values).to(predictor.projection.device)
    inputs = predictor.components(values[None])
    both = torch.cat([predictor.expression(inputs), predictor.closure(inputs)[..., None]], 2)
    return np.asarray(both[0, piece.kept].cpu().numpy(), np.float32)
