"""Image metrics of whole clips: every frame of an output against the same moment of the reference."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from talkinghead import metrics
from talkinghead.evaluation.clip import Clip, resized, side_by_side
from talkinghead.evaluation.frame_pair import FramePair
from talkinghead.evaluation.landmark_pair import LocalFace
from talkinghead.evaluation.registry import FromImages, FromTwin, Metric, computed_from
from talkinghead.media.video_reader import VideoReader
from talkinghead.metrics.networks import IDENTITY, METRIC_NETWORKS, MetricNetworks
from talkinghead.structures import ByteArray, FloatArray

Values = NDArray[np.float64]

SAMPLED_FRAMES = 40
"""Frames of a clip that slow metrics are measured on, spread evenly over those that show a face."""
_NETWORKS = frozenset({*METRIC_NETWORKS, IDENTITY})


@dataclass(frozen=True)
class ImageScores:
    """What the images of a clip show."""

    scores: dict[str, float]
    """By metric."""
    psnr_mouth_db: Values
    """(T,) NaN in frames that were not compared."""
    features: Sequence[FloatArray]
    """(2048,) each, of the sampled frames, for FID; empty without its network."""


@dataclass(frozen=True)
class ImageScorer:
    """Scores images against those of one reference clip."""

    reference: Clip
    crop: metrics.MouthCrop
    sampled: frozenset[int]
    """Frames that slow metrics are measured on."""
    face: LocalFace
    networks: MetricNetworks

    @classmethod
    def of(cls, reference: Clip, face: LocalFace, networks: MetricNetworks) -> ImageScorer:
        """A scorer for a reference whose track has a valid frame.

        Args:
            reference: clip to score against.
            face: of the reference.
            networks: the metric networks that are installed.
        """
        with_face = np.flatnonzero(reference.track.valid)
        spread = np.linspace(0, len(with_face) - 1, min(SAMPLED_FRAMES, len(with_face))).round().astype(int)
        crop = metrics.mouth_crop(reference.track)
        return cls(reference, crop, frozenset(with_face[spread].tolist()), face, networks)

    @cached_property
    def missing(self) -> dict[str, str]:
        """Metrics that the reference is too small for, each with the reason."""
        whole = min(self.reference.track.width, self.reference.track.height)
        reasons = {}
        for metric, how in computed_from(FromImages):
            side = self.crop.side if how.of_mouth else whole
            if side < how.shortest_px:
                reasons[metric.name] = f"needs {how.shortest_px} px, there are {side}"
        return reasons

    @cached_property
    def measured(self) -> tuple[tuple[Metric, FromImages], ...]:
        """The metrics that can be measured with this reference and the networks that are installed."""
        absent = _NETWORKS - self.networks.installed
        return tuple(
            (metric, how)
            for metric, how in computed_from(FromImages)
            if metric.name not in self.missing and not absent.intersection(metric.needs)
        )

    @property
    def identical(self) -> dict[str, float]:
        """Scores of the reference against itself, by metric."""
        twins = {metric.name: 0.0 for metric, _ in computed_from(FromTwin)}
        return {metric.name: how.identical for metric, how in self.measured} | twins

    def pair(
        self, output: ByteArray, output_landmarks: FloatArray | None, reference: ByteArray, frame: int
    ) -> FramePair:
        """One frame of an output beside the reference's.

        Args:
            output: (H, W, 3) image at the reference's size.
            output_landmarks: (478, 3) of the face in it; None where none was found.
            reference: (H, W, 3) image.
            frame: its number.
        """
        return FramePair(
            output,
            reference,
            frame,
            self.crop,
            self.face,
            self.networks,
            output_landmarks,
            self.reference.track.landmarks[frame],
        )

    def features(self, image: ByteArray) -> list[FloatArray]:
        """Features (2048,) of an image for FID, in a list; empty without its network."""
        return [] if self.networks.inception is None else [self.networks.inception.features(image)]


class _Means:
    """Means of image metrics over frames."""

    def __init__(self, scorer: ImageScorer) -> None:
        self._scorer = scorer
        self._values: dict[str, list[float]] = {metric.name: [] for metric, _ in scorer.measured}
        self._divisors: dict[str, list[float]] = {metric.name: [] for metric, _ in scorer.measured}

    def add(self, pair: FramePair) -> dict[str, float]:
        """Measure a frame; its values by metric, before any division."""
        row = {}
        for metric, how in self._scorer.measured:
            if how.every_frame or pair.frame in self._scorer.sampled:
                row[metric.name] = how.compute(pair)
                self._values[metric.name].append(row[metric.name])
                if how.divided_by is not None:
                    self._divisors[metric.name].append(how.divided_by(pair))
        return row

    def scores(self) -> dict[str, float]:
        """By metric; NaN where no frame was measured."""
        found = {}
        for metric, how in self._scorer.measured:
            mean = metrics.finite_mean(np.array(self._values[metric.name], np.float64))
            if how.divided_by is not None:
                mean = metrics.ratio(mean, metrics.finite_mean(np.array(self._divisors[metric.name], np.float64)))
            found[metric.name] = mean
        return found


def image_scores(output: Clip, scorer: ImageScorer) -> ImageScores:
    """Score an output's images against the reference's.

    Every frame in which the reference shows a face counts, even if none is found in the output: an output must not gain
    from hiding its face.
    """
    track = scorer.reference.track
    partners = metrics.nearest_frames(output.track.times_s, track.times_s)
    partners[~track.valid] = -1
    aligned = metrics.align(output.track, track)
    means, features = _Means(scorer), []
    psnr_mouth_db = np.full(len(partners), np.nan)
    for frame, image, reference in side_by_side(output.path, scorer.reference.path, partners):
        landmarks = aligned.landmarks[frame] if aligned.valid[frame] else None
        row = means.add(scorer.pair(image, landmarks, reference, frame))
        psnr_mouth_db[frame] = row["psnr_mouth_db"]
        if frame in scorer.sampled:
            features += scorer.features(image)
    return ImageScores(means.scores(), psnr_mouth_db, features)


def delayed_image_scores(scorer: ImageScorer, late_frames: int) -> tuple[dict[str, float], list[FloatArray]]:
    """Scores of the reference, so many frames late, against itself; on the sampled frames only, to save time.

    Returns:
        Scores by metric, and the features (2048,) of the reference's sampled frames without the delay.
    """
    track = scorer.reference.track
    recent: deque[ByteArray] = deque(maxlen=late_frames + 1)
    means, features = _Means(scorer), []
    with VideoReader(scorer.reference.path) as frames:
        for number, frame in enumerate(frames):
            recent.append(frame.image)
            if number not in scorer.sampled:
                continue
            features += scorer.features(frame.image)
            source = number - late_frames
            if source >= 0:
                landmarks = track.landmarks[source] if track.valid[source] else None
                means.add(scorer.pair(recent[0], landmarks, frame.image, number))
    return means.scores(), features


def twin_scores(output: Clip, twin: Clip, scorer: ImageScorer) -> dict[str, float]:
    """Scores of an output against its twin inside the lower face, by metric; mean over the sampled frames."""
    own = metrics.nearest_frames(output.track.times_s, scorer.reference.track.times_s)
    partners = metrics.nearest_frames(twin.track.times_s, output.track.times_s)
    # Only the output's frames that stand beside a sampled frame of the reference.
    wanted = {int(own[frame]): frame for frame in scorer.sampled if own[frame] >= 0}
    partners[[number not in wanted for number in range(len(partners))]] = -1
    width, height = scorer.reference.track.width, scorer.reference.track.height
    values: dict[str, list[float]] = {metric.name: [] for metric, _ in computed_from(FromTwin)}
    for number, twin_image, output_image in side_by_side(twin.path, output.path, partners):
        images = [resized(image, width, height) for image in (output_image, twin_image)]
        region = scorer.face.pasted(wanted[number], images[0].shape)
        for metric, how in computed_from(FromTwin):
            values[metric.name].append(how.compute(images[0], images[1], region))
    return {name: metrics.finite_mean(np.array(found, np.float64)) for name, found in values.items()}
