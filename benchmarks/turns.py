"""How a clip goes on when the speech is longer: what is seen at each turn and loop, and whether it moves as before.

    python benchmarks/turns.py [ANCHOR or CLIP] [--seconds S] [--clip-range 3-17s] [--turn] [--keep FOLDER]

The frames are those that the output would show, before the lower face is drawn anew. Around every place where
playback does not go on with the next frame, the table has the difference of the upper face between successive frames
(mean absolute, of 255, where the first of them has it, so that a head which moves counts too), beside the median and
the 95th percentile of the clip's own. A frame counts as repeated where the picture changes less than a twentieth of
what the clip's usually does; some clips have such frames themselves. The spectrum is that of the head's speed
(position, rotation and size, in cm of the head), in bands, output over clip: 1 is as the clip moves.

--turn has it turn where it could loop. --keep writes a contact sheet of the frames around each place.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from harness import anchor_parser, is_here, print_report, scratch_folder
from numpy.typing import NDArray
from scipy.signal import welch

from talkinghead import load_anchor
from talkinghead.anchor import within
from talkinghead.face.face_model import load_face_model
from talkinghead.face.reconstruction import frame_rate_of, reconstruct
from talkinghead.face.region_removal import LocalRegion, crop_frame, local_region, place_crops
from talkinghead.face.tracking import track_file
from talkinghead.generation.crossing import Crossing
from talkinghead.generation.frame_order import head_places_cm, read_in_order
from talkinghead.generation.loops import frames_in
from talkinghead.generation.passthrough import reject_reasons
from talkinghead.generation.timeline import playback
from talkinghead.structures import ByteArray, ClipRange, Reconstruction
from talkinghead.weights.bundled import checkpoint_path

Array = NDArray[np.float64]

AROUND = 4
"""Frames before and after each place that are shown."""
REPEATED = 0.05
"""Of the clip's median change of the whole picture: less is a repeated frame."""
CROP_PX = (96, 128)
BANDS_HZ = ((0.25, 0.5), (0.5, 1), (1, 2), (2, 4), (4, 8))
SHEET_PX = 240
SHEET_COLUMNS = 5


def main() -> None:
    options = parse_options()
    if not is_here(options.anchor, "an ANCHOR folder or a clip"):
        return
    clip, region, reconstruction, clip_range = subject(options.anchor)
    clip_range = options.clip_range or clip_range
    first, last = frames_in(clip_range, reconstruction.times_s, clip)
    rate_hz = frame_rate_of(reconstruction)
    count = round(options.seconds * rate_hz) if options.seconds else 3 * (last - first + 1)
    usable = np.array([reason is None for reason in reject_reasons(reconstruction, within(reconstruction, clip_range))])
    known = () if options.turn else None
    order, crossing = playback(count, clip, region, reconstruction, usable, (first, last), known)

    shown = Shown(clip, region, reconstruction, crossing)
    own_faces, own_pictures, _ = shown.changes(np.arange(first, last + 1), set())
    places = places_of(order, len(reconstruction))
    near = {number for place in places for number in range(place[0] - AROUND, place[1] + AROUND + 1)}
    faces, pictures, images = shown.changes(order, near if options.keep else set())
    limit = REPEATED * float(np.median(own_pictures))
    repeated = repeated_in(pictures, limit)

    rows = [["the clip", "", f"{np.median(own_faces):.2f}, 95th {np.quantile(own_faces, 0.95):.2f}"]]
    for start, end, kind in places:
        around = faces[max(0, start - AROUND - 1) : end + AROUND]
        rows.append([f"{kind} at {start / rate_hz:.2f} s", f"{end - start}", " ".join(f"{x:.2f}" for x in around)])
    rows.append(
        ["repeated frames", "", f"{repeated}; while the clip was shown once, {repeated_in(own_pictures, limit)}"]
    )
    rows += spectrum_rows(shown.reconstruction, np.arange(first, last + 1), order, rate_hz)
    data = f"{count} frames of output from {last - first + 1} of {clip.name}"
    print_report(data, ["", "frames", "upper face changes"], rows)
    if options.keep:
        with scratch_folder(options.keep) as folder:
            for start, end, kind in places:
                numbers = [n for n in range(start - AROUND, end + AROUND + 1) if n in images]
                write_sheet(folder / f"{kind}_{start}.png", [images[n] for n in numbers])


def parse_options() -> argparse.Namespace:
    parser = anchor_parser(__doc__)
    parser.add_argument("--seconds", type=float, help="of output; default: three times the clip")
    parser.add_argument("--clip-range", type=ClipRange.parse, help="stretch of the clip, such as 3-17s")
    parser.add_argument("--turn", action="store_true", help="turn where it could loop")
    parser.add_argument("--keep", type=Path, help="folder for contact sheets")
    return parser.parse_args()


def subject(path: Path) -> tuple[Path, LocalRegion, Reconstruction, ClipRange | None]:
    """Clip, lower face, reconstruction and range of an ANCHOR, or of a clip that is tracked now."""
    if path.is_dir():
        anchor = load_anchor(path)
        return anchor.clip, anchor.region, anchor.reconstruction, anchor.clip_range
    model = load_face_model(checkpoint_path("face_model.safetensors"))
    reconstruction = reconstruct(track_file(path), model)
    return path, local_region(model.of(reconstruction.identity)), reconstruction, None


class Shown:
    """The frames of an output, before any is updated."""

    def __init__(
        self, clip: Path, region: LocalRegion, reconstruction: Reconstruction, crossing: Crossing | None
    ) -> None:
        self.clip, self.crossing = clip, crossing
        self.reconstruction = reconstruction if crossing is None else crossing.extended
        self._to_frame = place_crops(region, self.reconstruction, CROP_PX).to_frame

    def changes(self, order: NDArray[np.int64], kept: set[int]) -> tuple[Array, Array, dict[int, ByteArray]]:
        """Differences of the upper face, and of the whole picture, of each frame from the one before, (T - 1,) each;
        and the frames whose places in the order are to be kept."""
        # The upper face is above the crop of the lower one. Where the frame before had it is where it is looked for.
        up = np.array([[1, 0, 0], [0, 1, -0.8 * CROP_PX[0]], [0, 0, 1.0]])
        faces, pictures, images = [], [], {}
        last: ByteArray | None = None
        shown = read_in_order(self.clip, order, self.reconstruction.times_s, crossing=self.crossing)
        for place, frame in enumerate(shown):
            if last is not None:
                to_frame = self._to_frame[order[place - 1]] @ up
                crops = (crop_frame(image, to_frame, CROP_PX).astype(np.int16) for image in (last, frame.image))
                faces.append(float(np.abs(next(crops) - next(crops)).mean()))
                pictures.append(float(cv2.absdiff(last, frame.image).mean()))
            if place in kept:
                images[place] = frame.image
            last = frame.image
        return np.array(faces), np.array(pictures), images


def repeated_in(pictures: Array, limit: float) -> int:
    """How many of these changes of the whole picture are none."""
    return int((pictures < limit).sum())


def places_of(order: NDArray[np.int64], frames: int) -> list[tuple[int, int, str]]:
    """Where the output does not go on with the clip's next frame: first and last place, and what is there."""
    found = []
    direction = np.sign(np.diff(order))
    for place in (np.flatnonzero(np.diff(direction)) + 1).tolist():
        if max(order[place - 1 : place + 2]) < frames:
            found.append((place, place, "turn"))
    blended = np.flatnonzero(order >= frames)
    for part in np.split(blended, np.flatnonzero(np.diff(blended) > 1) + 1):
        if len(part):
            found.append((int(part[0]), int(part[-1]) + 1, "crossing"))
    return sorted(found)


def spectrum_rows(
    reconstruction: Reconstruction, own: NDArray[np.int64], order: NDArray[np.int64], rate_hz: float
) -> list[list[str]]:
    """Power of the head's speed in bands, output over clip."""
    places = head_places_cm(reconstruction)
    length = min(len(own) - 1, round(8 * rate_hz))
    powers = []
    for numbers in (own, order):
        hz, power = welch(np.diff(places[numbers], axis=0), rate_hz, nperseg=length, axis=0)
        powers.append(power.sum(1))
    rows = []
    for low, high in BANDS_HZ:
        inside = (hz >= low) & (hz < high)
        ratio = powers[1][inside].sum() / max(powers[0][inside].sum(), 1e-12)
        rows.append([f"power of head speed, {low:g}-{high:g} Hz", "", f"{ratio:.2f} of the clip's"])
    return rows


def write_sheet(path: Path, images: list[ByteArray]) -> None:
    """The images in rows, small."""
    height = round(SHEET_PX * images[0].shape[0] / images[0].shape[1])
    small = [cv2.resize(image, (SHEET_PX, height), interpolation=cv2.INTER_AREA) for image in images]
    small += [np.zeros_like(small[0])] * (-len(small) % SHEET_COLUMNS)
    rows = [np.hstack(small[start : start + SHEET_COLUMNS]) for start in range(0, len(small), SHEET_COLUMNS)]
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
