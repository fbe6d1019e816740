"""What the tests of speech training share: tracked clips whose mouths are known, and a Whisper of random weights."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch

from talkinghead.speech.encoder import SpeechFeatures
from talkinghead.structures import Audio
from talkinghead.training.speech.clips import Clip, ClipEntry, Example


class ConstantExtractor:
    """A feature extractor: 10 times the number of the layer, 50 times a second, whatever the audio."""

    rate_hz, first_s = 50.0, 0.0

    def __init__(self, frames: int = 10, layer_count: int = 2, width: int = 3) -> None:
        self.frames, self.layer_count, self.width = frames, layer_count, width

    def encode(self, audio: Audio, layers: tuple[int, ...]) -> SpeechFeatures:
        values = np.stack([np.full((self.frames, self.width), 10.0 * layer) for layer in layers], 1)
        return SpeechFeatures(values.astype(np.float32), self.rate_hz, self.first_s)


def features_and_mouth(
    seed: int, sign: float = 1.0, noise: float = 1.0, frames: int = 400, lag_frames: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """(S, 1, 8) features, one of which is noise plus a curve, and the mouth (S, 2) that follows the curve.

    The mouth is `sign` times the curve and comes `lag_frames` before the features.
    """
    draw = np.random.default_rng(seed)
    curve = np.convolve(draw.standard_normal(frames), np.ones(5) / 2, "same").astype(np.float32)
    features = noise * draw.standard_normal((frames, 1, 8)).astype(np.float32)
    features[lag_frames:, 0, 2] += curve[: frames - lag_frames]
    mouth = sign * np.stack([curve, -curve], 1) / curve.std()
    return torch.from_numpy(features).half(), torch.from_numpy(mouth.astype(np.float32))


def example_of(features: torch.Tensor, mouth: torch.Tensor) -> Example:
    frames = len(mouth)
    valid, no_phones = torch.ones(frames, dtype=torch.bool), torch.zeros(frames, 0)
    return Example(features, mouth, torch.eye(2), valid, no_phones, closed=torch.zeros(frames))


def tracked_clip(
    speaker: str, seed: int, sign: float = 1.0, noise: float = 1.0, frames: int = 400, lag_frames: int = 0
) -> Clip:
    """A clip at 50 frames a second; the arguments are those of `features_and_mouth`."""
    features, mouth = features_and_mouth(seed, sign, noise, frames, lag_frames)
    curve = mouth[:, 0].double().numpy()
    entry = ClipEntry(Path(), Path(), 0.0, speaker, np.inf)
    opening, width = curve + 9.0, 5.0 - curve
    return Clip(entry, [example_of(features, mouth)], np.arange(frames) / 50, opening, width, np.ones(frames, np.bool_))


def write_ctranslate2(path: Path, variables: dict[str, np.ndarray]) -> None:
    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    content = struct.pack("<I", 6) + text("WhisperSpec") + struct.pack("<II", 3, len(variables))
    for name, value in variables.items():
        content += text(name) + struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)
        content += struct.pack("<BI", {np.dtype(np.float16): 4, np.dtype(np.int8): 1}[value.dtype], value.nbytes)
        content += value.tobytes()
    path.write_bytes(content + struct.pack("<I", 0))


def small_whisper(width: int = 64, layers: int = 2) -> dict[str, np.ndarray]:
    """Variables of a Whisper encoder of random weights."""
    draw = np.random.default_rng(0)

    def random(*shape: int) -> np.ndarray:
        return (draw.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float16)

    variables = {"conv1/weight": random(width, 80, 3), "conv2/weight": random(width, width, 3)}
    variables |= {"conv1/bias": np.zeros(width, np.float16), "conv2/bias": np.zeros(width, np.float16)}
    variables["position_encodings/encodings"] = random(300, width) * np.float16(4)
    for layer in range(layers):
        for block, one, two in (("self_attention", 3, 1), ("ffn", 4, 4)):
            name = f"layer_{layer}/{block}/"
            variables[f"{name}layer_norm/gamma"] = np.ones(width, np.float16)
            variables[f"{name}layer_norm/beta"] = np.zeros(width, np.float16)
            variables[f"{name}linear_0/weight"] = random(one * width, width)
            variables[f"{name}linear_0/bias"] = np.zeros(one * width, np.float16)
            variables[f"{name}linear_1/weight"] = random(width, two * width) * np.float16(0.3)
            variables[f"{name}linear_1/bias"] = random(width, 1)[:, 0]
    return {f"encoder/{name}": value for name, value in variables.items()} | {"encoder/kind": np.array(1, np.int8)}


class LevelBands:
    """A phoneme recognizer: the level of each 20 ms in three bands."""

    def log_posteriors(self, audio: torch.Tensor) -> torch.Tensor:
        spectra = torch.fft.rfft(audio[: len(audio) // 320 * 320].reshape(-1, 320)).abs()
        return torch.stack([band.mean(1).clamp(min=1e-3).log() for band in spectra.split(54, 1)], 1)
