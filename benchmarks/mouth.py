"""The mouth at close quarters: is it as sharp from speech as from the truth, do teeth stand still, do lips close.

    python benchmarks/mouth.py [--work FOLDER] [--strip PICTURE]

FOLDER is where benchmarks/quality.py left the part of a clip that its anchor was not trained on (test.mp4) and what the
anchor made of it, from true coefficients (from_truth.mp4) and from speech (from_speech.mp4). All are compared as
encoded, in crops that the truth's head pose stabilizes:

* ST-LPIPS of the mouth to the truth's, and sharpness (mean squared Laplacian) over the truth's.
* Nearest true mouths: ST-LPIPS to the most similar of the five true frames of the most like opening and width, at
  least a second apart. It tells whether a mouth could be the person's, whatever was said.
* Teeth: the shift from each frame to the next of what is bright in the upper half of the opening, in frames in which
  the truth's mouth is open, px at 512: root mean square. Upper teeth do not move against the skull; the truth's own
  number holds the errors of pose and measurement.
* Closed lips: error of the height between the inner lips in frames in which the truth's are closed, px at 512.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from harness import DEFAULT_ANCHOR, is_here, print_report
from numpy.typing import NDArray

from talkinghead import metrics
from talkinghead.face.face_model import load_face_model
from talkinghead.face.reconstruction import reconstruct
from talkinghead.face.region_removal import Crops, crop_frame, crop_size_px, local_region, place_crops
from talkinghead.face.topology import (
    INNER_LIP_LOWER,
    INNER_LIP_UPPER,
    LEFT_CORNER,
    LOWER_LIP,
    LOWER_LIP_OUTER,
    RIGHT_CORNER,
    UPPER_LIP,
    UPPER_LIP_OUTER,
)
from talkinghead.face.tracking import track_file
from talkinghead.media.images import image_grid, write_png
from talkinghead.media.video_reader import VideoReader
from talkinghead.metrics.st_lpips import ShiftTolerantLpips
from talkinghead.structures import BoolArray, ByteArray, FloatArray, Track
from talkinghead.weights.bundled import checkpoint_path

Array = NDArray[np.float64]

OPEN = 0.03
"""Height between the inner lips, over the width of the face, from which a mouth is open."""
CLOSED = 0.004
"""The same up to which it is closed."""
APART_S = 1.0
NEAREST = 5
EVERY = 3
"""Of every so many frames one is compared with true ones of like opening, which takes longest."""
BRIGHT = 0.6
"""Least luma of teeth, over that of the brightest pixels of the opening."""
FEWEST_TEETH_PX = 40
"""Pixels of a crop that a shift is measured on."""
SHOWN = 24
"""Consecutive frames on the strip."""


@dataclass(frozen=True)
class Mouths:
    """The mouth of one video, T frames, stabilized by the truth's head pose."""

    crops: ByteArray
    """(T, h, w, 3) uint8 windows, half a region's crop wide and high."""
    lips_px: Array
    """(T, 22, 2) inner lips in the windows, the upper one's from the right corner to the left one, then the lower's."""
    height: Array
    """(T,) between the inner lips, px of a frame whose face is as large as in one of 512 px (see `metrics.lmd`)."""
    openness: Array
    """(T,) height between the inner lips over the width of the face."""
    width: Array
    """(T,) between the corners, over the width of the face."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, default=DEFAULT_ANCHOR.parent)
    parser.add_argument("--strip", type=Path, help="PNG of consecutive open mouths: truth, from truth, from speech")
    options = parser.parse_args()
    paths = [options.work / name for name in ("test.mp4", "from_truth.mp4", "from_speech.mp4")]
    if not all(is_here(path, "benchmarks/quality.py makes it") for path in paths):
        return
    truth_track = track_file(paths[0])
    valid = truth_track.valid.copy()
    tracks = [truth_track, *map(track_file, paths[1:])]
    frames = min(map(len, tracks))
    for track in tracks:
        valid = valid[:frames] & track.valid[:frames]
    chosen = np.flatnonzero(valid)
    places, to_512 = stabilized(truth_track)
    videos = [mouths(path, track, places, chosen, to_512) for path, track in zip(paths, tracks, strict=True)]
    truth, ceiling, _ = videos
    seconds = truth_track.times_s[chosen]
    names = ("truth", "from truth", "from speech")
    rows = [row(name, video, truth, ceiling, seconds, chosen) for name, video in zip(names, videos, strict=True)]
    headings = ["", "ST-LPIPS", "sharpness", "over ceiling's", "nearest true mouths", "over ceiling's"]
    headings += ["teeth, px", "in frames", "closed lips, px", "in frames"]
    print_report(f"{options.work}/test.mp4, {len(chosen)} frames", headings, rows)
    if options.strip:
        begin = widest_run(truth.openness)
        shown = [[video.crops[i] for i in range(begin, min(begin + SHOWN, len(chosen)))] for video in videos]
        write_png(options.strip, image_grid(shown))


def stabilized(track: Track) -> tuple[Crops, float]:
    """Where the mouth's windows lie in the frames, and px at 512 in one px of a window."""
    model = load_face_model(checkpoint_path("face_model.safetensors"))
    reconstruction = reconstruct(track, model)
    region = local_region(model.of(reconstruction.identity))
    size_px = crop_size_px(region, reconstruction)
    crops = place_crops(region, reconstruction, size_px)
    height, width = (side // 2 for side in size_px)
    # The window lies around the middle of the mouth at rest, so it does not follow the lips.
    lips = [model.local_index[point] for point in (RIGHT_CORNER, LEFT_CORNER, UPPER_LIP_OUTER, LOWER_LIP_OUTER)]
    middle_cm = model.of(reconstruction.identity).local_neutral[lips].mean(0) - region.center
    per_cm = size_px[1] / region.width_cm
    left = size_px[1] / 2 + middle_cm[0] * per_cm - width / 2
    top = size_px[0] / 2 - middle_cm[1] * per_cm - height / 2
    moved = crops.to_frame.copy()
    moved[:, :, 2] += crops.to_frame[:, :, :2] @ (left, top)
    px_in_frame = float(np.median(np.linalg.norm(moved[:, :, 0], axis=-1)))
    return Crops(moved, (height, width)), px_in_frame * metrics.LMD_FRAME_PX / max(track.width, track.height)


def mouths(path: Path, track: Track, places: Crops, chosen: NDArray[np.int64], to_512: float) -> Mouths:
    """The mouths of the frames `chosen` of a video."""
    wanted, crops = set(chosen.tolist()), []
    with VideoReader(path) as reader:
        for number, frame in enumerate(reader):
            if number in wanted:
                crops.append(crop_frame(frame.image, places.to_frame[number], places.size_px))
    points = track.landmarks[chosen][:, [*INNER_LIP_UPPER, *INNER_LIP_LOWER], :2].astype(np.float64)
    to_frame = places.to_frame[chosen]
    lips_px = np.stack([np.linalg.solve(m[:, :2], (p - m[:, 2]).T).T for p, m in zip(points, to_frame, strict=True)])
    scale = np.linalg.norm(to_frame[:, :, 0], axis=-1)
    upper, lower, right, left = (
        track.landmarks[chosen, i, :2] for i in (UPPER_LIP, LOWER_LIP, RIGHT_CORNER, LEFT_CORNER)
    )
    gap, face = np.linalg.norm(upper - lower, axis=-1), metrics.face_width_px(track)[chosen]
    return Mouths(
        np.stack(crops), lips_px, gap / scale * to_512, gap / face, np.linalg.norm(right - left, axis=-1) / face
    )


def row(
    name: str, video: Mouths, truth: Mouths, ceiling: Mouths, seconds: Array, numbers: NDArray[np.int64]
) -> list[str]:
    """The row of one video in the table."""
    perceptual = ShiftTolerantLpips.load()
    distance = distances(perceptual, video.crops[::EVERY], truth.crops[::EVERY]).mean()
    sharp, sharp_truth, sharp_ceiling = (
        sum(map(metrics.sharpness, crops)) for crops in (video.crops, truth.crops, ceiling.crops)
    )
    near, near_ceiling = (nearest_distance(perceptual, one, truth, seconds) for one in (video, ceiling))
    is_open = (truth.openness >= OPEN) & (video.openness >= OPEN)
    pairs = np.flatnonzero(is_open[:-1] & is_open[1:] & (np.diff(numbers) == 1))
    shifts = teeth_shifts(video, pairs) * px_of(truth)
    closed = truth.openness <= CLOSED
    error = np.abs(video.height - truth.height)[closed]
    return [
        name,
        f"{distance:.4f}",
        f"{sharp / sharp_truth:.2f}",
        f"{sharp / sharp_ceiling:.2f}",
        f"{near:.4f}",
        f"{near / near_ceiling:.2f}",
        f"{np.sqrt(np.mean(shifts**2)):.2f}" if len(shifts) else "-",
        str(len(shifts)),
        f"{error.mean():.2f}" if closed.any() else "-",
        str(int(closed.sum())),
    ]


def px_of(truth: Mouths) -> float:
    """Px at 512 in one px of a window."""
    gap_px = np.linalg.norm(truth.lips_px[:, 5] - truth.lips_px[:, 16], axis=-1)
    known = gap_px > 1
    return float(np.median(truth.height[known] / gap_px[known]))


def distances(perceptual: ShiftTolerantLpips, some: ByteArray, others: ByteArray) -> Array:
    """ST-LPIPS of (B, h, w, 3) images, pair by pair: (B,)."""
    found = []
    with torch.inference_mode():
        for begin in range(0, len(some), 16):
            pair = [images_of(images[begin : begin + 16]) for images in (some, others)]
            found += perceptual(*pair).tolist()
    return np.array(found)


def images_of(crops: ByteArray) -> torch.Tensor:
    """(B, h, w, 3) uint8 -> (B, 3, h, w) float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).float() / 255


def nearest_distance(perceptual: ShiftTolerantLpips, video: Mouths, truth: Mouths, seconds: Array) -> float:
    """Mean ST-LPIPS of a video's mouths to the most similar of the true ones of like opening and width."""
    chosen = np.arange(0, len(video.crops), EVERY)
    alike = alike_frames(video, truth, seconds, chosen)  # (n, NEAREST)
    each = [distances(perceptual, video.crops[chosen], truth.crops[column]) for column in alike.T]
    return float(np.min(each, axis=0).mean())


def alike_frames(video: Mouths, truth: Mouths, seconds: Array, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n, NEAREST) true frames whose opening and width are most like those of the frames `chosen` of a video."""
    shapes = [np.stack([one.openness, one.width], 1) for one in (video, truth)]
    deviation = shapes[1].std(0) + 1e-9
    apart = np.linalg.norm((shapes[0][chosen, None] - shapes[1]) / deviation, axis=-1)
    apart[np.abs(seconds[chosen, None] - seconds) < APART_S] = np.inf
    return np.argsort(apart, axis=1)[:, :NEAREST]


def teeth_shifts(video: Mouths, pairs: NDArray[np.int64]) -> FloatArray:
    """(P,) length of the shift of the teeth, from each frame of `pairs` to the next, window px.

    Pairs whose teeth show on too few pixels are left out.
    """
    found = []
    for first in pairs.tolist():
        images = [np.asarray(metrics.luma(video.crops[i]), np.float32) for i in (first, first + 1)]
        both = [bright(image, upper_half(video.lips_px[first + i], image.shape)) for i, image in enumerate(images)]
        seen = both[0] & both[1]
        if seen.sum() >= FEWEST_TEETH_PX:
            found.append(np.linalg.norm(shift_between(images[0], images[1], seen)))
    return np.array(found, np.float32)


def upper_half(lips_px: Array, size_px: tuple[int, ...]) -> BoolArray:
    """(h, w) True between the inner lips, a pixel away from them, above the middle between them."""
    upper, lower = lips_px[:11], lips_px[11:]
    outline = np.concatenate([upper, ((upper + lower) / 2)[::-1]])
    mask = np.zeros(size_px, np.uint8)
    cv2.fillPoly(mask, [np.round((outline - 0.5) * 16).astype(np.int32)], 1, shift=4)
    whole = np.zeros(size_px, np.uint8)
    cv2.fillPoly(whole, [np.round((np.concatenate([upper, lower[::-1]]) - 0.5) * 16).astype(np.int32)], 1, shift=4)
    inner = np.asarray(cv2.erode(whole, np.ones((3, 3), np.uint8)), np.bool_)
    return np.asarray(inner & (mask > 0), np.bool_)


def bright(image: FloatArray, inside: BoolArray) -> BoolArray:
    """(h, w) True where a gray image is as bright as teeth, of the pixels inside: the dark moves with the lips."""
    if not inside.any():
        return inside
    return inside & (image > BRIGHT * np.quantile(image[inside], 0.95))


def shift_between(before: FloatArray, after: FloatArray, seen: BoolArray, rounds: int = 8) -> Array:
    """(2,) x and y by which an image has moved, from the pixels `seen`, with a gain and an offset of brightness.

    Source: Lucas and Kanade 1981.
    """
    # Smoothed a little, so that the gradient says where a pixel's neighbor went.
    before, after = (np.asarray(cv2.GaussianBlur(image, (0, 0), 1.0), np.float32) for image in (before, after))
    moved = np.zeros(2)
    for _ in range(rounds):
        matrix = np.array([[1.0, 0, moved[0]], [0, 1, moved[1]]])
        back = cv2.warpAffine(
            after,
            matrix,
            after.shape[::-1],
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        slope_y, slope_x = np.gradient(back)
        columns = [slope_x[seen], slope_y[seen], before[seen], np.ones(int(seen.sum()))]
        solved = np.linalg.lstsq(np.stack(columns, 1), back[seen] - before[seen], rcond=None)[0]
        moved = np.clip(moved - solved[:2], -4, 4)
    return moved


def widest_run(openness: Array) -> int:
    """First of the `SHOWN` consecutive frames whose mouths are open widest in the mean."""
    if len(openness) <= SHOWN:
        return 0
    return int(np.argmax(np.convolve(openness, np.ones(SHOWN) / SHOWN, "valid")))


if __name__ == "__main__":
    main()
