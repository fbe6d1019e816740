"""Does each metric mean what it says? The built-in presenter's clip, made worse in known steps, judged against itself.

    python benchmarks/metrics.py [CLIP] [--seconds S]

Each kind of damage is done in steps of growing strength; a metric responds when every step makes it worse, by more in
all than encoding the clip anew does. Nothing is tracked before it is encoded: every damaged clip is a file. With the
presenter's clips, closing at p, b and m is measured by their known phone times.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from harness import print_report, scratch_folder
from safetensors import safe_open

from talkinghead.evaluation.evaluate import evaluate
from talkinghead.evaluation.pairs import Pair
from talkinghead.evaluation.scores import BY_FIELD, METRICS, Scores
from talkinghead.face.tracking import track_file
from talkinghead.media.video_reader import VideoReader
from talkinghead.media.video_writer import EncoderSettings, VideoWriter
from talkinghead.metrics.images import mouth_crop
from talkinghead.structures import ByteArray, Frame, Track

PRESENTER = Path(__file__).parents[1] / "data" / "presenter" / "presenter.mp4"
FINE_CRF = 8
FEATHER = 0.2
"""Of the crop's side: the damaged mouth fades into the frame."""

Change = Callable[[list[ByteArray]], list[ByteArray]]


@dataclass(frozen=True)
class Damage:
    """One kind of damage in steps of growing strength."""

    name: str
    steps: Sequence[tuple[str, Change, int]]
    """What it is called, what it does to all frames, and the CRF to encode with."""


class Mouths:
    """The clip's frames, and changes to the square around the mouth."""

    def __init__(self, track: Track) -> None:
        self._crop = mouth_crop(track)
        ramp = np.minimum(np.arange(self._crop.side), np.arange(self._crop.side)[::-1]) / (FEATHER * self._crop.side)
        self._weight = np.clip(np.minimum(ramp[:, None], ramp), 0, 1)[..., None]
        self._opening = np.linalg.norm(track.landmarks[:, 13, :2] - track.landmarks[:, 14, :2], axis=1)

    def taken_from(self, images: list[ByteArray], sources: Sequence[int]) -> list[ByteArray]:
        """Each frame with the mouth of another."""
        mouths = [self._crop.of(images[source], source) for source in sources]
        return [
            self._with(image, frame, mouth) for frame, (image, mouth) in enumerate(zip(images, mouths, strict=True))
        ]

    def delayed(self, frames: int) -> Change:
        return lambda images: self.taken_from(images, [max(frame - frames, 0) for frame in range(len(images))])

    def frozen_for(self, frames: int) -> Change:
        """The mouth changes only every so many frames."""
        return lambda images: self.taken_from(images, [frame - frame % frames for frame in range(len(images))])

    def other_speech(self, share: float) -> Change:
        """That share of the clip, from its start, wears the mouth of half a clip later."""

        def swap(images: list[ByteArray]) -> list[ByteArray]:
            count = len(images)
            moved = round(share * count)
            return self.taken_from(images, [(f + count // 2) % count if f < moved else f for f in range(count)])

        return swap

    def less_open(self, amplitude: float) -> Change:
        """The mouth of the frame near by whose opening is nearest to so much of the true one's way from the median."""

        def change(images: list[ByteArray]) -> list[ByteArray]:
            opening = self._opening[: len(images)]
            wanted = np.median(opening) + amplitude * (opening - np.median(opening))
            near = np.abs(np.subtract.outer(np.arange(len(images)), np.arange(len(images))))
            cost = np.abs(wanted[:, None] - opening) + 0.02 * near
            return self.taken_from(images, cost.argmin(1).tolist())

        return change

    def blurred(self, sigma_px: float) -> Change:
        return lambda images: [
            self._with(image, frame, cv2.GaussianBlur(self._crop.of(image, frame), (0, 0), sigma_px))
            for frame, image in enumerate(images)
        ]

    def trembling(self, sigma_px: float) -> Change:
        """The mouth shifted anew in every frame."""

        def shake(images: list[ByteArray]) -> list[ByteArray]:
            shifts = np.random.default_rng(0).normal(0, sigma_px, (len(images), 2))
            return [
                self._with(image, frame, _moved(self._crop.of(image, frame), *shift))
                for frame, (image, shift) in enumerate(zip(images, shifts, strict=True))
            ]

        return shake

    def tinted(self, levels: int) -> Change:
        """The mouth darker by so many levels, without the fading: a patch whose edge shows."""

        def darken(images: list[ByteArray]) -> list[ByteArray]:
            results = [image.copy() for image in images]
            for frame, image in enumerate(results):
                mouth = self._crop.of(image, frame)
                mouth[:] = np.maximum(mouth.astype(np.int16) - levels, 0)
            return results

        return darken

    def _with(self, image: ByteArray, frame: int, mouth: ByteArray) -> ByteArray:
        left, top, side = int(self._crop.left[frame]), int(self._crop.top[frame]), self._crop.side
        result = image.copy()
        below = image[top : top + side, left : left + side].astype(np.float64)
        result[top : top + side, left : left + side] = np.round(below + (mouth - below) * self._weight)
        return result


def _moved(image: ByteArray, across: float, down: float) -> ByteArray:
    matrix = np.array([[1, 0, across], [0, 1, down]], np.float64)
    return np.asarray(cv2.warpAffine(image, matrix, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE))


def damages(mouths: Mouths) -> list[Damage]:
    return [
        Damage("delay, frames", [(f"{n}", mouths.delayed(n), FINE_CRF) for n in (1, 2, 3, 5, 10)]),
        Damage("smaller", [(f"x{a}", mouths.less_open(a), FINE_CRF) for a in (0.75, 0.5, 0.25)]),
        Damage("larger", [(f"x{a}", mouths.less_open(a), FINE_CRF) for a in (1.25, 1.5)]),
        Damage("blur, px", [(f"{s}", mouths.blurred(s), FINE_CRF) for s in (0.7, 1.5, 3)]),
        Damage("tremble, px", [(f"{s}", mouths.trembling(s), FINE_CRF) for s in (0.5, 1, 2)]),
        Damage("CRF", [(f"{c}", list, c) for c in (18, 28, 38)]),
        Damage("other speech, share", [(f"{s}", mouths.other_speech(s), FINE_CRF) for s in (0.25, 0.5, 1)]),
        Damage(
            "frozen for, frames",
            [(f"{n}", mouths.frozen_for(n), FINE_CRF) for n in (2, 5, 25)]
            + [("all", mouths.frozen_for(1 << 30), FINE_CRF)],
        ),
        Damage("darker patch, levels", [(f"{n}", mouths.tinted(n), FINE_CRF) for n in (4, 12, 30)]),
    ]


def write(clip: Path, path: Path, count: int, change: Change, crf: int) -> Path:
    with VideoReader(clip) as reader:
        info = reader.info
        frames = list(itertools.islice(reader, count))
    changed = change([frame.image for frame in frames])
    encoder = EncoderSettings(crf)
    with VideoWriter(
        path, info.width, info.height, frame_rate=info.frame_rate, overwrite=True, encoder=encoder
    ) as writer:
        for frame, image in zip(frames, changed, strict=True):
            writer.write(Frame(image, frame.time_s))
    return path


def write_phones(clip: Path, path: Path) -> Path | None:
    """The phone times known of the presenter's clips, as `talkinghead evaluate` reads them; None of any other clip."""
    known = clip.with_suffix(".safetensors")
    if not known.exists():
        return None
    with safe_open(known, "np") as file:
        times_s = file.get_tensor("phone_times_s")
        phones = json.loads(file.metadata()["about"])["phones"]
    lines = [f"{start:.4f}\t{end:.4f}\t{phone}" for (start, end), phone in zip(times_s, phones, strict=True)]
    path.write_text("\n".join(lines), "utf-8")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("clip", nargs="?", type=Path, default=PRESENTER)
    parser.add_argument("--seconds", type=float, default=8.0)
    options = parser.parse_args()
    with VideoReader(options.clip) as reader:
        count = round(options.seconds * float(reader.info.frame_rate))
    with scratch_folder() as folder:
        kinds = damages(Mouths(track_file(options.clip)))
        truth = write(options.clip, folder / "truth.mp4", count, list, FINE_CRF)
        phones = write_phones(options.clip, folder / "phones.tsv")
        pairs = []
        for kind, damage in enumerate(kinds):
            for step, (_, change, crf) in enumerate(damage.steps):
                made = write(options.clip, folder / f"{kind}-{step}.mp4", count, change, crf)
                pairs.append(Pair(made, truth, driving=options.clip, phones=phones, system=f"{kind}-{step}"))
        result = evaluate(pairs)
        found = iter([scored.scores for scored in result.pairs])
        steps = [[next(found) for _ in damage.steps] for damage in kinds]
        perfect = result.rows["ground truth"]
    headings = ["", *(f"{d.name} {', '.join(name for name, _, _ in d.steps)}" for d in kinds)]
    print_report(f"{options.clip.name}, first {count} frames", headings, list(rows(perfect, steps)))


def rows(truth: Scores, steps: Sequence[Sequence[Scores]]) -> Iterator[list[str]]:
    """A metric's value at each step; in bold where every step is worse than the one before."""
    for metric in METRICS:
        values = [[getattr(row, metric.field) for row in kind] for kind in steps]
        if not metric.best or all(math.isnan(value) for kind in values for value in kind):
            continue
        first = getattr(truth, metric.field)
        yield [f"`{metric.field}`", *(cell(metric.field, first, kind) for kind in values)]


def cell(name: str, truth: float, values: Sequence[float]) -> str:
    metric = BY_FIELD[name]
    text = ", ".join(metric.text(value) for value in values)
    return f"**{text}**" if responds(name, truth, values) else text


def responds(name: str, truth: float, values: Sequence[float]) -> bool:
    """Whether each step is worse than the one before it, and the last one worse than encoding alone makes it."""
    metric = BY_FIELD[name]
    losses = [metric.loss(value) for value in (truth, *values)]
    return all(after > before for before, after in itertools.pairwise(losses)) and metric.is_worse(values[-1], truth)


if __name__ == "__main__":
    main()
