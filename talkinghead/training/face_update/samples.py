"""Training samples of one clip: crops, masks, coefficients, and their jitter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkinghead.face.face_model import FaceModel
from talkinghead.face.region_removal import (
    Crops,
    LocalRegion,
    crop_frame,
    place_crops,
    region_masks,
)
from talkinghead.face.topology import LEFT_CORNER, LOWER_LIP, LOWER_LIP_OUTER, RIGHT_CORNER, UPPER_LIP, UPPER_LIP_OUTER
from talkinghead.media.video_reader import VideoReader
from talkinghead.network.coefficients import crop_coefficients
from talkinghead.network.local_modeller import LocalCoefficients, LocalModeller
from talkinghead.structures import ByteArray, FloatArray, Reconstruction

LIPS = (RIGHT_CORNER, LEFT_CORNER, UPPER_LIP_OUTER, LOWER_LIP_OUTER, UPPER_LIP, LOWER_LIP)
"""Landmarks that bound the mouth."""


@dataclass(frozen=True)
class Samples:
    """Training samples of one clip, in memory."""

    crops: ByteArray
    """(S, h, w, 3) uint8 sample images."""
    holes: ByteArray
    """(S, h, w) uint8, 0 or 1."""
    feathers: ByteArray
    """(S, h, w) uint8, 255 is 1."""
    coefficients: LocalCoefficients
    """S sets, the frames' own expression among them."""
    mouth_px: FloatArray
    """(S, 4) centre x, y and half axes of the mouth in each crop, pixels."""

    def __len__(self) -> int:
        return len(self.crops)


def gather_samples(
    clip: Path,
    model: FaceModel,
    region: LocalRegion,
    reconstruction: Reconstruction,
    size_px: tuple[int, int],
    largest_frames: int,
) -> Samples:
    """Crops, masks and coefficients of the clip's valid frames, thinned evenly to `largest_frames`."""
    crops = place_crops(region, reconstruction, size_px)
    usable = np.flatnonzero(reconstruction.valid)
    frames = usable[np.unique(np.linspace(0, len(usable) - 1, largest_frames).astype(int))]
    wanted, pictures = set(frames.tolist()), []
    with VideoReader(clip) as reader:
        for number, frame in enumerate(reader):
            if number in wanted:
                pictures.append(crop_frame(frame.image, crops.to_frame[number], size_px))
    frames = frames[: len(pictures)]
    part = reconstruction.select(frames)
    part_crops = Crops(crops.to_frame[frames], size_px)
    holes, feathers = region_masks(region, part, part_crops)
    everything = np.arange(len(frames))
    coefficients = crop_coefficients(part, part_crops, everything, part.expression)
    return Samples(
        np.stack(pictures),
        holes,
        np.round(feathers * 255).astype(np.uint8),
        coefficients,
        _mouth_ellipses(coefficients, model.of(part.identity).local_neutral, model.local_index, model.reach_basis),
    )


def _mouth_ellipses(
    coefficients: LocalCoefficients, neutral: FloatArray, index: dict[int, int], basis: FloatArray
) -> FloatArray:
    """(S, 4) centre and half axes of an ellipse around the lips, with room, in crop pixels."""
    lips = [index[point] for point in LIPS]
    modeller = LocalModeller(torch.from_numpy(neutral[lips]), torch.from_numpy(np.ascontiguousarray(basis[:, lips])))
    seen = modeller(coefficients)[..., :2].numpy()
    low, high = seen.min(1), seen.max(1)
    return np.concatenate([(low + high) / 2, (high - low) / 2 * 1.2 + 2], axis=1).astype(np.float32)


def coefficient_jitter(
    coefficients: LocalCoefficients,
    expression_std: Tensor,
    expression_share: float,
    pose_px: float,
    draw: np.random.Generator,
) -> LocalCoefficients:
    """Shift sample coefficients at random within a preset range (patent: claim 8).

    What drives the network later was predicted or measured with some error; a network that only ever saw exact
    coefficients takes each error at its word.

    Args:
        coefficients: B sets.
        expression_std: (K,) the anchor's own standard deviation of each coefficient.
        expression_share: half width of the range, as a share of it.
        pose_px: half width of the range of the translation, in crop pixels.
        draw: source of chance.
    """
    shift = draw.uniform(-1, 1, coefficients.expression.shape).astype(np.float32)
    move = draw.uniform(-pose_px, pose_px, coefficients.translation.shape).astype(np.float32)
    return LocalCoefficients(
        coefficients.expression + torch.from_numpy(shift) * expression_std * expression_share,
        coefficients.rotation,
        coefficients.translation + torch.from_numpy(move),
        coefficients.scale,
    )


def held_out_frames(count: int, held_out_share: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of `count` samples to train on and to hold out; the latter in short runs, without close neighbours."""
    run = max(1, min(5, count // 20))
    runs = max(1, round(count * held_out_share / run))
    starts = np.linspace(0, count - run, runs + 2)[1:-1].astype(int)
    held_out = np.unique((starts[:, None] + np.arange(run)).ravel())
    return np.setdiff1d(np.arange(count), held_out), held_out


def select_coefficients(coefficients: LocalCoefficients, chosen: NDArray[np.int64]) -> LocalCoefficients:
    index = torch.from_numpy(chosen)
    return LocalCoefficients(
        coefficients.expression[index],
        coefficients.rotation[index],
        coefficients.translation[index],
        coefficients.scale[index],
    )
