"""One clip measured: against the truth by landmarks, by mesh and by pixels; and by itself against its sound.

Clips are read once for their landmarks (cached by content) and once for their pixels, one frame at a time: apart from
landmarks and sound nothing grows with the length.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from talkinghead import metrics
from talkinghead.errors import MediaError, ModelUnavailableError, NoAudioError, TableError
from talkinghead.evaluation.phone_alignment import align_phones
from talkinghead.evaluation.phone_times import PhoneTimes
from talkinghead.face.face_model import load_face_model
from talkinghead.face.reconstruction import reconstruct
from talkinghead.face.region_removal import Crops, crop_size_px, local_region, paste_back, place_crops, region_masks
from talkinghead.face.topology import JAW_LANDMARKS, MOUTH_LANDMARKS
from talkinghead.face.tracking import track_file
from talkinghead.media.audio_reader import read_audio
from talkinghead.media.video_reader import VideoReader, read_video_info
from talkinghead.metrics import identity as face_identity
from talkinghead.metrics import syncnet
from talkinghead.metrics.lpips import SHORTEST_PX
from talkinghead.metrics.networks import Judges
from talkinghead.speech.voice_activity import VoiceActivityConfig, speech_stretches
from talkinghead.structures import Audio, BoolArray, ByteArray, FloatArray, Reconstruction, Track
from talkinghead.weights.bundled import checkpoint_path

Values = NDArray[np.float64]
Numbers = dict[str, float]

SAMPLED_FRAMES = 40
"""Measures that take long are taken on so many frames of a clip, spread evenly over those that show a face."""
JITTER_LANDMARKS = MOUTH_LANDMARKS + JAW_LANDMARKS
"""What is made anew in an output, and so what may tremble."""
PERFECT: Numbers = {
    "psnr_full_db": metrics.PSNR_CAP_DB,
    "psnr_mouth_db": metrics.PSNR_CAP_DB,
    "ssim_full": 1.0,
    "ssim_mouth": 1.0,
    "ms_ssim_full": 1.0,
    "ms_ssim_mouth": 1.0,
    "lpips_full": 0.0,
    "lpips_mouth": 0.0,
    "identity_similarity": 1.0,
    "sharpness_ratio": 1.0,
    "seam_ratio": 1.0,
    "leak": 0.0,
}
"""What pixels score against themselves."""
AUDIO_NUMBERS = ("silence_motion", "lse_d", "lse_c", "lse_offset")


@dataclass(frozen=True)
class Clip:
    """A video file after its first reading."""

    path: Path
    frame_rate: Fraction
    track: Track


def read_clip(path: Path) -> Clip:
    """Raises MissingFileError, MediaError, NoVideoError, ModelUnavailableError."""
    return Clip(path, read_video_info(path).frame_rate, track_file(path))


# By the sound


@dataclass(frozen=True)
class Driving:
    """What the output was driven by."""

    audio: Audio | None = None
    speech_s: Values | None = None
    """(R, 2) begin and end of each stretch of speech."""
    phones: PhoneTimes | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    """By number: why it cannot be measured with what there is."""

    def silent(self, times_s: Values) -> BoolArray:
        """(T,) True where nobody speaks; all False where that is not known."""
        if self.speech_s is None:
            return np.zeros(len(times_s), np.bool_)
        speaking = [(times_s >= begin) & (times_s < end) for begin, end in self.speech_s]
        return ~np.any(speaking, axis=0) if speaking else np.ones(len(times_s), np.bool_)


def read_driving(path: Path | None, phones: PhoneTimes | None) -> Driving:
    """The sound of a file, if it has any; where there is none, the numbers that need it say so.

    Raises:
        MissingFileError, MediaError: the file cannot be read at all.
    """
    missing = {} if phones else {"closure_depth": "needs phone times (--phones) or what is said (--transcript)"}
    try:
        audio = read_audio(path) if path else None
    except NoAudioError:
        audio = None
    if audio is None or not len(audio.samples):
        needs = "needs sound: neither what drives the output nor the reference has any"
        return Driving(phones=phones, missing={**missing, **dict.fromkeys(AUDIO_NUMBERS, needs)})
    try:
        stretches = speech_stretches(audio, VoiceActivityConfig())
    except ModelUnavailableError as error:
        return Driving(audio, None, phones, {**missing, "silence_motion": str(error)})
    return Driving(audio, stretches, phones, missing)


def aligned(driving: Driving, transcript: Path) -> Driving:
    """The same with phone times made from what is said; where that cannot be, the closing says why.

    Raises:
        MissingFileError: there is no such transcript.
    """
    if driving.audio is None:
        return driving
    try:
        phones = align_phones(transcript, driving.audio)
    except (ModelUnavailableError, TableError) as error:
        return replace(driving, missing={**driving.missing, "closure_depth": str(error)})
    missing = {name: reason for name, reason in driving.missing.items() if name != "closure_depth"}
    return replace(driving, phones=phones, missing=missing)


def mouth_and_audio(track: Track, driving: Driving) -> Numbers:
    """How the mouth of a clip behaves in silence and at p, b and m."""
    opening = metrics.opening(track)
    found = {"silence_motion": metrics.silence_motion(opening, driving.silent(track.times_s))}
    if driving.phones is not None:
        found["closure_depth"] = metrics.closure_depth(
            opening, track.times_s, driving.phones.closures_s, driving.phones.others_s
        )
    return found


def embeddings(clip: Clip, driving: Driving, judges: Judges) -> syncnet.Embeddings | None:
    """What SyncNet makes of a clip; None where it is not here, or cannot be run on this clip."""
    if judges.syncnet is None or driving.audio is None or not clip.track.valid.any():
        return None
    try:
        with VideoReader(clip.path) as frames:
            return syncnet.embed(judges.syncnet, frames, clip.track, driving.audio.samples)
    except MediaError:  # too short
        return None


def sync_numbers(found: syncnet.Embeddings | None, late_frames: int = 0) -> Numbers:
    """LSE-D, LSE-C and offset."""
    if found is None:
        return {}
    verdict = syncnet.lip_sync(found, late_frames=late_frames)
    return {"lse_d": verdict.distance, "lse_c": verdict.confidence, "lse_offset": float(verdict.offset)}


# By landmarks


class LocalFace:
    """The lower face of the person in a clip: its mesh in every frame, and where a new one would be pasted."""

    def __init__(self, track: Track) -> None:
        """Raises NoFaceError where no frame of the track is valid."""
        self._model = load_face_model(checkpoint_path("face_model.safetensors"))
        self._reconstruction = reconstruct(track, self._model)
        self._lips = [self._model.local_index[number] for number in MOUTH_LANDMARKS]
        self._lips_mm = self._lips_of(self._reconstruction)
        region = local_region(self._model.of(self._reconstruction.identity))
        self._region, self._crops = (
            region,
            place_crops(region, self._reconstruction, crop_size_px(region, self._reconstruction)),
        )

    @property
    def landmarks(self) -> list[int]:
        """Numbers of the landmarks that the mesh of the lower face is made of."""
        return [int(number) for number in self._model.local]

    def _lips_of(self, reconstruction: Reconstruction) -> FloatArray:
        shape = self._model.of(reconstruction.identity).local_shape(reconstruction.expression)
        return np.asarray(10 * shape[:, self._lips], np.float32)

    def lip_error_mm(self, aligned: Track) -> Values:
        """(T,) of another track of the same person, frame against frame; NaN where either shows no face."""
        if not aligned.valid.any():
            return np.full(len(aligned), np.nan)
        other = reconstruct(aligned, self._model, identity=self._reconstruction.identity)
        error = metrics.lip_vertex_error(self._lips_of(other), self._lips_mm)
        return np.where(other.valid & self._reconstruction.valid, error, np.nan)

    def pasted(self, frame: int, shape: tuple[int, ...]) -> BoolArray:
        """(H, W) the lower face in a frame, by identity and pose alone; its edge lies half way through the fading."""
        place = Crops(self._crops.to_frame[[frame]], self._crops.size_px)
        _, feathers = region_masks(self._region, self._reconstruction.select(np.array([frame])), place)
        white = np.ones((*self._crops.size_px, 3), np.float32)
        seen = paste_back(np.zeros(shape, np.uint8), white, feathers[0], place.to_frame[0])
        return np.asarray(seen[..., 0] > 127)


@dataclass(frozen=True)
class LandmarkCurves:
    """What landmarks show from frame to frame, at the reference's times."""

    opening: Values
    """(T,)"""
    lmd_px: Values
    """(T,)"""
    mouth_px: Values
    """(T, 20, 2) less their centroid, px of a 512 px picture."""
    lags_ms: Values
    """(S,)"""
    lag_r: Values
    """(S,)"""


def landmark_numbers(output: Track, reference: Track, face: LocalFace) -> tuple[Numbers, LandmarkCurves]:
    """Everything that is read off the landmarks of both clips."""
    aligned = metrics.align(output, reference)
    scored = aligned.valid & reference.valid
    aligned, truth = replace(aligned, valid=scored), replace(reference, valid=scored)
    opening, true_opening = metrics.opening(aligned), metrics.opening(truth)
    curves = metrics.opening(output), output.times_s, metrics.opening(reference), reference.times_s
    lag = metrics.best_lag(*curves)
    lmd_px = metrics.lmd(aligned, truth)
    numbers = {
        "lmd_px": metrics.finite_mean(lmd_px),
        "lmd_iod": metrics.finite_mean(metrics.lmd_iod(aligned, truth)),
        "lve_mm": metrics.finite_mean(face.lip_error_mm(aligned)),
        "lvd_px_s": metrics.finite_mean(metrics.landmark_velocity_difference(aligned, truth)),
        "opening_r": metrics.pearson_r(opening, true_opening),
        "opening_ccc": metrics.concordance(opening, true_opening),
        "width_r": metrics.pearson_r(metrics.mouth_width(aligned), metrics.mouth_width(truth)),
        "opening_std_ratio": metrics.std_ratio(opening, true_opening),
        "lag_ms": lag.lag_ms,
        "lag_r": lag.r,
        "lag_confidence": lag.confidence,
        "jitter_ratio": metrics.ratio(
            metrics.jitter(metrics.points(aligned, JITTER_LANDMARKS)),
            metrics.jitter(metrics.points(truth, JITTER_LANDMARKS)),
        ),
        "frames_scored": float(scored.sum()),
        "frames_total": float(len(reference)),
    }
    return numbers, LandmarkCurves(opening, lmd_px, mouth_shape_px(aligned), *metrics.lag_curve(*curves))


def mouth_shape_px(track: Track) -> Values:
    """(T, 20, 2) the mouth's landmarks less their centroid, px of a 512 px picture; NaN without a face."""
    places = metrics.points(track, MOUTH_LANDMARKS)
    scale = metrics.LMD_FRAME_PX / max(track.width, track.height)
    return np.asarray(scale * (places - places.mean(axis=1, keepdims=True)))


def late(track: Track, frames: int) -> Track:
    """The same clip so many frames late: its beginning shows nothing."""
    source = np.maximum(np.arange(len(track)) - frames, 0)
    valid = track.valid[source] & (np.arange(len(track)) >= frames)
    return replace(track, landmarks=track.landmarks[source], valid=valid)


# By pixels


@dataclass(frozen=True)
class PictureJudge:
    """Compares pictures with those of one reference clip."""

    reference: Clip
    crop: metrics.MouthCrop
    sampled: frozenset[int]
    """Frames on which what takes long is measured."""
    face: LocalFace
    judges: Judges

    @classmethod
    def of(cls, reference: Clip, face: LocalFace, judges: Judges) -> PictureJudge:
        shown = np.flatnonzero(reference.track.valid)
        spread = np.linspace(0, len(shown) - 1, min(SAMPLED_FRAMES, len(shown))).round().astype(int)
        crop = metrics.mouth_crop(reference.track)
        return cls(reference, crop, frozenset(shown[spread].tolist()), face, judges)

    @property
    def missing(self) -> dict[str, str]:
        """What the reference's own size rules out."""
        found = {}
        for name, side in (("mouth", self.crop.side), ("full", min(self.reference.track.width, self._height))):
            if side < metrics.MS_SSIM_SHORTEST_PX:
                found[f"ms_ssim_{name}"] = f"needs {metrics.MS_SSIM_SHORTEST_PX} px, there are {side}"
        return found

    @property
    def _height(self) -> int:
        return self.reference.track.height

    @property
    def perfect(self) -> Numbers:
        """The reference against itself."""
        without = set(self.missing)
        without |= {"lpips_full", "lpips_mouth"} if self.judges.lpips is None else set()
        without |= {"identity_similarity"} if self.judges.identity is None else set()
        return {name: value for name, value in PERFECT.items() if name not in without}

    def quick(self, made: ByteArray, true: ByteArray, frame: int) -> Numbers:
        """Measured on every frame."""
        made_mouth, true_mouth = self.crop.of(made, frame), self.crop.of(true, frame)
        return {
            "psnr_full_db": metrics.psnr(made, true),
            "psnr_mouth_db": metrics.psnr(made_mouth, true_mouth),
            "ssim_mouth": metrics.ssim(made_mouth, true_mouth),
            "sharpness": metrics.sharpness(made_mouth),
            "true_sharpness": metrics.sharpness(true_mouth),
        }

    def slow(self, made: ByteArray, true: ByteArray, frame: int) -> Numbers:
        """Measured on the sampled frames."""
        made_mouth, true_mouth = self.crop.of(made, frame), self.crop.of(true, frame)
        found = {
            "ssim_full": metrics.ssim(made, true),
            "ms_ssim_full": metrics.ms_ssim(made, true),
            "ms_ssim_mouth": metrics.ms_ssim(made_mouth, true_mouth),
            "seam_ratio": metrics.seam(made, true, self.face.pasted(frame, true.shape)),
        }
        if self.judges.lpips is not None and min(true.shape[:2]) >= SHORTEST_PX:
            found["lpips_full"] = self.judges.lpips.distance(made, true)
            if self.crop.side >= SHORTEST_PX:
                found["lpips_mouth"] = self.judges.lpips.distance(made_mouth, true_mouth)
        return found

    def identity(self, made: ByteArray, made_landmarks: FloatArray, true: ByteArray, frame: int) -> Numbers:
        """Whether both pictures show the same person."""
        if self.judges.identity is None:
            return {}
        one = self.judges.identity.describe(made, made_landmarks)
        other = self.judges.identity.describe(true, self.reference.track.landmarks[frame])
        return {"identity_similarity": face_identity.similarity(one, other)}

    def features(self, image: ByteArray) -> list[FloatArray]:
        """For FID."""
        return [] if self.judges.inception is None else [self.judges.inception.features(image)]


@dataclass(frozen=True)
class PictureNumbers:
    """What the pixels of a clip show."""

    numbers: Numbers
    psnr_mouth_db: Values
    """(T,) NaN in frames that were not compared."""
    features: Sequence[FloatArray]
    """(2048,) each, of the sampled frames; empty without FID's network."""


def picture_numbers(output: Clip, judge: PictureJudge) -> PictureNumbers:
    """An output's pixels against the reference's.

    Over all frames where the reference shows a face, even if none is found in the output: that must not help it.
    """
    reference = judge.reference
    partners = metrics.nearest_frames(output.track.times_s, reference.track.times_s)
    partners[~reference.track.valid] = -1
    aligned = metrics.align(output.track, reference.track)
    rows: list[Numbers] = []
    features: list[FloatArray] = []
    psnr_mouth_db = np.full(len(partners), np.nan)
    for frame, made, true in side_by_side(output.path, reference.path, partners):
        row = judge.quick(made, true, frame)
        psnr_mouth_db[frame] = row["psnr_mouth_db"]
        if frame in judge.sampled:
            row |= judge.slow(made, true, frame)
            if aligned.valid[frame]:
                row |= judge.identity(made, aligned.landmarks[frame], true, frame)
            features += judge.features(made)
        rows.append(row)
    return PictureNumbers(_means(rows), psnr_mouth_db, features)


def late_picture_numbers(judge: PictureJudge, late_frames: int) -> tuple[Numbers, list[FloatArray]]:
    """The reference, so many frames late, against itself, on the sampled frames; and its features in time."""
    track = judge.reference.track
    recent: deque[ByteArray] = deque(maxlen=late_frames + 1)
    rows, features = [], []
    with VideoReader(judge.reference.path) as frames:
        for number, frame in enumerate(frames):
            recent.append(frame.image)
            if number not in judge.sampled:
                continue
            features += judge.features(frame.image)
            if number >= late_frames:
                row = judge.quick(recent[0], frame.image, number) | judge.slow(recent[0], frame.image, number)
                if track.valid[number - late_frames]:
                    landmarks = track.landmarks[number - late_frames]
                    row |= judge.identity(recent[0], landmarks, frame.image, number)
                rows.append(row)
    return _means(rows), features


def leak_of(output: Clip, twin: Clip, judge: PictureJudge) -> float:
    """Change inside the lower face between an output and its twin, of 255, mean over the sampled frames."""
    own = metrics.nearest_frames(output.track.times_s, judge.reference.track.times_s)
    partners = metrics.nearest_frames(twin.track.times_s, output.track.times_s)
    wanted = {int(own[frame]): frame for frame in judge.sampled if own[frame] >= 0}
    partners[[number not in wanted for number in range(len(partners))]] = -1
    track = judge.reference.track
    found = []
    for number, other, made in side_by_side(twin.path, output.path, partners):
        pair = [resized(image, track.width, track.height) for image in (made, other)]
        found.append(metrics.leak(pair[0], pair[1], judge.face.pasted(wanted[number], pair[0].shape)))
    return metrics.finite_mean(np.array(found, np.float64))


def side_by_side(
    output_path: Path, reference_path: Path, partners: NDArray[np.intp]
) -> Iterator[tuple[int, ByteArray, ByteArray]]:
    """(number, output, reference) of each frame of the reference that has a partner in the output, of one size."""
    with VideoReader(output_path) as outputs, VideoReader(reference_path) as references:
        numbered = enumerate(outputs)
        number, made = next(numbered)
        for frame, (true, partner) in enumerate(zip(references, partners, strict=True)):
            if partner >= 0:
                while number < partner:
                    number, made = next(numbered)
                yield frame, resized(made.image, references.info.width, references.info.height), true.image


def resized(image: ByteArray, width: int, height: int) -> ByteArray:
    """A picture at another size; a line that an encoder added is cut off."""
    if metrics.is_padded(image.shape[1], width):
        image = image[:, :width]
    if metrics.is_padded(image.shape[0], height):
        image = image[:height]
    if image.shape[:2] == (height, width):
        return image
    interpolation = cv2.INTER_AREA if width < image.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), np.uint8)


def _means(rows: Sequence[Numbers]) -> Numbers:
    """Each number's mean over the frames that have it; sharpness as a ratio of means."""
    names = dict.fromkeys(name for row in rows for name in row)
    found = {
        name: metrics.finite_mean(np.array([row[name] for row in rows if name in row], np.float64)) for name in names
    }
    sharpness, true_sharpness = found.pop("sharpness", math.nan), found.pop("true_sharpness", math.nan)
    return {**found, "sharpness_ratio": metrics.ratio(sharpness, true_sharpness)}
