"""Front ends: from a waveform to the input of a speech encoder, be it log-mel spectra, filter banks or the waveform."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from talkinghead.speech.loudness import LOUDNESS_LUFS
from talkinghead.structures import FloatArray

RATE_HZ = 16000
"""Sample rate of every encoder of the wav2vec2 family."""
LOG_MEL = "LogMelFrontEnd"
"""Name of this project's log-mel front end in preprocessor_config.json."""


class FrontEnd(Protocol):
    """Computes the input of an encoder from a waveform, and says where in time the feature frames lie."""

    hop: int
    """Samples from one feature frame to the next."""
    center: int
    """Samples from the beginning of a chunk to the center of its first feature frame."""
    reach: int
    """Samples that the last feature frame needs, counted from the beginning of its hop."""

    def __call__(self, samples: Tensor) -> Tensor:
        """Compute the input of the model, (1, ...), from a waveform (1, N)."""
        ...


class LogMelFrontEnd:
    """Log-mel spectrogram with a fixed floor; each feature frame of 20 ms stacks five spectra, 10 ms apart.

    Frame i is centered on sample 320 i. The definition is Whisper's (25 ms Hann window, 80 Slaney mels up to 8 kHz,
    (log10 + 4) / 4) but for the floor, which is fixed and not relative to the loudest moment of the file: so a frame's
    input depends on the audio around it alone. Two constants are appended to each frame, since the layer norm at the
    model's input would otherwise remove its loudness.
    """

    hop = 320
    """Samples from one feature frame to the next; spectra are half of that apart."""
    center = 0
    """Samples from the beginning of a chunk to the center of its first feature frame."""
    reach = 320
    """Samples that the last feature frame needs, counted from the beginning of its hop."""
    mels = 80
    """Bands of the mel filter bank."""
    window = 400
    """Length of the Hann window and of the Fourier transform, samples."""
    spectra = 5
    """Consecutive spectra that are stacked to one frame."""
    floor = -7.0
    """Least log10 of mel power."""
    anchor = 8.0
    """Constant that is appended to each frame, followed by its negative."""
    width = mels * spectra + 2
    """Numbers in each frame: the stacked spectra and the two constants."""

    def __init__(self) -> None:
        self._filters = torch.from_numpy(mel_filters(self.mels, self.window))
        self._window = torch.hann_window(self.window)

    def spectra_of(self, samples: Tensor) -> Tensor:
        """Log-mel spectra of a waveform: (B, N) -> (B, mels, 2 (N // 320)), spectrum j centered on sample 160 j."""
        device = samples.device
        hop = self.hop // 2
        # Padded with silence: torch's own padding, by reflection, needs more audio than the shortest recordings have.
        padded = functional.pad(samples, (self.window // 2, self.window // 2))
        spectrum = torch.stft(
            padded, self.window, hop, window=self._window.to(device), center=False, return_complex=True
        )
        # 1e-10 keeps the logarithm of silence finite, as in Whisper; the floor is this project's. The scaling is
        # Whisper's. Spectra of an incomplete last frame are cut off.
        power = self._filters.to(device) @ spectrum.abs().square()  # (B, mels, spectra)
        return (power.clamp(min=1e-10).log10().clamp(min=self.floor)[..., : samples.shape[-1] // self.hop * 2] + 4) / 4

    def mel_power(self, pieces: Tensor) -> Tensor:
        """Mel power of pieces of a waveform, a window long each: (n, window) -> (n, mels)."""
        spectrum = torch.fft.rfft(pieces * self._window.to(pieces.device))
        return spectrum.abs().square() @ self._filters.to(pieces.device).T

    def scaled(self, log_power: Tensor) -> Tensor:
        """What `spectra_of` makes of log10 of the mel power: the same shape."""
        return (log_power.clamp(min=self.floor) + 4) / 4

    def stacked(self, spectra: Tensor) -> Tensor:
        """Stack neighboring spectra to feature frames: (B, mels, 2 S) -> (B, S, width)."""
        # Frame i takes spectra 2 i - 2 to 2 i + 2; the first and the last spectrum are repeated beyond the ends.
        side = self.spectra // 2
        frames = functional.pad(spectra, (side, side), mode="replicate").unfold(2, self.spectra, 2)
        frames = frames.permute(0, 2, 3, 1).flatten(2)  # (B, mels, S, 5) -> (B, S, 5 mels)
        constant = frames.new_full((*frames.shape[:2], 1), self.anchor)
        return torch.cat([frames, constant, -constant], -1)

    def __call__(self, samples: Tensor) -> Tensor:
        """Compute feature frames of a waveform: (B, N) -> (B, N // 320, width)."""
        return self.stacked(self.spectra_of(samples))


class WhisperFrontEnd(LogMelFrontEnd):
    """Log-mel spectra without stacking, for Whisper encoders, whose convolutions reduce two spectra to one frame."""

    def __init__(self, mels: int) -> None:
        """Args: bands of the mel filter bank that the encoder was trained with."""
        self.mels = mels
        super().__init__()

    def __call__(self, samples: Tensor) -> Tensor:
        """Compute spectra of a waveform: (B, N) -> (B, mels, 2 (N // 320))."""
        return self.spectra_of(samples)


class WaveformFrontEnd:
    """The waveform itself, for models with a convolutional front end of their own.

    Models trained on input of variance 1 (`do_normalize`) get it by one fixed factor, which is right for speech at
    `LOUDNESS_LUFS`; a factor of each chunk would change the features from chunk to chunk.
    """

    def __init__(self, kernels: list[int], strides: list[int], *, unit_variance: bool) -> None:
        """Args: kernels and strides of the model's convolutions, in samples; whether it expects variance 1."""
        self.gain = 10 ** (-LOUDNESS_LUFS / 20) if unit_variance else 1.0
        self.hop = int(np.prod(strides))
        # Receptive field of one feature frame, from the last convolution back to the first.
        field = 1
        for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
            field = (field - 1) * stride + kernel
        self.reach = field
        self.center = field // 2

    def __call__(self, samples: Tensor) -> Tensor:
        """Scale a waveform: (B, N) -> (B, N)."""
        return samples * self.gain


class FilterBankFrontEnd:
    """Kaldi's filter bank with two spectra stacked to a frame: the input of the published Wav2Vec2Bert models."""

    hop = 320
    """Samples from one feature frame to the next: two spectra, 10 ms apart."""
    reach = 560
    """Samples that the last feature frame needs: two windows of 25 ms, 10 ms apart."""
    center = 280
    """Samples from the beginning of a chunk to the center of its first feature frame."""

    def __init__(self, folder: Path) -> None:
        """Args: folder of the model, whose preprocessor_config.json describes the filter bank."""
        from transformers import AutoFeatureExtractor

        self._extractor = AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)

    def __call__(self, samples: Tensor) -> Tensor:
        """Compute feature frames of a waveform: (1, N) -> (1, S, D)."""
        audio = samples[0].cpu().numpy()
        extracted = self._extractor(audio, sampling_rate=RATE_HZ, return_tensors="pt", pad_to_multiple_of=2)
        frames: Tensor = extracted["input_features"]
        return frames.to(samples.device)


def mel_filters(bands: int, window: int) -> FloatArray:
    """Triangular filters of equal area on Slaney's mel scale (Auditory Toolbox, 1998): (bands, window // 2 + 1).

    They are those of `librosa.filters.mel`, of which the import takes seconds.

    Args:
        bands: number of filters, from 0 Hz to half the sampling rate.
        window: samples of the Fourier transform.
    """
    linear_hz, log_begin_hz, log_step = 200 / 3, 1000.0, np.log(6.4) / 27
    highest = log_begin_hz / linear_hz + np.log(RATE_HZ / 2 / log_begin_hz) / log_step
    mels = np.linspace(0, highest, bands + 2)
    above = mels - log_begin_hz / linear_hz
    edges_hz = np.where(above >= 0, log_begin_hz * np.exp(log_step * above), linear_hz * mels)
    slopes = np.diff(edges_hz)
    ramps = edges_hz[:, None] - np.fft.rfftfreq(window, 1 / RATE_HZ)
    rising, falling = -ramps[:-2] / slopes[:-1, None], ramps[2:] / slopes[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    return np.asarray(triangles * (2 / (edges_hz[2:] - edges_hz[:-2]))[:, None], np.float32)
