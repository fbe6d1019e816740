"""Image metrics of whole clips: every frame of an output against the same moment of the reference."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from talkinghead import metrics
from talkinghead.evaluation.clip import Clip, resized, side_by_side
from talkinghead.evaluation.frame_pair import FramePair
from talkinghead.evaluation.landmark_pair import LocalFace
from talkinghead.evaluation.measured import Measured, failure
from talkinghead.evaluation.mouth_video import MouthVideo
from talkinghead.evaluation.registry import FromImages, FromMouthVideo, FromTwin, Metric, computed_from
from talkinghead.media.video_reader import VideoReader
from talkinghead.metrics.networks import IDENTITY, METRIC_NETWORKS, ST_LPIPS, MetricNetworks
from talkinghead.structures import ByteArray, FloatArray

Values = NDArray[np.float64]

SAMPLED_FRAMES = 40
"""Frames of a clip that slow metrics are measured on, spread evenly over those that show a face."""
_NETWORKS = frozenset({*METRIC_NETWORKS, IDENTITY, ST_LPIPS})


@dataclass(frozen=True)
class ImageScores:
    """What the images of a clip show."""

    measured: Measured
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
    only: frozenset[str] | None = None
    """Names of the metrics that are measured; None for all."""

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
            if metric.name not in self.missing
            and not absent.intersection(metric.needs)
            and (self.only is None or metric.name in self.only)
        )

    def restricted(self, *, of_mouth: bool) -> ImageScorer:
        """The same scorer for the metrics of the mouth crop alone, or for the others."""
        chosen = {metric.name for metric, how in self.measured if how.of_mouth == of_mouth}
        if of_mouth and self.measures_video:
            chosen |= {metric.name for metric, _ in computed_from(FromMouthVideo)}
        return replace(self, only=frozenset(chosen))

    @property
    def measures_video(self) -> bool:
        """Whether metrics of consecutive frames are measured."""
        wanted = {metric.name for metric, _ in computed_from(FromMouthVideo)}
        return self.networks.cvvdp is not None and (self.only is None or bool(wanted & self.only))

    def mouth_video(self) -> MouthVideo:
        """For the mouth crops of the middle of the clip; empty."""
        frames = len(self.reference.track) if self.measures_video else 0
        return MouthVideo.middle(self.networks, float(self.reference.frame_rate), frames)

    @property
    def identical(self) -> dict[str, float]:
        """Scores of the reference against itself, by metric."""
        twins = {metric.name: 0.0 for metric, _ in computed_from(FromTwin)}
        videos = {metric.name: how.identical for metric, how in computed_from(FromMouthVideo)}
        if not self.measures_video:
            videos = {}
        return {metric.name: how.identical for metric, how in self.measured} | videos | twins

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
        """Features (2048,) of an image for FID, in a list; empty without its network, or where it fails."""
        try:
            return [] if self.networks.inception is None else [self.networks.inception.features(image)]
        except Exception:  # as in `Measured.take`; FID is then not measured for want of frames
            return []


class ImageMeans:
    """Means of image metrics over frames, and metrics of the mouth in consecutive ones."""

    def __init__(self, scorer: ImageScorer) -> None:
        self._scorer = scorer
        self._values: dict[str, list[float]] = {metric.name: [] for metric, _ in scorer.measured}
        self._divisors: dict[str, list[float]] = {metric.name: [] for metric, _ in scorer.measured}
        self._failed: dict[str, str] = {}
        self._half_sampled = frozenset(sorted(scorer.sampled)[::2])
        self._video = scorer.mouth_video()

    def add(self, pair: FramePair) -> dict[str, float]:
        """Measure a frame; its values by metric, before any division."""
        row = {}
        for metric, how in self._scorer.measured:
            chosen = self._half_sampled if how.half_sampled else self._scorer.sampled
            if metric.name in self._failed or not (how.every_frame or pair.frame in chosen):
                continue
            try:
                value = how.compute(pair)
                divisor = how.divided_by(pair) if how.divided_by is not None else 1.0
            except Exception as error:  # as in `Measured.take`
                self._failed[metric.name] = failure(error)
                continue
            row[metric.name] = value
            self._values[metric.name].append(value)
            self._divisors[metric.name].append(divisor)
        self._video.add(pair.frame, pair.output_mouth, pair.reference_mouth)
        return row

    def add_to_video(self, pair: FramePair) -> None:
        """Take in a frame for the metrics of consecutive frames alone."""
        self._video.add(pair.frame, pair.output_mouth, pair.reference_mouth)

    def measured(self) -> Measured:
        """By metric; NaN where no frame was measured."""
        found = Measured()
        for metric, how in self._scorer.measured:
            found.take(metric.name, partial(self._mean, metric.name), self._failed.get(metric.name, how.undefined))
        if self._scorer.measures_video:
            for metric, of_video in computed_from(FromMouthVideo):
                found.take(metric.name, partial(of_video.compute, self._video), of_video.undefined)
        return found

    def _mean(self, name: str) -> float:
        """Mean of a metric over the frames, divided by that of its divisor; NaN where it failed on one."""
        if name in self._failed:
            return math.nan
        means = [metrics.finite_mean(np.array(values[name], np.float64)) for values in (self._values, self._divisors)]
        return metrics.ratio(*means)


def image_scores(output: Clip, scorer: ImageScorer) -> ImageScores:
    """Score an output's images against the reference's.

    Every frame in which the reference shows a face counts, even if none is found in the output: an output must not gain
    from hiding its face.
    """
    track = scorer.reference.track
    partners = metrics.nearest_frames(output.track.times_s, track.times_s)
    partners[~track.valid] = -1
    aligned = metrics.align(output.track, track)
    means, features = ImageMeans(scorer), []
    psnr_mouth_db = np.full(len(partners), np.nan)
    for frame, image, reference in side_by_side(output.path, scorer.reference.path, partners):
        landmarks = aligned.landmarks[frame] if aligned.valid[frame] else None
        row = means.add(scorer.pair(image, landmarks, reference, frame))
        psnr_mouth_db[frame] = row.get("psnr_mouth_db", np.nan)
        if frame in scorer.sampled:
            features += scorer.features(image)
    return ImageScores(means.measured(), psnr_mouth_db, features)


def delayed_image_scores(scorer: ImageScorer, late_frames: int) -> tuple[dict[str, float], list[FloatArray]]:
    """Scores of the reference, so many frames late, against itself; on the sampled frames only, to save time.

    Returns:
        Scores by metric, and the features (2048,) of the reference's sampled frames without the delay.
    """
    track = scorer.reference.track
    recent: deque[ByteArray] = deque(maxlen=late_frames + 1)
    means, features = ImageMeans(scorer), []
    with VideoReader(scorer.reference.path) as frames:
        for number, frame in enumerate(frames):
            recent.append(frame.image)
            source = number - late_frames
            landmarks = track.landmarks[source] if source >= 0 and track.valid[source] else None
            pair = scorer.pair(recent[0], landmarks, frame.image, number)
            if number in scorer.sampled:
                features += scorer.features(frame.image)
            if source >= 0 and number in scorer.sampled:
                means.add(pair)
            elif source >= 0:
                means.add_to_video(pair)
    return means.measured().scores, features


def twin_scores(output: Clip, twin: Clip, scorer: ImageScorer) -> Measured:
    """Scores of an output against its twin inside the lower face, by metric; mean over the sampled frames."""
    own = metrics.nearest_frames(output.track.times_s, scorer.reference.track.times_s)
    partners = metrics.nearest_frames(twin.track.times_s, output.track.times_s)
    # Only the output's frames that stand beside a sampled frame of the reference.
    wanted = {int(own[frame]): frame for frame in scorer.sampled if own[frame] >= 0}
    partners[[number not in wanted for number in range(len(partners))]] = -1
    width, height = scorer.reference.track.width, scorer.reference.track.height
    values: dict[str, list[float]] = {metric.name: [] for metric, _ in computed_from(FromTwin)}
    failed: dict[str, str] = {}
    for number, twin_image, output_image in side_by_side(twin.path, output.path, partners):
        images = [resized(image, width, height) for image in (output_image, twin_image)]
        for metric, how in computed_from(FromTwin):
            try:
                region = scorer.face.pasted(wanted[number], images[0].shape)
                values[metric.name].append(how.compute(images[0], images[1], region))
            except Exception as error:  # as in `Measured.take`
                failed[metric.name] = failure(error)
    found = Measured()
    for metric, how in computed_from(FromTwin):
        seen = [] if metric.name in failed else values[metric.name]
        mean = metrics.finite_mean(np.array(seen, np.float64))
        found.take(metric.name, partial(float, mean), failed.get(metric.name, how.undefined))
    return found
