"""Metrics on images: PSNR, SSIM, MS-SSIM, sharpness, seam, leak; and the mouth crop that some are measured on.

Images are (H, W, 3) uint8 RGB.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from skimage.metrics import structural_similarity

from talkinghead.face.topology import CHIN, NOSE_BASE
from talkinghead.metrics.curves import Values, finite_mean
from talkinghead.metrics.landmarks import face_width_px, frame_period_s, points
from talkinghead.structures import BoolArray, ByteArray, Track

PSNR_CAP_DB = 100.0
"""PSNR of identical images, which would be infinite, and the largest value returned."""
CROP_SHARE = 0.75
"""Side of the mouth crop over the width of the face."""
CROP_SMOOTHING_S = 0.2
"""Standard deviation of the Gaussian that smooths the position of the mouth crop over time."""
MINIMUM_CROP_PX = 16
SSIM_WINDOW_PX = 11
MS_SSIM_SCALES = 5
MS_SSIM_SHORTEST_PX = SSIM_WINDOW_PX * 2 ** (MS_SSIM_SCALES - 1)
"""Shortest side of an image, px, that MS-SSIM can be computed on: its coarsest scale must still hold one window."""


@dataclass(frozen=True)
class MouthCrop:
    """A square around mouth and chin that follows the head through a clip; its size is the same in every frame."""

    left: NDArray[np.intp]
    """(T,) first column, >= 0."""
    top: NDArray[np.intp]
    """(T,) first row, >= 0."""
    side: int
    """Side in pixels."""

    def of(self, image: ByteArray, frame: int) -> ByteArray:
        """(side, side, 3) cut out of the image (H, W, 3) of a frame; `frame` is its number."""
        top, left = self.top[frame], self.left[frame]
        return image[top : top + self.side, left : left + self.side]


def mouth_crop(reference: Track) -> MouthCrop:
    """The mouth crop of a clip, from the reference's landmarks alone, so that an output cannot move where it is scored.

    The side is `CROP_SHARE` of the clip's median face width. The center lies half way between the base of the nose and
    the tip of the chin, smoothed over time and interpolated over frames without a face. At the edge of the image the
    square is moved inside. A face turned by up to 20 degrees is covered from the base of the nose to below the chin.

    Raises:
        ValueError: the reference has no valid frame.
    """
    if not reference.valid.any():
        raise ValueError("a mouth crop needs at least one frame with a face")
    side = max(round(CROP_SHARE * float(np.nanmedian(face_width_px(reference)))), MINIMUM_CROP_PX)
    side = min(side, reference.width, reference.height)
    centers = _smooth(points(reference, (NOSE_BASE, CHIN)).mean(axis=1), reference)
    corner = np.round(centers - side / 2).astype(np.intp)
    return MouthCrop(
        left=np.clip(corner[:, 0], 0, reference.width - side),
        top=np.clip(corner[:, 1], 0, reference.height - side),
        side=side,
    )


def psnr(output: ByteArray, reference: ByteArray) -> float:
    """Peak signal-to-noise ratio in dB of two images (H, W, 3) uint8, over all channels, at most `PSNR_CAP_DB`."""
    difference = output.astype(np.float32) - reference
    error = float(np.mean(np.square(difference), dtype=np.float64))
    return PSNR_CAP_DB if error == 0 else min(10 * math.log10(255**2 / error), PSNR_CAP_DB)


def ssim(output: ByteArray, reference: ByteArray) -> float:
    """Structural similarity of the luma of two images (H, W, 3) uint8, with the window of Wang et al. 2004.

    Raises:
        ValueError: the images are smaller than the window, `SSIM_WINDOW_PX`.
    """
    return float(
        structural_similarity(
            luma(output),
            luma(reference),
            data_range=255.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def ms_ssim(output: ByteArray, reference: ByteArray) -> float:
    """Multi-scale structural similarity of the luma of two images (H, W, 3) uint8 (Wang et al. 2003).

    NaN where a side is shorter than `MS_SSIM_SHORTEST_PX`.
    """
    if min(reference.shape[:2]) < MS_SSIM_SHORTEST_PX:
        return math.nan
    # Imported here because it takes a second and most users of this module do not need it.
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    one, other = (torch.from_numpy(luma(image))[None, None].float() for image in (output, reference))
    return float(multiscale_structural_similarity_index_measure(one, other, data_range=255.0))


def sharpness(image: ByteArray) -> float:
    """Mean squared Laplacian of the luma of an image (H, W, 3) uint8 (energy of Laplacian, Subbarao et al. 1993).

    NaN where a side is shorter than three pixels.
    """
    if min(image.shape[:2]) < 3:
        return math.nan
    gray = luma(image)
    inner = gray[1:-1, 1:-1]
    laplacian = gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:] - 4 * inner
    return float(np.mean(np.square(laplacian)))


def luma(image: ByteArray) -> Values:
    """(H, W) float64 in [0, 255]: luma of an image (H, W, 3) uint8, by the weights of ITU-R BT.601."""
    return np.asarray(image @ np.array([0.299, 0.587, 0.114]))


def seam(output: ByteArray, source: ByteArray, pasted: BoolArray) -> float:
    """Mean step between pixels across the paste boundary, in the output over the same in the source; 1 is seamless.

    Args:
        output: (H, W, 3) uint8.
        source: (H, W, 3) uint8, what was pasted into.
        pasted: (H, W) True where the output's pixels were pasted.

    Returns:
        The ratio; NaN when there is no boundary, or no step at all across it in the source.
    """
    before = _boundary_step(source, pasted)
    return _boundary_step(output, pasted) / before if before > 0 else math.nan


def leak(output: ByteArray, other: ByteArray, region: BoolArray) -> float:
    """Mean absolute difference, in levels of 255, of two outputs (H, W, 3) uint8 inside a region (H, W).

    Both outputs have to be generated from clips that differ in the original mouth alone; any difference then leaked
    from there. NaN for an empty region.
    """
    return float(np.abs(output[region].astype(np.int16) - other[region]).mean()) if region.any() else math.nan


def _smooth(centers: Values, track: Track) -> Values:
    """(T, 2) positions, interpolated over frames without a face and smoothed over `CROP_SMOOTHING_S`."""
    frames = np.arange(len(track))
    filled = np.stack([np.interp(frames, frames[track.valid], axis[track.valid]) for axis in centers.T], axis=1)
    period_s = frame_period_s(track.times_s)
    if not period_s:
        return filled
    return np.asarray(gaussian_filter1d(filled, CROP_SMOOTHING_S / period_s, axis=0, mode="nearest"))


def _boundary_step(image: ByteArray, pasted: BoolArray) -> float:
    """Mean absolute difference between neighboring pixels of which exactly one was pasted."""
    values = image.astype(np.int16)
    across = np.abs(np.diff(values, axis=1))[pasted[:, 1:] != pasted[:, :-1]]
    down = np.abs(np.diff(values, axis=0))[pasted[1:] != pasted[:-1]]
    return finite_mean(np.concatenate((across.ravel(), down.ravel())).astype(np.float64))
