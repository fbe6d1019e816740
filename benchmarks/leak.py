"""How much of the original mouth shows through: what changes in the output when nothing but that mouth differs.

    python benchmarks/leak.py [ANCHOR] [CLIP] [--seconds S] [--keep FOLDER]

Pose held: pixels inside the removed hole are replaced by those of the frame whose mouth stands most differently, or by
noise, and the face update is run with all else equal. End to end: the clip is written anew with another mouth in each
frame, well inside the hole and feathered, is tracked and reconstructed anew, and generated with the same expression
as the untouched clip. The mouths come from elsewhere in the clip: as the clip would be with other words
(one shift in time for all, the one that changes the opening most), or the most open for the most closed. What writing
the clip anew changes by itself is measured beside it. All changes are mean absolute differences of 255 within the
region (feather > 0) of the untouched clip, between frames that have not been encoded.

CLIP shows the anchor; without it, the anchor's own is taken. Images are kept only where --keep names a folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from harness import anchor_parser, is_here, print_report, scratch_folder
from numpy.typing import NDArray

from talkinghead import load_anchor, metrics
from talkinghead.anchor import Anchor
from talkinghead.device import choose_device
from talkinghead.face.region_removal import Crops, crop_frame, paste_back, region_masks
from talkinghead.generation.face_updater import FaceUpdater
from talkinghead.generation.frames import BATCH, updated_frames
from talkinghead.generation.timeline import Timeline, plan
from talkinghead.media.video_reader import read_video_info
from talkinghead.media.video_writer import EncoderSettings, VideoWriter
from talkinghead.structures import BoolArray, ByteArray, FloatArray, Frame

Array = NDArray[np.float64]

PART_CRF = 8  # so fine that writing a clip anew changes as little as may be
HELD_FRAMES = 48
INSIDE_CM = 0.7
"""A replaced mouth keeps this far from the hole's edge ..."""
FADE_CM = 0.5
"""... and fades in over this much."""
SHORTEST_SHIFT_S = 1.0


def main() -> None:
    options = parse_options()
    if not is_here(options.anchor, "an ANCHOR folder (benchmarks/quality.py makes one)"):
        return
    with scratch_folder(options.keep) as folder:
        anchor = load_anchor(options.anchor)
        source = options.clip or anchor.clip
        seconds = options.seconds or read_video_info(source).duration_s
        if seconds is None:
            raise SystemExit(f"{source} does not say how long it is; give --seconds.")
        untouched = Clip.of(anchor, source, seconds)
        rows = [*held_rows(untouched), *whole_rows(untouched, folder, options.keep)]
    data = f"{options.anchor.name}, {len(untouched.timeline)} frames of {source.name}"
    headings = [
        "",
        "frames",
        "openings differ by, of face width",
        "crop moves by, px",
        "input changes",
        "output changes",
        "99th",
    ]
    print_report(data, headings, rows)


def parse_options() -> argparse.Namespace:
    parser = anchor_parser(__doc__)
    parser.add_argument("clip", nargs="?", type=Path, help="default: the anchor's own")
    parser.add_argument("--seconds", type=float, help="of the clip, from its start; default: all of it")
    parser.add_argument("--keep", type=Path, help="folder for the clips made, and leak.mp4: inputs above outputs")
    return parser.parse_args()


@dataclass(frozen=True)
class Clip:
    """A clip of the anchor, planned as `talkinghead generate --clip` plans it."""

    anchor: Anchor
    timeline: Timeline
    updater: FaceUpdater

    @classmethod
    def of(cls, anchor: Anchor, path: Path, seconds: float) -> Clip:
        timeline = plan(anchor, path, seconds)
        return cls(anchor, timeline, FaceUpdater(anchor, timeline.reconstruction, choose_device()))

    @property
    def expression(self) -> FloatArray:
        """(T, K) measured in this clip."""
        return self.timeline.reconstruction.expression[self.timeline.frames]

    @property
    def openings(self) -> Array:
        """(T,) of each frame of the timeline, over the width of the face."""
        return np.asarray(self.anchor.model.of(self.timeline.reconstruction.identity).opening(self.expression))

    @property
    def centers(self) -> Array:
        """(T, 2) where the crop's center lies in each frame of the timeline, px."""
        to_frame, (height, width) = self.updater.crops.to_frame[self.timeline.frames], self.updater.crops.size_px
        return np.asarray(to_frame[..., :2] @ (width / 2, height / 2) + to_frame[..., 2])

    def images(self) -> Iterator[ByteArray]:
        for frame in self.timeline.read():
            yield frame.image

    def masks(self, position: int) -> tuple[ByteArray, FloatArray, Array]:
        """Hole, feather and place of the crop of one frame of the timeline."""
        frame = self.timeline.frames[[position]]
        crops = Crops(self.updater.crops.to_frame[frame], self.updater.crops.size_px)
        holes, feathers = region_masks(self.updater.region, self.timeline.reconstruction.select(frame), crops)
        return holes[0], feathers[0], crops.to_frame[0]

    def region(self, position: int, shape: tuple[int, ...]) -> BoolArray:
        """(H, W) where one frame's feather is above 0."""
        _, feather, to_frame = self.masks(position)
        seen = paste_back(np.zeros(shape, np.uint8), np.ones((*feather.shape, 3), np.float32), feather, to_frame)
        return np.asarray(seen.any(axis=2))

    def px_per_cm(self) -> float:
        """In the crop."""
        return self.updater.crops.size_px[1] / self.updater.region.width_cm


@dataclass
class Changes:
    """What differs between two sequences of frames, frame by frame."""

    inputs: list[float] = field(default_factory=list)
    outputs: list[float] = field(default_factory=list)

    def add(self, inputs: tuple[ByteArray, ByteArray], outputs: tuple[ByteArray, ByteArray], region: BoolArray) -> None:
        self.inputs.append(metrics.leak(*inputs, region))
        self.outputs.append(metrics.leak(*outputs, region))

    def row(self, name: str, openings: float, moved_px: float) -> list[str]:
        """`99th` is the percentile over frames."""
        return [
            name,
            str(len(self.outputs)),
            f"{openings:.3f}" if openings else "-",
            f"{moved_px:.2f}",
            f"{np.mean(self.inputs):.2f}",
            f"{np.mean(self.outputs):.3f}",
            f"{np.percentile(self.outputs, 99):.3f}",
        ]


# Pose held


def held_rows(clip: Clip) -> Iterator[list[str]]:
    """The face update alone, on frames whose removed pixels are others."""
    chosen = np.unique(np.linspace(0, len(clip.timeline) - 1, HELD_FRAMES).astype(np.int64))
    chosen = chosen[clip.timeline.reconstruction.valid[clip.timeline.frames[chosen]]]
    wanted = set(chosen.tolist())
    images = [image for position, image in enumerate(clip.images()) if position in wanted]
    openings = clip.openings[chosen]
    furthest = np.abs(openings[:, None] - openings).argmax(axis=1)
    noise = np.random.default_rng(0)

    def other_mouth(index: int) -> ByteArray:
        _, _, to_frame = clip.masks(int(chosen[furthest[index]]))
        return crop_frame(images[furthest[index]], to_frame, clip.updater.crops.size_px)

    def any_values(index: int) -> ByteArray:
        return noise.integers(0, 256, (*clip.updater.crops.size_px, 3), np.uint8)

    differ = float(np.abs(openings - openings[furthest]).mean())
    yield held_changes(clip, chosen, images, other_mouth).row("pose held, another mouth in the hole", differ, 0.0)
    yield held_changes(clip, chosen, images, any_values).row("pose held, noise in the hole", 0.0, 0.0)


def held_changes(
    clip: Clip, chosen: NDArray[np.int64], images: list[ByteArray], content: Callable[[int], ByteArray]
) -> Changes:
    """Outputs from frames with new content in their holes against outputs from the frames as they are."""
    changes = Changes()
    for start in range(0, len(chosen), BATCH):
        part = chosen[start : start + BATCH]
        before = images[start : start + BATCH]
        after = [
            replaced(clip, position, image, content(start + i))
            for i, (position, image) in enumerate(zip(part.tolist(), before, strict=True))
        ]
        numbers, expression = clip.timeline.frames[part], clip.expression[part]
        results = (clip.updater.update(inputs, numbers, expression) for inputs in (before, after))
        pairs = zip(zip(before, after, strict=True), zip(*results, strict=True), part.tolist(), strict=True)
        for inputs, outputs, position in pairs:
            changes.add(inputs, outputs, clip.region(position, inputs[0].shape))
    return changes


def replaced(clip: Clip, position: int, image: ByteArray, content: ByteArray) -> ByteArray:
    """A frame with all of the hole's pixels replaced that no pixel outside the hole is interpolated from."""
    hole, _, to_frame = clip.masks(position)
    inner = cv2.erode(hole, np.ones((5, 5), np.uint8)).astype(np.float32)
    seen = paste_back(np.zeros_like(image), np.ones((*inner.shape, 3), np.float32), inner, to_frame)
    new = paste_back(image, content.astype(np.float32) / np.float32(255), inner, to_frame)
    return np.where(seen == 255, new, image)


# End to end


def whole_rows(untouched: Clip, folder: Path, keep: Path | None) -> Iterator[list[str]]:
    """The clip written anew, as it is and with other mouths, against the clip as it is."""
    count = len(untouched.timeline)
    donors = {
        "written anew, same mouth": np.arange(count),
        "written anew, other speech's mouth": shifted(untouched),
        "written anew, opposite mouth": opposite(untouched),
    }
    others = []
    for number, mouths in enumerate(donors.values()):
        path = folder / f"mouths-{number}.mp4"
        write_with_mouths(untouched, mouths, path)
        others.append(Clip.of(untouched.anchor, path, count / float(untouched.timeline.frame_rate)))
    measured = compare(untouched, others, keep)
    for name, mouths, other, changes in zip(donors, donors.values(), others, measured, strict=True):
        differ = float(np.abs(untouched.openings - untouched.openings[mouths]).mean())
        moved_px = float(np.linalg.norm(other.centers - untouched.centers, axis=1).mean())
        yield changes.row(name, differ, moved_px)


def shifted(clip: Clip) -> NDArray[np.int64]:
    """(T,) the donor of each frame: the same shift for all, round the end, that differs most in the opening."""
    positions = np.arange(len(clip.timeline))
    least = min(round(SHORTEST_SHIFT_S * float(clip.timeline.frame_rate)), len(positions) - 1)
    openings = clip.openings
    differ = [np.abs(openings - np.roll(openings, -shift)).mean() for shift in range(least, len(positions))]
    return np.roll(positions, -(least + int(np.argmax(differ))))


def opposite(clip: Clip) -> NDArray[np.int64]:
    """(T,) the donor of each frame: the most closed mouth for the most open one, and so on."""
    order = np.argsort(clip.openings)
    donors = np.empty_like(order)
    donors[order] = order[::-1]
    return donors


def write_with_mouths(clip: Clip, donors: NDArray[np.int64], path: Path) -> None:
    """Write a clip in which each frame has the mouth of its donor; a frame that is its own donor stays as it is."""
    mouths = [
        crop_frame(image, clip.masks(position)[2], clip.updater.crops.size_px)
        for position, image in enumerate(clip.images())
    ]
    timeline = clip.timeline
    with VideoWriter(
        path,
        timeline.width,
        timeline.height,
        frame_rate=timeline.frame_rate,
        overwrite=True,
        encoder=EncoderSettings(PART_CRF),
    ) as writer:
        for position, image in enumerate(clip.images()):
            donor = int(donors[position])
            if donor != position:
                hole, _, to_frame = clip.masks(position)
                mouth = mouths[donor].astype(np.float32) / np.float32(255)
                image = paste_back(image, mouth, well_inside(clip, hole), to_frame)
            writer.write(Frame(image, float(timeline.times_s[position])))


def well_inside(clip: Clip, hole: ByteArray) -> FloatArray:
    """(h, w) 0 up to INSIDE_CM from the hole's edge, 1 from FADE_CM further inwards."""
    padded = np.pad(hole, 1)  # the crop's edge counts as the hole's
    distance_cm = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1] / clip.px_per_cm()
    return np.asarray(np.clip((distance_cm - INSIDE_CM) / FADE_CM, 0, 1), np.float32)


def compare(untouched: Clip, others: list[Clip], keep: Path | None) -> list[Changes]:
    """All clips generated with the untouched one's expression, side by side, so that no output need be stored."""
    expression = untouched.expression
    clips = [untouched, *others]
    images = zip(*(clip.images() for clip in clips), strict=True)
    outputs = zip(*(updated_frames(clip.updater, clip.timeline, expression) for clip in clips), strict=True)
    changes = [Changes() for _ in others]
    timeline = untouched.timeline
    with ExitStack() as stack:
        sheet = keep and stack.enter_context(
            VideoWriter(
                keep / "leak.mp4",
                timeline.width * len(clips),
                timeline.height * 2,
                frame_rate=timeline.frame_rate,
                overwrite=True,
            )
        )
        for position, (seen, made) in enumerate(zip(images, outputs, strict=True)):
            results = [frame.image for frame in made]
            region = untouched.region(position, seen[0].shape)
            for change, image, result in zip(changes, seen[1:], results[1:], strict=True):
                change.add((seen[0], image), (results[0], result), region)
            if sheet:
                sheet.write(Frame(np.vstack([np.hstack(seen), np.hstack(results)]), made[0].time_s))
    return changes


if __name__ == "__main__":
    main()
