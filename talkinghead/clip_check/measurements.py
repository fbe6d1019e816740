"""What is measured of a clip before an ANCHOR is made of it: face, mouth, head, light, pictures, times and audio.

The clip's track is that of `track_file`, which a training reads from the cache afterwards; beside it a few frames are
looked at, and the first minute of audio is compared with the mouth.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import (
    CheckpointError,
    MediaError,
    MissingFileError,
    ModelUnavailableError,
    NoAudioError,
    NoFaceError,
)
from talkinghead.face.face_model import load_face_model
from talkinghead.face.landmarks import FaceLandmarker
from talkinghead.face.reconstruction import frame_rate_of, reconstruct
from talkinghead.face.rotations import rotation_matrices
from talkinghead.face.topology import LEFT_CHEEK, MESH_VERTICES, RIGHT_CHEEK
from talkinghead.face.tracking import track_file
from talkinghead.media.audio_reader import read_audio
from talkinghead.media.video_reader import VideoReader, read_video_info
from talkinghead.metrics.images import luma
from talkinghead.speech.calibration import LONGEST_S, predict_clip
from talkinghead.speech.model import SpeechModel
from talkinghead.speech.voice_activity import VoiceActivityConfig, speech_stretches
from talkinghead.structures import ByteArray, FaceChoice, Frame, Reconstruction, Track, VideoInfo
from talkinghead.weights import registry
from talkinghead.weights.bundled import checkpoint_path

LOOKS = 12
"""Frames that are looked at, spread evenly over the clip."""
FACE_PX = 128
"""Width to which a face is scaled before its sharpness is measured, so that it does not depend on the clip's size."""
DETAIL_PX = 1.0
"""Standard deviation of the Gaussian that removes the detail which is measured, pixels of the scaled face."""
BETWEEN_EYES = 168
"""Landmark on the bridge of the nose, by which the face is halved."""
WHITE = 250
"""Luma from which on a pixel counts as burnt out, of 255."""
LOW, HIGH = 0.05, 0.95
"""Quantiles that stand for least and most; single frames may be mistaken."""
GAP_FRAMES = 3.0
"""A step from one frame to the next of so many usual ones or more is a gap."""
VARIES = 0.2
"""A step that departs from the usual one by this share is another one."""


@dataclass(frozen=True)
class FaceMeasurements:
    """Of the frames that show a usable face; quantiles are `LOW` and `HIGH`."""

    width_px: float
    """Median distance between the sides of the face, pixels."""
    others: bool
    """Whether half of the frames that were looked at show another face too."""
    turned_deg: float
    """Median angle between the head's direction and the camera's, degrees."""
    furthest_turned_deg: float
    """High quantile of that angle."""
    closed_gap_cm: float
    """Low quantile of the height of the gap between the lips, cm of a mean head; negative where they overlap."""
    opened_gap_cm: float
    """High quantile of it."""


@dataclass(frozen=True)
class LookMeasurements:
    """Medians over the frames that were looked at, of the face in them."""

    detail: float
    """Root mean square of the detail of the face over that of the whole face, at the same size for all clips."""
    luma: float
    """Median luma of the skin, 0 to 255."""
    white_share: float
    """Share of the face that is burnt out."""
    side_stops: float
    """Difference of light between the halves of the face, as the logarithm to base 2, >= 0."""


@dataclass(frozen=True)
class AudioMeasurements:
    """Of the first minute."""

    speech_s: float
    """Seconds of speech."""
    clipped_share: float
    """Share of samples at full scale."""
    lag_s: float | None
    """Lag of the audio against the mouth, > 0 where it is late; None where they were not compared."""
    r: float | None
    """Correlation of predicted and measured mouth opening at that lag; None where they were not compared."""


@dataclass(frozen=True)
class StreamMeasurements:
    """What the video stream says of itself, as far as `VideoInfo` tells; None where it does not."""

    interlaced: str | None = None
    """Kind of interlacing, which reading removes."""
    hdr: str | None = None
    """Transfer function and primaries that reading converts."""
    filled_frames: int = 0
    """Frames that reading repeats in gaps."""


@dataclass(frozen=True)
class ClipMeasurements:
    """Everything that is measured of a clip."""

    frames: int
    """T, number of frames."""
    faces: int
    """Number of frames that show a usable face."""
    duration_s: float
    frame_rate: float
    """Frames per second by the usual step between two."""
    varying_share: float
    """Share of the steps that are neither usual nor a gap."""
    gaps: int
    """Number of gaps."""
    longest_gap_s: float
    """Longest step from one frame to the next, seconds."""
    cuts: int
    """Number of cuts."""
    stream: StreamMeasurements
    face: FaceMeasurements | None
    """None where no frame shows one."""
    look: LookMeasurements | None
    """None where no frame shows a face."""
    audio: AudioMeasurements | None
    """None where the clip has no audio."""
    audio_error: str = ""
    """Why audio that is there cannot be used; empty where it can."""

    def as_json(self) -> dict[str, Any]:
        """Ready for `json.dumps`."""
        return dataclasses.asdict(self)


def measure_clip(
    clip: Path, *, face: FaceChoice = "largest", progress: Callable[[int], None] | None = None
) -> ClipMeasurements:
    """Measure a clip.

    Args:
        clip: any video file.
        face: which face to follow, where there are several.
        progress: called with the number of frames tracked; never, where the track is in the cache.

    Raises:
        MissingFileError, MediaError, ModelUnavailableError, ValueError: as `track_file`.
    """
    info = read_video_info(clip)
    track = track_file(clip, face=face, progress=progress)
    model = load_face_model(checkpoint_path("face_model.safetensors"))
    measured = _measure_times(track, info)
    try:
        reconstruction = reconstruct(track, model)
    except NoFaceError:
        return measured
    if not reconstruction.valid.any():
        return measured
    landmarker = FaceLandmarker.load(registry.locate("face_landmarker"))
    looks = list(_looks(clip, track, reconstruction))
    crowded = [len(landmarker.detect(frame.image)) > 1 for frame, _ in looks]
    person = model.of(reconstruction.identity)
    audio, audio_error = _measure_audio(clip, info, lambda speech: predict_clip(clip, person, reconstruction, speech))
    return dataclasses.replace(
        measured,
        faces=int(reconstruction.valid.sum()),
        face=_measure_face(
            track,
            reconstruction,
            person.lip_gap(reconstruction.expression[reconstruction.valid]),
            others=2 * sum(crowded) > len(crowded),
        ),
        look=measure_looks([(frame.image, points) for frame, points in looks]),
        audio=audio,
        audio_error=audio_error,
    )


def stream_measurements(info: VideoInfo) -> StreamMeasurements:
    """What a `VideoInfo` tells of its pictures: what reading has to mend."""
    treatment = info.treatment
    return StreamMeasurements(treatment.deinterlaced, treatment.tone_mapped, treatment.filled_frames)


def _measure_times(track: Track, info: VideoInfo) -> ClipMeasurements:
    """What the frames' times and the stream say; nothing of the face."""
    steps_s = np.diff(track.times_s)
    rate = frame_rate_of(track) if len(steps_s) else float(info.frame_rate)
    is_gap = steps_s >= GAP_FRAMES / rate * 0.99
    varies = (np.abs(steps_s * rate - 1) > VARIES) & ~is_gap
    return ClipMeasurements(
        frames=len(track),
        faces=0,
        duration_s=float(track.times_s[-1] + 1 / rate) if len(track) else 0.0,
        frame_rate=rate,
        varying_share=float(varies.mean()) if len(steps_s) else 0.0,
        gaps=int(is_gap.sum()),
        longest_gap_s=float(steps_s.max(initial=0.0)),
        cuts=len(track.cuts),
        stream=stream_measurements(info),
        face=None,
        look=None,
        audio=None,
    )


def _measure_face(
    track: Track, reconstruction: Reconstruction, gap_cm: NDArray[np.float32], *, others: bool
) -> FaceMeasurements:
    valid = reconstruction.valid
    sides = track.landmarks[valid][:, [RIGHT_CHEEK, LEFT_CHEEK], :2]
    # Third column of R: where the nose points; (0, 0, 1) is the camera.
    towards = rotation_matrices(reconstruction.rotation[valid])[:, 2, 2]
    turned_deg = np.degrees(np.arccos(towards.clip(-1, 1)))
    return FaceMeasurements(
        width_px=float(np.median(np.linalg.norm(sides[:, 0] - sides[:, 1], axis=-1))),
        others=others,
        turned_deg=float(np.median(turned_deg)),
        furthest_turned_deg=float(np.quantile(turned_deg, HIGH)),
        closed_gap_cm=float(np.quantile(gap_cm, LOW)),
        opened_gap_cm=float(np.quantile(gap_cm, HIGH)),
    )


def _looks(clip: Path, track: Track, reconstruction: Reconstruction) -> Iterator[tuple[Frame, NDArray[np.float64]]]:
    """Some frames with a face, and the landmarks (468, 2) of the face in them, pixels."""
    usable = np.flatnonzero(reconstruction.valid)
    chosen = np.unique(usable[np.linspace(0, len(usable) - 1, LOOKS).astype(int)])
    tolerance_s = 0.5 / frame_rate_of(track)
    with VideoReader(clip) as reader:
        for number in chosen.tolist():
            frame = next(reader.frames_from(float(track.times_s[number])), None)
            # Times that tracking had to repair are not the stream's own.
            if frame is not None and abs(frame.time_s - track.times_s[number]) < tolerance_s:
                yield frame, np.asarray(track.landmarks[number, :MESH_VERTICES, :2], np.float64)


def measure_looks(looks: list[tuple[ByteArray, NDArray[np.float64]]]) -> LookMeasurements | None:
    """Measure light and sharpness of faces.

    Args:
        looks: images (H, W, 3) uint8 with the landmarks (468, 2) of the face, pixels.

    Returns:
        Medians; None where no face lies in its image.
    """
    rows = [row for image, points in looks if (row := _measure_look(image, points)) is not None]
    return LookMeasurements(*np.median(np.array(rows), axis=0).tolist()) if rows else None


def _measure_look(image: ByteArray, points: NDArray[np.float64]) -> tuple[float, float, float, float] | None:
    """The fields of `LookMeasurements` of one face; None where it does not lie in the image."""
    height, width = image.shape[:2]
    left, top = np.floor(points.min(0)).astype(int).clip(0, (width, height))
    right, bottom = np.ceil(points.max(0)).astype(int).clip(0, (width, height))
    if right - left < 8 or bottom - top < 8:
        return None
    gray = luma(image[top:bottom, left:right]).astype(np.float32)
    skin = np.zeros(gray.shape, np.uint8)
    cv2.fillConvexPoly(skin, cv2.convexHull(np.round(points - (left, top)).astype(np.int32)), 1)
    inside = skin > 0
    is_right = np.arange(left, right) < points[BETWEEN_EYES, 0]
    halves = [gray[inside & side[None]] for side in (is_right, ~is_right)]
    if not inside.any():
        return None
    # Luma is a power of the light, about the square root.
    lights = [(float(np.median(half)) + 1) ** 2 if len(half) else 1.0 for half in halves]
    return (
        _detail(gray),
        float(np.median(gray[inside])),
        float((gray[inside] >= WHITE).mean()),
        abs(float(np.log2(lights[0] / lights[1]))),
    )


def _detail(gray: NDArray[np.float32]) -> float:
    """Root mean square of what a slight blur removes from a face (H, W), over its standard deviation."""
    height = max(8, round(FACE_PX * gray.shape[0] / gray.shape[1]))
    shrinks = gray.shape[1] > FACE_PX
    scaled = cv2.resize(gray, (FACE_PX, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    fine = scaled - cv2.GaussianBlur(scaled, (0, 0), DETAIL_PX)
    deviation = float(scaled.std())
    return float(np.sqrt(np.mean(fine**2))) / deviation if deviation > 0 else 0.0


def _measure_audio(
    clip: Path, info: VideoInfo, compare: Callable[[SpeechModel], Any]
) -> tuple[AudioMeasurements | None, str]:
    """What is measured of a clip's audio, and why it cannot be used.

    Args:
        clip, info: the file and its properties.
        compare: predicts the mouth from the audio, as `predict_clip`.
    """
    if not info.has_audio:
        return None, ""
    try:
        audio = read_audio(clip, longest_s=LONGEST_S)
        stretches = speech_stretches(audio, VoiceActivityConfig())
    except NoAudioError:
        return None, ""
    except (MediaError, ModelUnavailableError) as error:
        return None, str(error)
    prediction = None
    # A training does without; of audio that is too short the length is measured all the same.
    with contextlib.suppress(CheckpointError, MediaError, MissingFileError, ModelUnavailableError):
        prediction = compare(SpeechModel.load())
    return AudioMeasurements(
        speech_s=float((stretches[:, 1] - stretches[:, 0]).sum()) if len(stretches) else 0.0,
        clipped_share=float((np.abs(audio.samples) >= 0.999).mean()) if len(audio.samples) else 0.0,
        lag_s=None if prediction is None else prediction.lag_s,
        r=None if prediction is None else prediction.r,
    ), ""
