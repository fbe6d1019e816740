"""One frame of an output beside the same frame of its reference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from talkinghead import metrics
from talkinghead.evaluation.landmark_pair import LocalFace
from talkinghead.metrics.identity import similarity
from talkinghead.metrics.networks import MetricNetworks
from talkinghead.structures import ByteArray, FloatArray


@dataclass(frozen=True)
class FramePair:
    """One frame of an output beside the same frame of its reference, at the reference's size.

    Every image metric is computed from this (evaluation/registry.py); NaN where the network it needs is not installed.
    """

    output: ByteArray
    """(H, W, 3)"""
    reference: ByteArray
    """(H, W, 3)"""
    frame: int
    """Its number in the reference."""
    crop: metrics.MouthCrop
    face: LocalFace
    """The reference's."""
    networks: MetricNetworks
    output_landmarks: FloatArray | None
    """(478, 3) px; None where no face was found."""
    reference_landmarks: FloatArray
    """(478, 3) px."""

    @cached_property
    def output_mouth(self) -> ByteArray:
        """(side, side, 3) mouth crop of the output."""
        return self.crop.of(self.output, self.frame)

    @cached_property
    def reference_mouth(self) -> ByteArray:
        """(side, side, 3) mouth crop of the reference."""
        return self.crop.of(self.reference, self.frame)

    @property
    def seam_ratio(self) -> float:
        """Step across the edge of the lower face, output over reference."""
        return metrics.seam(self.output, self.reference, self.face.pasted(self.frame, self.reference.shape))

    def lpips(self, output: ByteArray, reference: ByteArray) -> float:
        """LPIPS of two images."""
        return math.nan if self.networks.lpips is None else self.networks.lpips.distance(output, reference)

    @property
    def st_lpips(self) -> float:
        """Shift-tolerant LPIPS of the mouth crops."""
        network = self.networks.st_lpips
        return math.nan if network is None else network.distance(self.output_mouth, self.reference_mouth)

    @property
    def identity_similarity(self) -> float:
        """Cosine of the face descriptors of both images; NaN where the output shows no face."""
        if self.networks.identity is None or self.output_landmarks is None:
            return math.nan
        output = self.networks.identity.describe(self.output, self.output_landmarks)
        reference = self.networks.identity.describe(self.reference, self.reference_landmarks)
        return similarity(output, reference)
