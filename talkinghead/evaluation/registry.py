"""The metrics of an evaluation, one row each: name, unit, best value, what it needs and how it is computed.

To add a metric, add a row here and a field of the same name to `Scores`, and describe it in docs/evaluation.md. Tables,
JSON, CSV, the report and the reasons for what was not measured are derived from the row; tests hold `Scores` and the
document to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TypeVar

from talkinghead import metrics
from talkinghead.evaluation.frame_pair import FramePair
from talkinghead.evaluation.landmark_pair import LandmarkPair
from talkinghead.evaluation.measured import Measured
from talkinghead.evaluation.mouth_and_audio import MouthAndAudio
from talkinghead.evaluation.mouth_video import MouthVideo
from talkinghead.evaluation.needs import Need
from talkinghead.metrics import theval
from talkinghead.metrics.fid import frechet_distance
from talkinghead.metrics.lpips import SHORTEST_PX as LPIPS_SHORTEST_PX
from talkinghead.metrics.st_lpips import SHORTEST_PX as ST_LPIPS_SHORTEST_PX
from talkinghead.structures import BoolArray, ByteArray, FloatArray

NO_FACE_IN_BOTH = "no frame shows a face in both clips"
STILL_OR_SHORT = "a mouth stands still, or too few frames show a face in both clips"
NO_FACE = "the output shows no face"
NO_FRAME = "no frame of the output stands beside one of the reference that was to be measured"


@dataclass(frozen=True)
class FromLandmarks:
    """Computed from the landmarks of output and reference."""

    compute: Callable[[LandmarkPair], float]
    undefined: str = STILL_OR_SHORT
    """Why it is not measured where nothing that it needs is missing."""


@dataclass(frozen=True)
class FromAudio:
    """Computed from the output's mouth and the audio that drove it."""

    compute: Callable[[MouthAndAudio], float]
    undefined: str = NO_FACE
    """Why it is not measured where nothing that it needs is missing."""


@dataclass(frozen=True)
class FromImages:
    """Computed from each frame of output and reference; the score is the mean over frames."""

    compute: Callable[[FramePair], float]
    identical: float
    """Score of identical images."""
    divided_by: Callable[[FramePair], float] | None = None
    """Where given, the score is the mean of `compute` over the mean of this."""
    every_frame: bool = False
    """Measured on every frame; otherwise on `SAMPLED_FRAMES` of a clip, because it is slow."""
    half_sampled: bool = False
    """Measured on every second of those only, because it is slower still."""
    of_mouth: bool = False
    """Measured on the mouth crop; otherwise on the whole frame."""
    shortest_px: int = 0
    """Shortest side of the image that it can be computed on."""
    undefined: str = NO_FRAME
    """Why it is not measured where nothing that it needs is missing."""


@dataclass(frozen=True)
class FromMouthVideo:
    """Computed from the mouth crops of consecutive frames of output and reference."""

    compute: Callable[[MouthVideo], float]
    identical: float
    """Score of identical videos."""
    undefined: str = NO_FRAME
    """Why it is not measured where nothing that it needs is missing."""


@dataclass(frozen=True)
class FromTwin:
    """Computed from an output, its twin and where the lower face is; the score is the mean over sampled frames."""

    compute: Callable[[ByteArray, ByteArray, BoolArray], float]
    undefined: str = NO_FRAME
    """Why it is not measured where nothing that it needs is missing."""


@dataclass(frozen=True)
class FromAllClips:
    """Computed from the image features (2048,) of all clips of a system and of all references."""

    compute: Callable[[Sequence[FloatArray], Sequence[FloatArray]], float]
    undefined: str = "needs two frames that show a face"
    """Why it is not measured where nothing that it needs is missing."""


Computed = FromLandmarks | FromAudio | FromImages | FromMouthVideo | FromTwin | FromAllClips


@dataclass(frozen=True)
class Metric:
    """One metric: what it is called, how to read its score, what it needs and how it is computed."""

    name: str
    """Field of `Scores`, key in JSON and column of a CSV."""
    label: str
    """What a table calls it, without the unit."""
    unit: str
    """Empty for a number without one."""
    best: str
    """A number, "high" or "low"; empty for a count, which has no best value."""
    decimals: int
    """Decimals shown."""
    computed: Computed
    needs: tuple[Need, ...] = (Need.REFERENCE,)
    """Where several are missing, the first is given as the reason."""
    heading: str = ""
    """Column of the headline, whose choice docs/evaluation.md explains; empty for a metric that is not in it."""
    noise: float = 0.0
    """How much worse encoding the reference again (H.264, CRF 23) makes it; smaller differences mean nothing."""
    blind_to_sync: bool = False
    """Whether it scores a reference that comes late like the reference itself."""

    @property
    def title(self) -> str:
        """Label and unit."""
        return f"{self.label}, {self.unit}" if self.unit else self.label

    @property
    def is_count(self) -> bool:
        """Whether it counts frames: no better or worse, and no interval."""
        return not self.best

    def text(self, value: float) -> str:
        """A score as a table shows it."""
        return "-" if math.isnan(value) else f"{value:.{self.decimals}f}"

    def loss(self, value: float) -> float:
        """Distance from the best value, larger is worse; NaN for a count."""
        if self.best in ("high", "low"):
            return value if self.best == "low" else -value
        return abs(value - float(self.best)) if self.best else math.nan

    def is_worse(self, value: float, reference: float) -> bool:
        """Whether a score is worse than the reference's own score by more than encoding alone makes it."""
        return self.loss(value) - self.loss(reference) > self.noise


_NEEDS_SYNCNET = (Need.SYNCNET, Need.AUDIO)
_SYNCNET_UNDEFINED = "the clip is too short for SyncNet, or shows no face"

# fmt: off
METRICS: tuple[Metric, ...] = (
    Metric(
        "lmd_px", "mouth landmark distance", "px at 512", "0", 2,
        FromLandmarks(lambda pair: metrics.finite_mean(pair.lmd_px)),
        heading="LMD px", noise=0.27,
    ),
    Metric(
        "lmd_iod", "  over the inter-ocular distance", "", "0", 4,
        FromLandmarks(lambda pair: metrics.finite_mean(metrics.lmd_iod(pair.output, pair.reference))),
        noise=0.004,
    ),
    Metric(
        "lve_mm", "lip vertex error", "mm", "0", 2,
        FromLandmarks(lambda pair: metrics.finite_mean(pair.lip_error_mm)),
        noise=0.7,
    ),
    Metric(
        "lvd_px_s", "landmark velocity difference", "px/s", "0", 1,
        FromLandmarks(
            lambda pair: metrics.finite_mean(metrics.landmark_velocity_difference(pair.output, pair.reference))
        ),
        noise=6.0,
    ),
    Metric(
        "opening_r", "opening: r", "", "1", 3,
        FromLandmarks(lambda pair: metrics.pearson_r(pair.opening, pair.reference_opening)),
        heading="opening r", noise=0.01,
    ),
    Metric(
        "opening_ccc", "  concordance", "", "1", 3,
        FromLandmarks(lambda pair: metrics.concordance(pair.opening, pair.reference_opening)),
        noise=0.02,
    ),
    Metric(
        "opening_std_ratio", "  std, output / reference", "", "1", 2,
        FromLandmarks(lambda pair: metrics.std_ratio(pair.opening, pair.reference_opening)),
        heading="std ratio", noise=0.07, blind_to_sync=True,
    ),
    Metric(
        "lag_ms", "  lag (+: output late)", "ms", "0", 0,
        FromLandmarks(lambda pair: pair.lag.lag_ms),
        heading="lag ms", noise=10.0,
    ),
    Metric(
        "lag_r", "  r at that lag", "", "1", 3,
        FromLandmarks(lambda pair: pair.lag.r),
        noise=0.01, blind_to_sync=True,
    ),
    Metric(
        "lag_confidence", "  confidence of the lag", "", "high", 3,
        FromLandmarks(lambda pair: pair.lag.confidence),
        noise=0.01, blind_to_sync=True,
    ),
    Metric(
        "audio_lag_ms", "audio of the reference: lag (+: audio late)", "ms", "", 0,
        FromLandmarks(lambda pair: pair.audio_lag_ms),
        needs=(Need.REFERENCE, Need.AUDIO_LAG),
    ),
    Metric(
        "audio_lag_r", "  opening: r with that lag taken out", "", "1", 3,
        FromLandmarks(lambda pair: pair.audio_lag_r),
        needs=(Need.REFERENCE, Need.AUDIO_LAG), noise=0.01,
    ),
    Metric(
        "width_r", "mouth width: r", "", "1", 3,
        FromLandmarks(
            lambda pair: metrics.pearson_r(metrics.mouth_width(pair.output), metrics.mouth_width(pair.reference))
        ),
        noise=0.02,
    ),
    Metric(
        "closure_depth", "lip closure at p, b, m", "", "1", 2,
        FromAudio(lambda mouth: mouth.closure_depth, "the output shows no face at p, b, m and at other phones"),
        needs=(Need.PHONE_TIMES,), heading="pbm", noise=0.05,
    ),
    Metric(
        "plosive_offset_ms", "lips part after the burst of p, b", "ms", "0", 0,
        FromAudio(lambda mouth: mouth.plosives.median_ms, "too few p and b could be timed"),
        needs=(Need.PHONE_TIMES, Need.AUDIO), noise=10.0,
    ),
    Metric(
        "plosives", "  p and b timed", "", "", 0,
        FromAudio(lambda mouth: mouth.plosives_timed),
        needs=(Need.PHONE_TIMES, Need.AUDIO),
    ),
    Metric(
        "silence_motion", "motion in silence / in speech", "", "low", 2,
        FromAudio(
            lambda mouth: mouth.silence_motion, "the mouth stands still in speech, or there is no speech or no silence"
        ),
        needs=(Need.AUDIO, Need.VOICE_ACTIVITY), noise=0.05,
    ),
    Metric(
        "theval_lip_sync", "THEval lip sync", "", str(theval.REAL_MEANS["lip_sync"]), 3,
        FromAudio(lambda mouth: mouth.theval_lip_sync, "needs two frames of speech that show a face"),
        needs=(Need.AUDIO, Need.VOICE_ACTIVITY), noise=0.02,
    ),
    Metric(
        "theval_silent_lip", "THEval silent-lip stability", "", str(theval.REAL_MEANS["silent_lip"]), 4,
        FromAudio(lambda mouth: mouth.theval_silent_lip, "needs a silence of 0.3 s in which a face is shown"),
        needs=(Need.AUDIO, Need.VOICE_ACTIVITY), noise=0.005,
    ),
    Metric(
        "theval_lip_dynamics", "THEval lip dynamics", "px at 256", str(theval.REAL_MEANS["lip_dynamics"]), 3,
        FromAudio(lambda mouth: theval.lip_dynamics(mouth.track)),
        needs=(), noise=0.05, blind_to_sync=True,
    ),
    Metric(
        "lse_d", "SyncNet LSE-D", "", "low", 2,
        FromAudio(lambda mouth: mouth.lse_d, _SYNCNET_UNDEFINED),
        needs=_NEEDS_SYNCNET, heading="LSE-D", noise=0.2, blind_to_sync=True,
    ),
    Metric(
        "lse_c", "SyncNet LSE-C", "", "high", 2,
        FromAudio(lambda mouth: mouth.lse_c, _SYNCNET_UNDEFINED),
        needs=_NEEDS_SYNCNET, heading="LSE-C", noise=0.2, blind_to_sync=True,
    ),
    Metric(
        "lse_offset", "SyncNet offset", "frames", "0", 0,
        FromAudio(lambda mouth: mouth.lse_offset, _SYNCNET_UNDEFINED),
        needs=_NEEDS_SYNCNET, noise=0.5,
    ),
    Metric(
        "psnr_full_db", "PSNR, whole frame", "dB", "high", 2,
        FromImages(
            lambda pair: metrics.psnr(pair.output, pair.reference),
            identical=metrics.PSNR_CAP_DB, every_frame=True,
        ),
        noise=60.0,
    ),
    Metric(
        "psnr_mouth_db", "PSNR, mouth crop", "dB", "high", 2,
        FromImages(
            lambda pair: metrics.psnr(pair.output_mouth, pair.reference_mouth),
            identical=metrics.PSNR_CAP_DB, every_frame=True, of_mouth=True,
        ),
        heading="mouth dB", noise=63.0,
    ),
    Metric(
        "ssim_full", "SSIM, whole frame", "", "1", 3,
        FromImages(
            lambda pair: metrics.ssim(pair.output, pair.reference), identical=1.0, shortest_px=metrics.SSIM_WINDOW_PX
        ),
        noise=0.04,
    ),
    Metric(
        "ssim_mouth", "SSIM, mouth crop", "", "1", 3,
        FromImages(
            lambda pair: metrics.ssim(pair.output_mouth, pair.reference_mouth),
            identical=1.0, every_frame=True, of_mouth=True, shortest_px=metrics.SSIM_WINDOW_PX,
        ),
        heading="mouth SSIM", noise=0.04,
    ),
    Metric(
        "ms_ssim_full", "MS-SSIM, whole frame", "", "1", 3,
        FromImages(
            lambda pair: metrics.ms_ssim(pair.output, pair.reference),
            identical=1.0, shortest_px=metrics.MS_SSIM_SHORTEST_PX,
        ),
        noise=0.02,
    ),
    Metric(
        "ms_ssim_mouth", "MS-SSIM, mouth crop", "", "1", 3,
        FromImages(
            lambda pair: metrics.ms_ssim(pair.output_mouth, pair.reference_mouth),
            identical=1.0, of_mouth=True, shortest_px=metrics.MS_SSIM_SHORTEST_PX,
        ),
        noise=0.02,
    ),
    Metric(
        "lpips_full", "LPIPS (AlexNet), whole frame", "", "0", 3,
        FromImages(
            lambda pair: pair.lpips(pair.output, pair.reference),
            identical=0.0, shortest_px=LPIPS_SHORTEST_PX,
        ),
        needs=(Need.REFERENCE, Need.LPIPS), noise=0.05,
    ),
    Metric(
        "lpips_mouth", "LPIPS (AlexNet), mouth crop", "", "0", 3,
        FromImages(
            lambda pair: pair.lpips(pair.output_mouth, pair.reference_mouth),
            identical=0.0, of_mouth=True, shortest_px=LPIPS_SHORTEST_PX,
        ),
        needs=(Need.REFERENCE, Need.LPIPS), noise=0.05,
    ),
    Metric(
        "st_lpips_mouth", "ST-LPIPS, mouth crop", "", "0", 4,
        FromImages(
            lambda pair: pair.st_lpips, identical=0.0, half_sampled=True, of_mouth=True,
            shortest_px=ST_LPIPS_SHORTEST_PX,
        ),
        needs=(Need.REFERENCE, Need.ST_LPIPS), noise=0.02,
    ),
    Metric(
        "cvvdp_mouth_jod", "ColorVideoVDP, mouth crop", "JOD", "10", 2,
        FromMouthVideo(lambda video: video.cvvdp_jod, identical=10.0),
        needs=(Need.REFERENCE, Need.CVVDP), noise=1.0,
    ),
    Metric(
        "fid", "FID", "", "0", 1,
        FromAllClips(frechet_distance),
        needs=(Need.REFERENCE, Need.FID), noise=5.0, blind_to_sync=True,
    ),
    Metric(
        "identity_similarity", "identity similarity", "", "1", 3,
        FromImages(
            lambda pair: pair.identity_similarity, identical=1.0, undefined="the output shows no face"
        ),
        needs=(Need.REFERENCE, Need.IDENTITY), noise=0.02, blind_to_sync=True,
    ),
    Metric(
        "sharpness_ratio", "sharpness, output / reference", "", "1", 2,
        FromImages(
            lambda pair: metrics.sharpness(pair.output_mouth),
            identical=1.0, divided_by=lambda pair: metrics.sharpness(pair.reference_mouth),
            every_frame=True, of_mouth=True, undefined="the reference's mouth crop is a flat area",
        ),
        heading="sharp", noise=0.15, blind_to_sync=True,
    ),
    Metric(
        "jitter_ratio", "jitter, output / reference", "", "1", 2,
        FromLandmarks(lambda pair: pair.jitter_ratio),
        heading="jitter", noise=0.1, blind_to_sync=True,
    ),
    Metric(
        "seam_ratio", "seam, output / reference", "", "1", 2,
        FromImages(
            lambda pair: pair.seam_ratio, identical=1.0,
            undefined="the reference is flat along the edge of the lower face, or that lies outside the image",
        ),
        heading="seam", noise=0.1, blind_to_sync=True,
    ),
    Metric(
        "leak", "leak of the original mouth", "of 255", "0", 2,
        FromTwin(metrics.leak),
        needs=(Need.REFERENCE, Need.TWIN), noise=0.5, blind_to_sync=True,
    ),
    Metric(
        "frames_scored", "frames scored", "", "", 0,
        FromLandmarks(lambda pair: float(pair.output.valid.sum())),
        needs=(),
    ),
    Metric(
        "frames_total", "frames of the reference", "", "", 0,
        FromLandmarks(lambda pair: float(len(pair.reference))),
        needs=(),
    ),
)
"""Every metric, in the order of tables, JSON and CSV."""
# fmt: on
NAMES = tuple(metric.name for metric in METRICS)
BY_NAME: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in METRICS})

Kind = TypeVar("Kind", FromLandmarks, FromAudio, FromImages, FromMouthVideo, FromTwin, FromAllClips)


def computed_from(kind: type[Kind]) -> list[tuple[Metric, Kind]]:
    """The metrics that are computed in one way, and how."""
    return [(metric, metric.computed) for metric in METRICS if isinstance(metric.computed, kind)]


def landmark_scores(pair: LandmarkPair) -> Measured:
    """Scores of every metric on landmarks."""
    found = Measured()
    for metric, how in computed_from(FromLandmarks):
        undefined = how.undefined if pair.output.valid.any() else NO_FACE_IN_BOTH
        found.take(metric.name, partial(how.compute, pair), undefined)
    return found


def audio_scores(mouth: MouthAndAudio) -> Measured:
    """Scores of every metric on audio; what is missing for one is said by `not_measured`."""
    found = Measured()
    for metric, how in computed_from(FromAudio):
        undefined = how.undefined if mouth.track.valid.any() else NO_FACE
        found.take(metric.name, partial(how.compute, mouth), mouth.not_measured.get(metric.name, undefined))
    return found


def not_measured(missing: Mapping[Need, str]) -> dict[str, str]:
    """Why a metric cannot be measured, by its name.

    Args:
        missing: for each thing that is not there, what to say.
    """
    reasons = {}
    for metric in METRICS:
        absent = [need for need in metric.needs if need in missing]
        if absent:
            reasons[metric.name] = missing[absent[0]]
    return reasons
