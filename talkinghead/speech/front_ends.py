"""What a speech encoder is given in place of a waveform: log-mel spectra, filter banks, or the waveform itself."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from talkinghead.speech.loudness import LOUDNESS_LUFS

RATE_HZ = 16000
"""Sample rate of every encoder of the family."""
LOG_MEL = "LogMelFrontEnd"
"""Name of this project's own front end in preprocessor_config.json."""


class FrontEnd(Protocol):
    """What an encoder is given in place of a waveform, and where in time its frames lie."""

    hop: int
    """Samples from one feature frame to the next."""
    center: int
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
    center = 0
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
        self.center = field // 2

    def __call__(self, samples: Tensor) -> Tensor:
        return samples * self.gain


class FilterBankFrontEnd:
    """Kaldi's filter bank, two spectra stacked, as the published Wav2Vec2Bert models take it."""

    hop = 320
    reach = 560
    center = 280

    def __init__(self, folder: Path) -> None:
        from transformers import AutoFeatureExtractor

        self._extractor = AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)

    def __call__(self, samples: Tensor) -> Tensor:
        audio = samples[0].cpu().numpy()
        made = self._extractor(audio, sampling_rate=RATE_HZ, return_tensors="pt", pad_to_multiple_of=2)
        frames: Tensor = made["input_features"]
        return frames.to(samples.device)
