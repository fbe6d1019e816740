"""Training samples of one clip: crops, masks, coefficients, and the jitter of the coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkinghead.device import to_device
from talkinghead.face.face_model import FaceModel
from talkinghead.face.region_removal import Crops, LocalRegion, crop_frame, place_crops, region_masks
from talkinghead.face.topology import LEFT_CORNER, LOWER_LIP, LOWER_LIP_OUTER, RIGHT_CORNER, UPPER_LIP, UPPER_LIP_OUTER
from talkinghead.media.video_reader import VideoReader
from talkinghead.network.coefficients import crop_coefficients
from talkinghead.network.local_modeller import LocalCoefficients, LocalModeller
from talkinghead.structures import DEFAULT_TRACKS, ByteArray, FloatArray, Reconstruction, Tracks

LIPS = (RIGHT_CORNER, LEFT_CORNER, UPPER_LIP_OUTER, LOWER_LIP_OUTER, UPPER_LIP, LOWER_LIP)
"""Landmarks that bound the mouth."""


@dataclass(frozen=True)
class SampleBatch:
    """Some samples on the device that trains; coefficients stay on the CPU, where they are jittered."""

    image: Tensor
    """(B, 3, H, W) float32 sample images in [0, 1]."""
    hole: Tensor
    """(B, 1, H, W) float32, 1 where the image is cut out."""
    feather: Tensor
    """(B, 1, H, W) float32 in [0, 1], the region with its soft edge."""
    coefficients: LocalCoefficients
    """B sets."""
    mouth_px: FloatArray
    """(B, 4) center x, y and half axes of the mouth in each crop, pixels."""

    @property
    def filled(self) -> Tensor:
        """(B, 3, H, W) images to be filled: sample images, 0 in the hole."""
        return self.image * (1 - self.hole)


@dataclass(frozen=True)
class Samples:
    """Training samples of one clip, in memory."""

    crops: ByteArray
    """(S, h, w, 3) uint8 sample images."""
    holes: ByteArray
    """(S, h, w) uint8, 1 where the image is cut out, else 0."""
    feathers: ByteArray
    """(S, h, w) uint8, the region with its soft edge: 255 is 1."""
    coefficients: LocalCoefficients
    """S sets, the frames' own expression among them."""
    mouth_px: FloatArray
    """(S, 4) center x, y and half axes of the mouth in each crop, pixels."""
    frames: NDArray[np.int64]
    """(S,) numbers of the clip's frames that the samples are."""

    def __len__(self) -> int:
        return len(self.crops)

    def batch(self, chosen: NDArray[np.int64], device: torch.device) -> SampleBatch:
        """The samples of the numbers `chosen`, (B,), on a device."""
        arrays = (self.crops[chosen], self.holes[chosen], self.feathers[chosen])
        image, hole, feather = (to_device(torch.from_numpy(array), device) for array in arrays)
        return SampleBatch(
            image.permute(0, 3, 1, 2).float() / 255,
            hole[:, None].float(),
            feather[:, None].float() / 255,
            select_coefficients(self.coefficients, chosen),
            self.mouth_px[chosen],
        )


def gather_samples(
    clip: Path,
    model: FaceModel,
    region: LocalRegion,
    reconstruction: Reconstruction,
    size_px: tuple[int, int],
    largest_frames: int,
    tracks: Tracks = DEFAULT_TRACKS,
) -> Samples:
    """Crops, masks and coefficients of a clip's valid frames.

    Args:
        clip: the video.
        model: the face model.
        region: what is cut out of each frame.
        reconstruction: of all T frames of the clip.
        size_px: height and width of the crops.
        largest_frames: longer clips are thinned evenly to so many frames.
        tracks: which video track is read.

    Raises:
        MissingFileError, MediaError: the clip cannot be read.
    """
    crops = place_crops(region, reconstruction, size_px)
    usable = np.flatnonzero(reconstruction.valid)
    frames = usable[np.unique(np.linspace(0, len(usable) - 1, largest_frames).astype(int))]
    wanted, images = set(frames.tolist()), []
    with VideoReader(clip, tracks) as reader:
        for number, frame in enumerate(reader):
            if number in wanted:
                images.append(crop_frame(frame.image, crops.to_frame[number], size_px))
    frames = frames[: len(images)]  # a clip may hold fewer frames this time than when it was tracked
    part = reconstruction.select(frames)
    part_crops = Crops(crops.to_frame[frames], size_px)
    holes, feathers = region_masks(region, part, part_crops)
    everything = np.arange(len(frames))
    coefficients = crop_coefficients(part, part_crops, everything, part.expression)
    return Samples(
        np.stack(images),
        holes,
        np.round(feathers * 255).astype(np.uint8),
        coefficients,
        _mouth_ellipses(coefficients, model.of(part.identity).local_neutral, model.local_index, model.reach_basis),
        frames,
    )


def _mouth_ellipses(
    coefficients: LocalCoefficients, neutral: FloatArray, index: dict[int, int], basis: FloatArray
) -> FloatArray:
    """(S, 4) center and half axes of an ellipse around the lips, with room, in crop pixels."""
    lips = [index[point] for point in LIPS]
    modeller = LocalModeller(torch.from_numpy(neutral[lips]), torch.from_numpy(np.ascontiguousarray(basis[:, lips])))
    points_px = modeller(coefficients)[..., :2].numpy()
    low, high = points_px.min(1), points_px.max(1)
    return np.concatenate([(low + high) / 2, (high - low) / 2 * 1.2 + 2], axis=1).astype(np.float32)


def coefficient_jitter(
    coefficients: LocalCoefficients,
    expression_std: Tensor,
    expression_share: float,
    pose_px: float,
    draw: np.random.Generator,
) -> LocalCoefficients:
    """Shift sample coefficients at random within a preset range (patent: claim 8).

    The coefficients that drive the network later are predicted or measured with some error; a network trained on exact
    ones alone would draw each error.

    Args:
        coefficients: B sets.
        expression_std: (K,) the anchor's own standard deviation of each coefficient.
        expression_share: half width of the range, as a share of it.
        pose_px: half width of the range of the translation, in crop pixels.
        draw: random numbers.
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
    """Split the numbers of `count` samples into those to train on and those to hold out.

    The latter lie in short runs of neighboring frames, spread over the clip: of a lone frame both neighbors, nearly
    the same image, would be trained on.

    Args:
        count: samples.
        held_out_share: of them, about.
    """
    run = max(1, min(5, count // 20))
    runs = max(1, round(count * held_out_share / run))
    starts = np.linspace(0, count - run, runs + 2)[1:-1].astype(int)
    held_out = np.unique((starts[:, None] + np.arange(run)).ravel())
    return np.setdiff1d(np.arange(count), held_out), held_out


def select_coefficients(coefficients: LocalCoefficients, chosen: NDArray[np.int64]) -> LocalCoefficients:
    """The sets of the numbers `chosen`, (B,), in their order."""
    index = torch.from_numpy(chosen)
    return LocalCoefficients(
        coefficients.expression[index],
        coefficients.rotation[index],
        coefficients.translation[index],
        coefficients.scale[index],
    )
