"""Does each metric measure what it claims? The presenter's clip, degraded in known steps, scored against itself.

    python benchmarks/metrics.py [CLIP] [--seconds S] [--metrics NAME ...]

Each kind of degradation comes in steps of growing strength. A metric responds when every step makes it worse, and the
last one by more than encoding the clip again does. Every degraded clip is encoded before it is tracked. For the
presenter's clips, lip closure at p, b and m is measured at their known phone times.
"""

from __future__ import annotations

import argparse
import dataclasses
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

from talkinghead.evaluation.evaluate import evaluate_pair, read_ground_truth
from talkinghead.evaluation.pairs import Pair
from talkinghead.evaluation.registry import METRICS, NAMES, Metric
from talkinghead.evaluation.results import GROUND_TRUTH
from talkinghead.evaluation.scores import Scores
from talkinghead.face.tracking import track_file
from talkinghead.media.video_reader import VideoReader
from talkinghead.media.video_writer import EncoderSettings, VideoWriter
from talkinghead.metrics.images import mouth_crop
from talkinghead.metrics.networks import load_metric_networks
from talkinghead.structures import ByteArray, Frame, Track

PRESENTER = Path(__file__).parents[1] / "data" / "presenter" / "presenter.mp4"
FINE_CRF = 8
FEATHER = 0.2
"""Width of the blend between mouth crop and frame, as a share of the crop's side."""

Change = Callable[[list[ByteArray]], list[ByteArray]]


@dataclass(frozen=True)
class Degradation:
    """One kind of degradation in steps of growing strength."""

    name: str
    steps: Sequence[tuple[str, Change, int]]
    """Name, change to all frames, and the CRF to encode with."""


class Mouths:
    """Changes to the mouth crop of a clip's frames."""

    def __init__(self, track: Track) -> None:
        self._crop = mouth_crop(track)
        ramp = np.minimum(np.arange(self._crop.side), np.arange(self._crop.side)[::-1]) / (FEATHER * self._crop.side)
        self._weight = np.clip(np.minimum(ramp[:, None], ramp), 0, 1)[..., None]
        self._opening = np.linalg.norm(track.landmarks[:, 13, :2] - track.landmarks[:, 14, :2], axis=1)

    def taken_from(self, images: list[ByteArray], sources: Sequence[int]) -> list[ByteArray]:
        """Each frame with the mouth of another one."""
        mouths = [self._crop.of(images[source], source) for source in sources]
        return [
            self._with(image, frame, mouth) for frame, (image, mouth) in enumerate(zip(images, mouths, strict=True))
        ]

    def delayed(self, frames: int) -> Change:
        return lambda images: self.taken_from(images, [max(frame - frames, 0) for frame in range(len(images))])

    def frozen_for(self, frames: int) -> Change:
        """The mouth changes only once in so many frames."""
        return lambda images: self.taken_from(images, [frame - frame % frames for frame in range(len(images))])

    def other_speech(self, share: float) -> Change:
        """That share of the clip, from its start, gets the mouth of half a clip later."""

        def swap(images: list[ByteArray]) -> list[ByteArray]:
            count = len(images)
            swapped = round(share * count)
            return self.taken_from(images, [(f + count // 2) % count if f < swapped else f for f in range(count)])

        return swap

    def less_open(self, amplitude: float) -> Change:
        """A nearby frame's mouth whose opening is nearest to `amplitude` times the original's, from the median."""

        def change(images: list[ByteArray]) -> list[ByteArray]:
            opening = self._opening[: len(images)]
            wanted = np.median(opening) + amplitude * (opening - np.median(opening))
            distance = np.abs(np.subtract.outer(np.arange(len(images)), np.arange(len(images))))
            cost = np.abs(wanted[:, None] - opening) + 0.02 * distance
            return self.taken_from(images, cost.argmin(1).tolist())

        return change

    def blurred(self, sigma_px: float) -> Change:
        def blur(images: list[ByteArray]) -> list[ByteArray]:
            mouths = [cv2.GaussianBlur(self._crop.of(image, f), (0, 0), sigma_px) for f, image in enumerate(images)]
            return [self._with(images[f], f, np.asarray(mouth, np.uint8)) for f, mouth in enumerate(mouths)]

        return blur

    def trembling(self, sigma_px: float) -> Change:
        """The mouth shifted at random in every frame."""

        def shake(images: list[ByteArray]) -> list[ByteArray]:
            shifts = np.random.default_rng(0).normal(0, sigma_px, (len(images), 2))
            return [
                self._with(image, frame, _moved(self._crop.of(image, frame), *shift))
                for frame, (image, shift) in enumerate(zip(images, shifts, strict=True))
            ]

        return shake

    def tinted(self, levels: int) -> Change:
        """The mouth darker by so many levels, without blending: a patch with a visible edge."""

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
        under = image[top : top + side, left : left + side].astype(np.float64)
        result[top : top + side, left : left + side] = np.round(under + (mouth - under) * self._weight)
        return result


def _moved(image: ByteArray, across: float, down: float) -> ByteArray:
    matrix = np.array([[1, 0, across], [0, 1, down]], np.float64)
    return np.asarray(cv2.warpAffine(image, matrix, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE))


def degradations(mouths: Mouths) -> list[Degradation]:
    return [
        Degradation("delay, frames", [(f"{n}", mouths.delayed(n), FINE_CRF) for n in (1, 2, 3, 5, 10)]),
        Degradation("smaller", [(f"x{a}", mouths.less_open(a), FINE_CRF) for a in (0.75, 0.5, 0.25)]),
        Degradation("larger", [(f"x{a}", mouths.less_open(a), FINE_CRF) for a in (1.25, 1.5)]),
        Degradation("blur, px", [(f"{s}", mouths.blurred(s), FINE_CRF) for s in (0.7, 1.5, 3)]),
        Degradation("tremble, px", [(f"{s}", mouths.trembling(s), FINE_CRF) for s in (0.5, 1, 2)]),
        Degradation("CRF", [(f"{c}", list, c) for c in (18, 28, 38)]),
        Degradation("other speech, share", [(f"{s}", mouths.other_speech(s), FINE_CRF) for s in (0.25, 0.5, 1)]),
        Degradation(
            "frozen for, frames",
            [(f"{n}", mouths.frozen_for(n), FINE_CRF) for n in (2, 5, 25)]
            + [("all", mouths.frozen_for(1 << 30), FINE_CRF)],
        ),
        Degradation("darker patch, levels", [(f"{n}", mouths.tinted(n), FINE_CRF) for n in (4, 12, 30)]),
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
    """Write the known phone times of a presenter clip as `talkinghead evaluate` reads them; None for another clip."""
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
    parser.add_argument(
        "--metrics", nargs="+", choices=NAMES, default=NAMES, help="the rows to measure; all by default"
    )
    options = parser.parse_args()
    with VideoReader(options.clip) as reader:
        count = round(options.seconds * float(reader.info.frame_rate))
    with scratch_folder() as folder:
        kinds = degradations(Mouths(track_file(options.clip)))
        reference = write(options.clip, folder / "reference.mp4", count, list, FINE_CRF)
        phones = write_phones(options.clip, folder / "phones.tsv")
        pairs = []
        for kind, degradation in enumerate(kinds):
            for step, (_, change, crf) in enumerate(degradation.steps):
                output = write(options.clip, folder / f"{kind}-{step}.mp4", count, change, crf)
                pairs.append(Pair(output, reference, driving=options.clip, phones=phones, system=f"{kind}-{step}"))
        networks = load_metric_networks()
        scale = read_ground_truth(pairs[0], networks)
        assert scale.reference is not None
        scorer = dataclasses.replace(scale.reference.scorer, only=frozenset(options.metrics))
        measure = dataclasses.replace(scale, reference=dataclasses.replace(scale.reference, scorer=scorer))
        found = iter([evaluate_pair(pair, networks, measure).scores for pair in pairs])
        steps = [[next(found) for _ in kind.steps] for kind in kinds]
        ground_truth = scale.reference.rows[GROUND_TRUTH]
    headings = ["", *(f"{d.name} {', '.join(name for name, _, _ in d.steps)}" for d in kinds)]
    print_report(
        f"{options.clip.name}, first {count} frames", headings, list(rows(ground_truth, steps, options.metrics))
    )


def rows(ground_truth: Scores, steps: Sequence[Sequence[Scores]], names: Sequence[str]) -> Iterator[list[str]]:
    """A metric's value at each step; in bold where every step is worse than the one before."""
    for metric in METRICS:
        if metric.name not in names:
            continue
        values = [[getattr(row, metric.name) for row in kind] for kind in steps]
        if metric.is_count or all(math.isnan(value) for kind in values for value in kind):
            continue
        best = getattr(ground_truth, metric.name)
        yield [f"`{metric.name}`", *(cell(metric, best, kind) for kind in values)]


def cell(metric: Metric, best: float, values: Sequence[float]) -> str:
    text = ", ".join(metric.text(value) for value in values)
    return f"**{text}**" if responds(metric, best, values) else text


def responds(metric: Metric, best: float, values: Sequence[float]) -> bool:
    """Whether each step is worse than the one before it, and the last one is worse by more than encoding alone."""
    losses = [metric.loss(value) for value in (best, *values)]
    return all(after > before for before, after in itertools.pairwise(losses)) and metric.is_worse(values[-1], best)


if __name__ == "__main__":
    main()
