"""How far `talkinghead generate` leaves the picture around the lower face as it is: PSNR of an output and its clip.

    python benchmarks/outside.py [ANCHOR] [--seconds S] [--quality Q] [--keep FILE]

The speech is the clip's own audio, so that each frame of the output shows the frame of the clip with its number. All
samples outside the feather count, as the decoder gives them (luma and chroma together, and luma alone), and as RGB.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import cv2
import numpy as np
from harness import anchor_parser, generate, is_here, print_report, write_speech
from numpy.typing import NDArray

from talkinghead import load_anchor
from talkinghead.anchor import Anchor
from talkinghead.face.region_removal import Crops, paste_back, place_crops, region_masks
from talkinghead.media.video_reader import VideoReader
from talkinghead.structures import BoolArray


def main() -> None:
    parser = anchor_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of speech, not more than the clip has")
    parser.add_argument("--quality", default="standard")
    parser.add_argument("--keep", type=Path, help="where the output is left")
    options = parser.parse_args()
    if not is_here(options.anchor, "an ANCHOR folder (benchmarks/quality.py makes one)"):
        return
    anchor = load_anchor(options.anchor)
    with TemporaryDirectory() as folder:
        speech, output = Path(folder) / "speech.wav", options.keep or Path(folder) / "output.mp4"
        write_speech(anchor.clip, speech, options.seconds)
        run = generate(options.anchor, speech, output, "--quality", options.quality)
        megabits = 8e-6 * output.stat().st_size / float(run.report["duration_s"])
        luma, chroma, colors = squared_errors(anchor, output)
    rows = [
        ["luma and chroma", f"{psnr_db(luma + chroma):.2f}"],
        ["luma", f"{psnr_db(luma):.2f}"],
        ["RGB", f"{psnr_db(colors):.2f}"],
        ["Mbit/s, with audio", f"{megabits:.2f}"],
    ]
    data = f"{options.anchor.name}, {run.report['frames']} frames, quality {options.quality}"
    print_report(data, ["outside the region", "PSNR, dB"], rows)


def squared_errors(anchor: Anchor, output: Path) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Sums of squared differences and numbers of samples outside the region: of luma, chroma and RGB, each (2,)."""
    sums = np.zeros((3, 2))
    crops = place_crops(anchor.region, anchor.reconstruction, anchor.network.config.size_px)
    with VideoReader(anchor.clip) as clip, VideoReader(output) as made:
        pictures = zip(clip, made, planes(anchor.clip), planes(output), strict=False)
        for number, (one, other, before, after) in enumerate(pictures):
            mask = outside(anchor, crops, number, one.image.shape)
            rows, columns = (mask.shape[axis] // before[1].shape[axis] for axis in (0, 1))
            masks = [mask, *[mask[::rows, ::columns]] * 2]
            for place, (a, b, counted) in enumerate(zip(before, after, masks, strict=True)):
                sums[min(place, 1)] += squared(a, b, counted)
            sums[2] += squared(one.image, other.image, mask)
    return sums[0], sums[1], sums[2]


def planes(path: Path) -> Iterator[list[NDArray[Any]]]:
    """Luma, Cb and Cr of every frame, 8 bits."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield [
                np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)[:, : plane.width]
                for plane in frame.planes
            ]


def outside(anchor: Anchor, crops: Crops, number: int, shape: tuple[int, ...]) -> BoolArray:
    """(H, W), pixels that the feather of one frame does not reach."""
    one = np.array([number])
    placed = Crops(crops.to_frame[one], crops.size_px)
    _, feathers = region_masks(anchor.region, anchor.reconstruction.select(one), placed)
    white = np.ones((*crops.size_px, 3), np.float32)
    touched = paste_back(np.zeros(shape, np.uint8), white, np.ceil(feathers[0]), crops.to_frame[number]).any(-1)
    return ~np.asarray(cv2.dilate(np.asarray(touched, np.uint8), np.ones((5, 5), np.uint8)), np.bool_)


def squared(one: NDArray[Any], other: NDArray[Any], counted: BoolArray) -> NDArray[Any]:
    difference = one[counted].astype(np.float64) - other[counted]
    return np.array([np.square(difference).sum(), difference.size])


def psnr_db(error: NDArray[Any]) -> float:
    return 10 * math.log10(255**2 * error[1] / error[0])


if __name__ == "__main__":
    main()
