"""Clips of an evaluation: a video with the landmarks of its face, and two of them read frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from talkinghead import metrics
from talkinghead.face.tracking import track_file
from talkinghead.media.video_reader import VideoReader, read_video_info
from talkinghead.structures import UNTREATED, ByteArray, PictureTreatment, Track


@dataclass(frozen=True)
class Clip:
    """A video file and the landmarks found in it; its frames are read again when they are needed."""

    path: Path
    frame_rate: Fraction
    track: Track
    treatment: PictureTreatment = UNTREATED
    """What reading the video does to its pictures."""


def read_clip(path: Path) -> Clip:
    """Find the landmarks of a video, or take them from the cache.

    Raises:
        MissingFileError, MediaError, NoVideoError: the file cannot be read, or holds no video.
        ModelUnavailableError: the landmark model is not installed.
    """
    info = read_video_info(path)
    return Clip(path, info.frame_rate, track_file(path), info.treatment)


def side_by_side(
    output_path: Path, reference_path: Path, partners: NDArray[np.intp]
) -> Iterator[tuple[int, ByteArray, ByteArray]]:
    """Read two videos together, one frame of each at a time.

    Args:
        output_path: video whose frames are scaled to the reference's size.
        reference_path: video that is read frame by frame.
        partners: (T,) for each frame of the reference the number of the output's frame beside it, never decreasing;
            -1 for none.

    Yields:
        (frame number of the reference, output image, reference image) where there is a partner, both (H, W, 3) uint8.
    """
    with VideoReader(output_path) as outputs, VideoReader(reference_path) as references:
        numbered = enumerate(outputs)
        number, output = next(numbered)
        for frame, (reference, partner) in enumerate(zip(references, partners, strict=True)):
            if partner >= 0:
                while number < partner:
                    number, output = next(numbered)
                yield frame, resized(output.image, references.info.width, references.info.height), reference.image


def resized(image: ByteArray, width: int, height: int) -> ByteArray:
    """An image (H, W, 3) at another size; a row or column that an encoder added to an odd size is cut off."""
    if metrics.is_padded(image.shape[1], width):
        image = image[:, :width]
    if metrics.is_padded(image.shape[0], height):
        image = image[:height]
    if image.shape[:2] == (height, width):
        return image
    interpolation = cv2.INTER_AREA if width < image.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), np.uint8)
