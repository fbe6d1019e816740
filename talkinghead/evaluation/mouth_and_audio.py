"""How the mouth in a clip goes with its driving audio: in silence, at p, b and m, at their bursts, and by SyncNet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from talkinghead import metrics
from talkinghead.errors import MediaError
from talkinghead.evaluation.clip import Clip
from talkinghead.evaluation.driving_audio import DrivingAudio
from talkinghead.media.video_reader import VideoReader
from talkinghead.metrics import syncnet, theval
from talkinghead.metrics.networks import MetricNetworks
from talkinghead.structures import Track

Values = NDArray[np.float64]


@dataclass(frozen=True)
class MouthAndAudio:
    """A clip's landmarks, its driving audio and SyncNet's scores.

    Every audio metric is computed from this (evaluation/registry.py); NaN where a part is missing.
    """

    track: Track
    driving: DrivingAudio
    lip_sync: syncnet.LipSync | None = None
    """None without SyncNet, or for a clip that SyncNet cannot score."""
    lag_s: float = 0.0
    """How late the audio is against this mouth, > 0 where it is late; in a reference, whose own values of closure and
    motion in silence are the target of an output, it is taken out."""

    @property
    def _heard_s(self) -> Values:
        """(T,) times in the audio at which each frame is heard."""
        return self.track.times_s + self.lag_s

    @property
    def silence_motion(self) -> float:
        """Motion of the mouth in silence over motion in speech."""
        if self.driving.speech_s is None:
            return math.nan
        return metrics.silence_motion(metrics.opening(self.track), self.driving.silent(self._heard_s))

    @property
    def theval_lip_sync(self) -> float:
        """THEval's difference of opening and volume."""
        audio, speech_s = self.driving.audio, self.driving.speech_s
        return math.nan if audio is None or speech_s is None else theval.lip_sync(self.track, audio, speech_s)

    @property
    def theval_silent_lip(self) -> float:
        """THEval's deviation of the opening in silences."""
        speech_s = self.driving.speech_s
        return math.nan if speech_s is None else theval.silent_lip(self.track, speech_s)

    @property
    def closure_depth(self) -> float:
        """How far the mouth closes at p, b and m."""
        phones = self.driving.phones
        if phones is None:
            return math.nan
        opening = metrics.opening(self.track)
        return metrics.closure_depth(opening, self._heard_s, phones.closures_s, phones.others_s)

    @cached_property
    def plosives(self) -> metrics.PlosiveOffset:
        """When the lips part at p and b, against the bursts in the audio; empty where audio or phones are missing."""
        audio, phones = self.driving.audio, self.driving.phones
        if audio is None or phones is None:
            return metrics.PlosiveOffset(np.zeros(0), 0)
        bursts_s = metrics.find_bursts(audio, phones.plosives_s)
        return metrics.plosive_offset(bursts_s, metrics.lip_partings(metrics.opening(self.track), self.track.times_s))

    @property
    def plosives_timed(self) -> float:
        """How many p and b that is measured on; NaN where audio or phones are missing."""
        known = self.driving.audio is not None and self.driving.phones is not None
        return float(self.plosives.count) if known else math.nan

    @property
    def not_measured(self) -> dict[str, str]:
        """Why a metric could not be measured although nothing that it needs is missing, by its name."""
        if math.isnan(self.plosives_timed) or self.plosives.is_enough:
            return {}
        return {
            "plosive_offset_ms": f"needs {metrics.FEWEST_PLOSIVES} p and b at which the lips part, and half of those "
            f"whose burst is heard; there are {self.plosives.count} of {self.plosives.bursts}"
        }

    @property
    def lse_d(self) -> float:
        """SyncNet's distance."""
        return math.nan if self.lip_sync is None else self.lip_sync.distance

    @property
    def lse_c(self) -> float:
        """SyncNet's confidence."""
        return math.nan if self.lip_sync is None else self.lip_sync.confidence

    @property
    def lse_offset(self) -> float:
        """SyncNet's offset, frames at 25 fps."""
        return math.nan if self.lip_sync is None else float(self.lip_sync.offset)


def syncnet_embeddings(clip: Clip, driving: DrivingAudio, networks: MetricNetworks) -> syncnet.Embeddings | None:
    """SyncNet's embeddings of a clip; None without SyncNet, audio or a face, or for a clip that is too short."""
    if networks.syncnet is None or driving.audio is None or not clip.track.valid.any():
        return None
    try:
        with VideoReader(clip.path) as frames:
            return syncnet.embed(networks.syncnet, frames, clip.track, driving.audio.samples)
    except MediaError:  # shorter than SyncNet's window
        return None


def lip_sync(embeddings: syncnet.Embeddings | None, late_frames: int = 0) -> syncnet.LipSync | None:
    """SyncNet's scores from its embeddings, as if the video came so many frames (at 25 fps) late."""
    return None if embeddings is None else syncnet.lip_sync(embeddings, late_frames=late_frames)
