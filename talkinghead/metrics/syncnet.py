"""SyncNet, which scores how well lips and audio match (Chung and Zisserman 2016), after its published program.

Network and inputs are those of `syncnet_python` (model S, syncnet_v2): 25 frames a second, faces of 224 px in BGR with
values up to 255, audio at 16 kHz as 13 cepstral coefficients every 10 ms, 5 frames against 20 coefficients, the audio
shifted by up to 15 frames either way and padded with zeros. Distances are averaged over the clip for each offset. LSE-D
is the smallest of them, LSE-C the median minus the smallest, and the offset 15 minus the index of the smallest: 5 for
video that is 5 frames late (Prajwal et al. 2020 named them so).

One thing differs: the face is located by landmarks, not by the S3FD detector, and its box is placed where that
detector's would be. LSE compares between programs only as far as the boxes agree. The weights are not part of this
package.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.signal import medfilt
from torch import Tensor, nn
from torch.nn import functional

from talkinghead.errors import MediaError
from talkinghead.structures import ByteArray, FloatArray, Frame, Track

Values = NDArray[np.float64]

FRAME_RATE_HZ = 25
RATE_HZ = 16000
FACE_PX = 224
WINDOW_FRAMES = 5
COEFFICIENTS_PER_FRAME = 4
WINDOW_COEFFICIENTS = WINDOW_FRAMES * COEFFICIENTS_PER_FRAME
SAMPLES_PER_FRAME = RATE_HZ // FRAME_RATE_HZ
LARGEST_OFFSET = 15
"""Largest shift of the audio, frames, either way."""
EMBEDDING = 1024
"""Channels of an embedding."""

CROP_SCALE = 0.4
"""Margin added to the face box, as a share of its half side: left, right and, twice, below."""
BOX_MEDIAN_FRAMES = 13
"""Length of the median filter that smooths the face box over time."""
WINDOWS_PER_BATCH = 32


class SyncNet(nn.Module):
    """The lip and the audio network; layers have the names of the published weights."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_audio_layer(1, 64),
            nn.MaxPool2d(1, 1),
            *_audio_layer(64, 192),
            nn.MaxPool2d(3, (1, 2)),
            *_audio_layer(192, 384),
            *_audio_layer(384, 256),
            *_audio_layer(256, 256),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(256, 512, (5, 4)),
            nn.BatchNorm2d(512),
            nn.ReLU(),
        )
        self.netfcaud = _head()
        self.netfclip = _head()
        self.netcnnlip = nn.Sequential(
            *_lip_layer(3, 96, (5, 7, 7), stride=2, padding=0),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_lip_layer(96, 256, (1, 5, 5), stride=2, padding=1),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_lip_layer(256, 256, (1, 3, 3), stride=1, padding=1),
            *_lip_layer(256, 256, (1, 3, 3), stride=1, padding=1),
            *_lip_layer(256, 256, (1, 3, 3), stride=1, padding=1),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_lip_layer(256, 512, (1, 6, 6), stride=1, padding=0),
        )

    def lips(self, faces: Tensor) -> Tensor:
        """(B, 3, T, 224, 224) faces -> (B (T - 4), 1024): an embedding for every window of 5 frames."""
        maps = self.netcnnlip(faces)  # (B, 512, T - 4, 1, 1)
        return self.netfclip(maps.flatten(2).transpose(1, 2).flatten(0, 1))

    def audio(self, cepstra: Tensor) -> Tensor:
        """(B, 1, 13, 20) cepstral coefficients -> (B, 1024) embeddings."""
        return self.netfcaud(self.netcnnaud(cepstra).flatten(1))


def _audio_layer(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()


def _lip_layer(
    inputs: int, outputs: int, kernel: tuple[int, int, int], stride: int, padding: int
) -> tuple[nn.Module, ...]:
    convolution = nn.Conv3d(inputs, outputs, kernel, (1, stride, stride), (0, padding, padding))
    return convolution, nn.BatchNorm3d(outputs), nn.ReLU()


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, EMBEDDING))


def mfcc(samples: FloatArray) -> FloatArray:
    """Mel-frequency cepstral coefficients as python_speech_features computes them.

    Windows of 25 ms, 26 mel filters up to 8 kHz, pre-emphasis 0.97, lifter 22, the log energy in place of the first
    coefficient, and samples scaled to 16-bit values.

    Args:
        samples: (N,) audio at 16 kHz in [-1, 1].

    Returns:
        (13, C) coefficients, a column every 10 ms.
    """
    signal = np.clip(np.round(samples.astype(np.float64) * 32768), -32768, 32767)
    signal = np.append(signal[:1], signal[1:] - 0.97 * signal[:-1])
    length, step = RATE_HZ * 25 // 1000, RATE_HZ * 10 // 1000
    count = 1 + max(0, math.ceil((len(signal) - length) / step))
    padded = np.pad(signal, (0, (count - 1) * step + length - len(signal)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, length)[::step]
    spectrum = np.square(np.abs(np.fft.rfft(windows, 512))) / 512
    energy = np.maximum(spectrum.sum(1), np.finfo(np.float64).eps)
    bands = np.maximum(spectrum @ _mel_filters().T, np.finfo(np.float64).eps)
    cepstra = dct(np.log(bands), type=2, axis=1, norm="ortho")[:, :13] * (1 + 11 * np.sin(np.pi * np.arange(13) / 22))
    cepstra[:, 0] = np.log(energy)
    return np.asarray(cepstra.T, np.float32)


def _mel_filters() -> Values:
    """(26, 257) triangular mel filters over the bins of the spectrum, with their corners on whole bins."""
    mel = np.linspace(0, 2595 * np.log10(1 + RATE_HZ / 2 / 700), 28)
    corners = np.floor(513 * 700 * (10 ** (mel / 2595) - 1) / RATE_HZ)
    bins = np.arange(257)
    left, middle, right = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising, falling = (bins - left) / (middle - left), (right - bins) / (right - middle)
    inside = (bins >= left) & (bins < right)
    return np.where(inside, np.where(bins < middle, rising, falling), 0)


@dataclass(frozen=True)
class FaceBoxes:
    """Square around the face in each frame of a track, as the published program crops it."""

    centers: Values
    """(T, 2) px."""
    half_sides: Values
    """(T,) px."""

    def crop(self, image: ByteArray, frame: int) -> ByteArray:
        """Face crop (224, 224, 3) BGR of frame number `frame`, an image (H, W, 3) RGB; gray (110) beyond its edge."""
        (x, y), half = self.centers[frame], self.half_sides[frame]
        left, top, side = x - half * (1 + CROP_SCALE), y - half, 2 * half * (1 + CROP_SCALE)
        zoom = FACE_PX / side
        matrix = np.array([[zoom, 0, -left * zoom + zoom / 2 - 0.5], [0, zoom, -top * zoom + zoom / 2 - 0.5]])
        face = cv2.warpAffine(
            image, matrix, (FACE_PX, FACE_PX), flags=cv2.INTER_LINEAR, borderValue=(110.0, 110.0, 110.0)
        )
        return np.ascontiguousarray(face[..., ::-1])


def face_boxes(track: Track) -> FaceBoxes:
    """Squares around the face mesh, smoothed by a median over 13 frames, interpolated where no face was found.

    Raises:
        ValueError: no frame of the track is valid.
    """
    if not track.valid.any():
        raise ValueError("no frame shows a face")
    places = track.landmarks[:, :468, :2].astype(np.float64)
    low, high = places.min(1), places.max(1)
    boxes = np.column_stack([(low + high) / 2, (high - low).max(1) / 2])
    frames = np.arange(len(track))
    filled = [np.interp(frames, frames[track.valid], column[track.valid]) for column in boxes.T]
    reach = BOX_MEDIAN_FRAMES // 2
    smooth = [medfilt(np.pad(column, reach, mode="edge"), BOX_MEDIAN_FRAMES)[reach:-reach] for column in filled]
    return FaceBoxes(np.stack(smooth[:2], 1), smooth[2])


def at_frame_rate(frames: Iterable[Frame]) -> Iterator[tuple[int, Frame]]:
    """(number, frame) of a clip resampled to 25 frames a second by taking the frame nearest to each time."""
    index, before, half_step_s = 0, None, 0.5 / FRAME_RATE_HZ
    for number, frame in enumerate(frames):
        if before is not None:
            half_step_s = (frame.time_s - before[1].time_s) / 2
            while index / FRAME_RATE_HZ < before[1].time_s + half_step_s:
                yield before
                index += 1
        before = number, frame
    while before is not None and index / FRAME_RATE_HZ < before[1].time_s + half_step_s:
        yield before
        index += 1


@dataclass(frozen=True)
class Embeddings:
    """SyncNet's embeddings of a clip, one row a window of 5 frames."""

    lips: Tensor
    """(W, 1024)"""
    audio: Tensor
    """(W, 1024)"""


@dataclass(frozen=True)
class LipSync:
    """SyncNet's scores of a clip."""

    distance: float
    """LSE-D; lower is better."""
    confidence: float
    """LSE-C; higher is better."""
    offset: int
    """In frames at 25 fps; positive where the video is late."""


@torch.inference_mode()
def embed(network: SyncNet, frames: Iterable[Frame], track: Track, samples: FloatArray) -> Embeddings:
    """Embed a clip and its audio, a few windows at a time.

    Args:
        network: SyncNet with its weights.
        frames: all frames of the clip.
        track: landmarks of the same clip.
        samples: (N,) audio at 16 kHz from the clip's first frame on.

    Raises:
        MediaError: video or audio is shorter than six frames.
    """
    boxes = face_boxes(track)
    faces = (boxes.crop(frame.image, number) for number, frame in at_frame_rate(frames))
    lips = torch.cat([network.lips(part) for part in _batches(faces)] or [torch.zeros(0, EMBEDDING)])
    # The published program leaves out the last window that would fit.
    count = min(len(lips) - 1, len(samples) // SAMPLES_PER_FRAME - WINDOW_FRAMES)
    if count < 1:
        raise MediaError("SyncNet needs at least six frames with audio")
    cepstra = torch.from_numpy(mfcc(samples))
    windows = cepstra.unfold(1, WINDOW_COEFFICIENTS, COEFFICIENTS_PER_FRAME).transpose(0, 1)[:count, None]
    audio = torch.cat([network.audio(part) for part in windows.split(WINDOWS_PER_BATCH)])
    count = min(count, len(audio))
    return Embeddings(lips[:count], audio[:count])


def _batches(faces: Iterable[ByteArray]) -> Iterator[Tensor]:
    """Face crops in batches (1, 3, T, 224, 224) that overlap by four frames, so that every window is in one."""
    batch: list[ByteArray] = []
    for face in faces:
        batch.append(face)
        if len(batch) == WINDOWS_PER_BATCH + WINDOW_FRAMES - 1:
            yield _stacked(batch)
            batch = batch[WINDOWS_PER_BATCH:]
    if len(batch) >= WINDOW_FRAMES:
        yield _stacked(batch)


def _stacked(faces: list[ByteArray]) -> Tensor:
    return torch.from_numpy(np.stack(faces)).permute(3, 0, 1, 2)[None].float()


def lip_sync(embeddings: Embeddings, *, late_frames: int = 0) -> LipSync:
    """Distance, confidence and offset of a clip, computed as if its video came `late_frames` (at 25 fps) late."""
    lips, audio = embeddings.lips, embeddings.audio
    if late_frames:
        lips, audio = lips[: len(lips) - late_frames], audio[late_frames:]
    distances = offset_distances(lips, audio)
    best = int(distances.argmin())
    return LipSync(
        distance=float(distances[best]),
        confidence=float(distances.median() - distances[best]),
        offset=LARGEST_OFFSET - best,
    )


def offset_distances(lips: Tensor, audio: Tensor) -> Tensor:
    """(31,) mean distance of (W, 1024) lip and audio embeddings for each offset, from audio 15 frames early to late."""
    padded = functional.pad(audio, (0, 0, LARGEST_OFFSET, LARGEST_OFFSET))
    count = len(lips)
    shifted = (padded[start : start + count] for start in range(2 * LARGEST_OFFSET + 1))
    return torch.stack([functional.pairwise_distance(lips, other).mean() for other in shifted])
