"""Recordings to train on, and their augmentation: speed, rooms, other voices, noise, codecs, levels, filters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
import torchaudio
from torch import Tensor
from torch.nn import functional

from talkinghead.errors import MediaError, MissingFileError
from talkinghead.media.audio_reader import read_audio
from talkinghead.speech.audio_window import normalize_loudness
from talkinghead.speech.front_ends import RATE_HZ

AUDIO_SUFFIXES = {".opus", ".ogg", ".wav", ".flac", ".mp3", ".m4a"}
"""Files with one of these endings are recordings."""
PERTURBED_RATES_HZ = (13600, 14400, 15200, 16800, 17600, 18400)
"""Speed perturbation: a recording at 16 kHz is taken for one at one of these rates. Source: Ko et al. 2015."""
LONGEST_S = 3600
"""Longer recordings are cut."""


class Recordings:
    """Speech files, read when first drawn and then kept in memory, as 16-bit samples at one loudness."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = list(files)
        self._samples: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, number: int) -> Tensor:
        """(N,) float32 at 16 kHz; silence where a file cannot be read."""
        if number not in self._samples:
            try:
                audio = torch.from_numpy(read_audio(self._files[number], whole=True).samples.copy())[
                    : LONGEST_S * RATE_HZ
                ]
            except MediaError:
                audio = torch.zeros(RATE_HZ)
            level = normalize_loudness(audio) if len(audio) else torch.zeros(RATE_HZ)
            self._samples[number] = (level.clamp(-1, 1) * 32767).short()
        return self._samples[number].float() / 32767

    def stretch(self, length: int, draw: np.random.Generator) -> Tensor:
        """A random stretch of (length,) samples at 16 kHz; short recordings are joined, with pauses between them."""
        audio = self[int(draw.integers(len(self)))]
        while len(audio) < length:
            pause = torch.zeros(int(draw.integers(800, 8000)))
            audio = torch.cat([audio, pause, self[int(draw.integers(len(self)))]])
        start = int(draw.integers(0, len(audio) - length + 1))
        return audio[start : start + length]


def find_recordings(folders: Iterable[Path], held_out: Sequence[str]) -> tuple[Recordings, Recordings]:
    """All audio files under some folders: those to train on, and those to measure on.

    Args:
        folders: searched with all folders inside.
        held_out: names of files and folders; what has one of them on its path is measured on.

    Raises:
        MissingFileError: a folder does not exist, or none holds an audio file to train on.
    """
    training: list[Path] = []
    measuring: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise MissingFileError(f"There is no folder {folder}.")
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in AUDIO_SUFFIXES:
                (measuring if any(part in held_out for part in path.parts) else training).append(path)
    if not training:
        raise MissingFileError("The folders hold no audio file to train on.")
    return Recordings(training), Recordings(measuring)


class Augmentation:
    """Random augmentation of audio: rooms, other voices, noise, telephones, levels; never a shift in time."""

    def __init__(self, recordings: Recordings, draw: np.random.Generator) -> None:
        """`recordings`: other voices are mixed in from there; `draw`: random numbers."""
        self._recordings = recordings
        self._draw = draw
        spectrum = torch.fft.rfft(torch.randn(12, 1 << 18))
        slope = torch.linspace(0, 1.2, 12)[:, None]  # from white noise to darker than pink
        self._noises = torch.fft.irfft(spectrum / (torch.arange(spectrum.shape[1]) + 300.0) ** slope)

    def __call__(self, audio: Tensor) -> Tensor:
        """Augment audio at 16 kHz: (N,) -> (N,)."""
        draw = self._draw
        if draw.random() < 0.35:
            audio = self._in_room(audio)
        kind = draw.random()
        if kind < 0.25:
            audio = _mixed(audio, self._recordings.stretch(len(audio), draw), draw.uniform(8, 30))
        elif kind < 0.6:
            noise = self._noises[draw.integers(len(self._noises))]
            start = int(draw.integers(0, len(noise) - len(audio) + 1))
            audio = _mixed(audio, noise[start : start + len(audio)], draw.uniform(3, 35))
        if draw.random() < 0.1:
            audio = _over_telephone(audio)
        if draw.random() < 0.8:
            audio = normalize_loudness(audio) * 10 ** (draw.uniform(-4, 4) / 20)
        return audio

    def _in_room(self, audio: Tensor) -> Tensor:
        """Add reverberation, a decaying tail of noise behind the direct sound, which stays where it is."""
        length = int(self._draw.uniform(0.1, 0.6) * RATE_HZ)
        tail = torch.randn(length) * 10 ** (-3 * torch.arange(length) / length)
        tail[:16] = 0
        tail *= self._draw.uniform(0.1, 0.8) / tail.norm()
        tail[0] = 1
        size = 1 << (len(audio) + length).bit_length()
        return torch.fft.irfft(torch.fft.rfft(audio, size) * torch.fft.rfft(tail, size), size)[: len(audio)]


def speed_perturbed(recordings: Recordings, length: int, draw: np.random.Generator) -> Tensor:
    """A random stretch of (length,) samples at 16 kHz, with speed perturbation in half of the cases.

    Speed perturbation changes pitch, formants and tempo, as another speaker would.
    """
    if draw.random() < 0.5:
        return recordings.stretch(length, draw)
    rate_hz = int(draw.choice(PERTURBED_RATES_HZ))
    audio = recordings.stretch(-(-length * rate_hz // RATE_HZ), draw)
    return torchaudio.functional.resample(audio, rate_hz, RATE_HZ)[:length]


def _over_telephone(audio: Tensor) -> Tensor:
    """A telephone line, without anything above 4 kHz and with eight bits a sample: (N,) -> (N,)."""
    narrow = torchaudio.functional.resample(audio, RATE_HZ, RATE_HZ // 2)
    peak = narrow.abs().max().clamp(min=1e-6)
    coded = torchaudio.functional.mu_law_decoding(torchaudio.functional.mu_law_encoding(narrow / peak, 256), 256)
    return functional.pad(torchaudio.functional.resample(coded * peak, RATE_HZ // 2, RATE_HZ), (0, 1))[: len(audio)]


def _mixed(audio: Tensor, other: Tensor, ratio_db: float) -> Tensor:
    """Add other audio, so much weaker: (N,), (N,) -> (N,)."""
    return audio + other * (audio.norm() / (other.norm() + 1e-6) * 10 ** (-ratio_db / 20))


def filter_augmented(spectra: Tensor) -> Tensor:
    """Add a smooth random curve over frequency to log spectra, as microphones and codecs do: (B, mels, S) -> the same.

    Source: FilterAugment, Nam et al. 2022.
    """
    gains = torch.randn(len(spectra), 1, 6) * torch.rand(len(spectra), 1, 1) * 0.12
    curve = functional.interpolate(gains, size=spectra.shape[1], mode="linear", align_corners=True)
    return spectra + curve.transpose(1, 2)
