"""Generating: an ANCHOR and speech in, a video of that anchor saying it out."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypedDict, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from talkinghead.anchor import Anchor, load_anchor
from talkinghead.checkpoint import sha256_of
from talkinghead.errors import CheckpointError, CoefficientError, NoFaceError, SpeechTooShortError
from talkinghead.expression_files import SUFFIXES, load_expression
from talkinghead.face_update import FaceUpdater
from talkinghead.frame_order import EASE_S, ping_pong, read_in_order
from talkinghead.frame_stream import FrameStream, in_thread
from talkinghead.labels import Origin, Signer, VisibleLabel, add_xmp, tags
from talkinghead.landmarks import FaceChoice
from talkinghead.media import SoundFile, VideoWriter, check_output_path, read_video_info
from talkinghead.pictures import SpeechSheet
from talkinghead.precision import choose_device
from talkinghead.reconstruction import project, reconstruct
from talkinghead.region_removal import crop_frame
from talkinghead.resources import anchor_folder
from talkinghead.structures import FloatArray, Frame, Reconstruction, Recording
from talkinghead.text_to_speech import Script
from talkinghead.text_to_speech.speech_file import write_speech
from talkinghead.tracking import track_file
from talkinghead.voice_activity import VoiceActivityConfig, voice_activity

BATCH = 16
"""Frames that pass through the network at once."""
SHORTEST_SPEECH_S = 0.2
SAME_PERSON_RATIO = 1.35
"""Up to this growth of the misfit, a video counts as showing the anchor's own person."""
LARGEST_INTENSITY = 3.0


@dataclass(frozen=True)
class Timeline:
    """Which frame of the clip is shown at which time of the output."""

    clip: Path
    reconstruction: Reconstruction
    """Of the clip."""
    clip_times_s: NDArray[np.float64]
    frames: NDArray[np.int64]
    """(T,) number in the clip of each output frame."""
    times_s: NDArray[np.float64]
    """(T,) presentation time of each output frame."""
    frame_rate: Fraction
    width: int
    height: int

    def __len__(self) -> int:
        return len(self.frames)


class Driving(TypedDict, total=False):
    """How an anchor is driven; every item may be left out."""

    clip: Path | None
    """Another clip of the same person, to take frames from one for one; None takes the anchor's own clip, forth and
    back as long as the speech lasts."""
    face: FaceChoice
    """Which face, where that clip or the video given as `expression` shows several; "largest" by default."""
    expression: Path | None
    """Coefficients from a .safetensors or .csv file, or measured from a video; None predicts them from the speech."""
    device: str
    """auto (by default), cpu or cuda."""
    speech_encoder: str | None
    """Folder of another encoder, with the predictor that was taught for it inside; or the cached hub name of one that
    the default predictor was taught for."""
    intensity: float
    """How far the mouth moves away from the anchor's rest, 0 to 3; 1, the default, is the anchor's own way."""
    pauses: VoiceActivityConfig | None
    """When and how fast the mouth comes to rest where nobody speaks; None is as `VoiceActivityConfig` says."""
    visible_label: str | None
    """A short text to draw into a corner of every frame."""
    label_font: Path | None
    """Font of that text; needed where it has other than Latin letters."""


@overload
def generate(
    anchor: Path | Anchor,
    speech: Path | Script,
    output: None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
    **driving: Unpack[Driving],
) -> FrameStream: ...


@overload
def generate(
    anchor: Path | Anchor,
    speech: Path | Script,
    output: Path,
    *,
    contact_sheet: Path | None = None,
    signer: Signer | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    **driving: Unpack[Driving],
) -> dict[str, Any]: ...


def generate(
    anchor: Path | Anchor,
    speech: Path | Script,
    output: Path | None = None,
    *,
    contact_sheet: Path | None = None,
    signer: Signer | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    **driving: Unpack[Driving],
) -> FrameStream | dict[str, Any]:
    """Make a video of the anchor saying the speech; without an output, its frames as they are made.

    Args:
        anchor: ANCHOR folder, made by `train`; the bare name of a built-in one, such as "presenter"; or one that is
            loaded already.
        speech: any sound or video file; its sound goes into the output unchanged in length and start. Or a script,
            which is spoken to such a file first.
        output: video file to write, labelled as AI-generated in its metadata. None leaves the frames, and labelling
            what becomes of them, to the caller.
        contact_sheet: PNG file to write beside: frames spread over the video, the mouth enlarged below each.
        signer: signs the output with a C2PA manifest.
        overwrite: replace an existing output.
        progress: called with frames done and frames in all.
        driving: see `Driving`.

    Returns:
        Without an output, a `FrameStream`. With one: output, frames, fps, duration_s, intensity, seconds (from start
        to finished file), frames_per_second, frames_passed_through (no usable face), consent (as the anchor has it);
        for a script also text_to_speech, as `write_speech` describes it.

    Raises:
        TalkingHeadError: one of its classes, for every input that cannot be used; nothing is written then.
    """
    if output is None:
        return _stream(anchor, speech, progress, driving)
    started = time.monotonic()
    check_output_path(output, overwrite=overwrite)
    if contact_sheet is not None:
        check_output_path(contact_sheet, overwrite=overwrite, suffixes=(".png",))
    loaded = _open(anchor, driving)
    with _recording(speech, output.parent) as (recording, spoken):
        performance = _prepare(loaded, recording, driving)
        timeline = performance.timeline
        origin = Origin(loaded.network_sha256, sha256_of(recording))
        with VideoWriter(
            output,
            timeline.width,
            timeline.height,
            frame_rate=timeline.frame_rate,
            sound_from=recording,
            metadata=tags(origin),
            overwrite=overwrite,
            finishing=lambda complete: _finish(complete, output.name, origin, signer),
        ) as writer:
            frames = performance.frames()
            if contact_sheet is not None:
                sheet = SpeechSheet(len(timeline))
                frames = _shown(frames, sheet, performance.updater, timeline)
            _write_frames(writer, frames, len(timeline), progress)
        if contact_sheet is not None:
            sheet.write(contact_sheet)
        seconds = time.monotonic() - started
        return {
            "output": str(output),
            "frames": len(timeline),
            "fps": float(timeline.frame_rate),
            "duration_s": performance.duration_s,
            "intensity": driving.get("intensity", 1.0),
            "seconds": round(seconds, 3),
            "frames_per_second": round(len(timeline) / seconds, 2),
            "frames_passed_through": performance.frames_passed_through,
            "consent": loaded.consent,
            **spoken,
        }


@dataclass(frozen=True)
class Performance:
    """All that is settled before the first frame is made."""

    timeline: Timeline
    updater: FaceUpdater
    expression: FloatArray
    """(T, K) one row an output frame."""
    duration_s: float
    """Of the speech."""
    label: VisibleLabel | None

    @property
    def frames_passed_through(self) -> int:
        """Output frames without a usable face."""
        return int((~self.timeline.reconstruction.valid[self.timeline.frames]).sum())

    def frames(self) -> Iterator[Frame]:
        """The frames of the output, with the visible label if there is one."""
        frames = updated_frames(self.updater, self.timeline, self.expression)
        label = self.label
        return frames if label is None else (Frame(label.drawn_on(f.image), f.time_s) for f in frames)


def _open(anchor: Path | Anchor, driving: Driving) -> Anchor:
    """The anchor in memory, after a look at what can be wrong with the rest."""
    intensity = driving.get("intensity", 1.0)
    if not 0 <= intensity <= LARGEST_INTENSITY:
        raise CoefficientError(f"The intensity is {intensity:g}; it has to be from 0 to {LARGEST_INTENSITY:g}.")
    choose_device(driving.get("device", "auto"))
    return anchor if isinstance(anchor, Anchor) else load_anchor(anchor_folder(anchor))


def _prepare(anchor: Anchor, recording: Path, driving: Driving) -> Performance:
    """Lay out the output and find its expression."""
    sound = SoundFile(recording)
    if sound.duration_s < SHORTEST_SPEECH_S:
        raise SpeechTooShortError(f"{recording} lasts {sound.duration_s:.2f} s; {SHORTEST_SPEECH_S} s are needed.")
    face = driving.get("face", "largest")
    timeline = plan(anchor, driving.get("clip"), sound.duration_s, face)
    text, font = driving.get("visible_label"), driving.get("label_font")
    label = None if text is None else VisibleLabel(text, timeline.width, timeline.height, font)
    source, device = driving.get("expression"), driving.get("device", "auto")
    if source is None:
        encoder, pauses = driving.get("speech_encoder"), driving.get("pauses")
        target = expression_from_speech(anchor, sound, timeline.times_s, encoder, device, pauses)
    else:
        target = expression_from_file(anchor, source, timeline.times_s, face)
    rest = anchor.rest_expression()
    target = (rest + driving.get("intensity", 1.0) * (target - rest)).astype(np.float32)
    updater = FaceUpdater(anchor, timeline.reconstruction, choose_device(device))
    return Performance(timeline, updater, target, sound.duration_s, label)


def _stream(
    anchor: Path | Anchor, speech: Path | Script, progress: Callable[[int, int], None] | None, driving: Driving
) -> FrameStream:
    """The frames of a performance, for the caller to use."""
    loaded = _open(anchor, driving)
    with ExitStack() as opened:
        recording, _ = opened.enter_context(_recording(speech, None))
        performance = _prepare(loaded, recording, driving)
        timeline = performance.timeline
        return FrameStream(
            frames=performance.frames(),
            count=len(timeline),
            width=timeline.width,
            height=timeline.height,
            frame_rate=timeline.frame_rate,
            recording=recording,
            duration_s=performance.duration_s,
            frames_passed_through=performance.frames_passed_through,
            progress=progress,
            held=opened.pop_all(),
        )


def _finish(complete: Path, name: str, origin: Origin, signer: Signer | None) -> None:
    """Label a complete output, before it takes its name."""
    add_xmp(complete)
    if signer is not None:
        signer.sign(complete, name, origin)


@contextmanager
def _recording(speech: Path | Script, beside: Path | None) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The recording, and what the report says of it; a script is spoken to a file that lasts as long as the context.

    That file lies beside the output, where there is room for it: the system's temporary folder is often in memory.
    """
    if not isinstance(speech, Script):
        yield speech, {}
        return
    with tempfile.TemporaryDirectory(dir=beside, prefix=".talkinghead.") as folder:
        recording = Path(folder) / "speech.wav"
        yield recording, {"text_to_speech": write_speech(speech, recording)}


def plan(anchor: Anchor, clip: Path | None, duration_s: float, face: FaceChoice = "largest") -> Timeline:
    """Lay out the output: ceil(duration x fps) frames, from the anchor's own clip or from another one."""
    source = clip or anchor.clip
    info = read_video_info(source)
    if clip is None:
        reconstruction, clip_times_s = anchor.reconstruction, anchor.times_s
    else:
        track = track_file(clip, face=face)
        if not track.valid.any():
            raise NoFaceError(f"{clip}: no frame shows a usable face.")
        reconstruction = reconstruct(track, anchor.model, identity=anchor.reconstruction.identity)
        clip_times_s = track.times_s
    count = frame_count(duration_s, info.frame_rate)
    times_s = np.arange(count, dtype=np.float64) * float(1 / info.frame_rate)
    if is_constant_rate(clip_times_s, info.frame_rate):
        ease = round(EASE_S * float(info.frame_rate)) if clip is None else 0
        frames = ping_pong(len(clip_times_s), count, ease)
    else:
        frames, times_s = _variable_rate_plan(clip_times_s, info.frame_rate, duration_s)
    return Timeline(source, reconstruction, clip_times_s, frames, times_s, info.frame_rate, info.width, info.height)


def frame_count(duration_s: float, frame_rate: Fraction) -> int:
    """ceil(duration x fps), where a duration within a microsecond of a whole number of frames counts as whole."""
    return max(1, math.ceil(duration_s * frame_rate - Fraction(1, 1_000_000) * frame_rate))


def is_constant_rate(times_s: NDArray[np.float64], frame_rate: Fraction) -> bool:
    """Whether the frames come at an even pace: no time is off by half a frame or more."""
    return bool(np.abs(times_s - np.arange(len(times_s)) / float(frame_rate)).max() < 0.5 / float(frame_rate))


def _variable_rate_plan(
    clip_times_s: NDArray[np.float64], frame_rate: Fraction, duration_s: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Frames and times of a variable-rate clip: its own timestamps, forth and back until the speech ends."""
    intervals = np.append(np.diff(clip_times_s), 1 / float(frame_rate))
    length_s = float(intervals.sum())
    rounds = math.ceil(duration_s / length_s) + 1
    frames = ping_pong(len(clip_times_s), len(clip_times_s) * rounds, 0)
    times_s = np.concatenate([[0.0], np.cumsum(intervals[frames])[:-1]])
    inside = times_s < duration_s - 1e-6
    inside[0] = True
    return frames[inside], times_s[inside]


def expression_from_speech(
    anchor: Anchor,
    sound: Recording,
    times_s: NDArray[np.float64],
    encoder: str | None,
    device: str,
    pauses: VoiceActivityConfig | None = None,
) -> FloatArray:
    """Expression predicted from speech at 16 kHz, in the anchor's own range: (T, K).

    The sound is read block by block, so its length does not matter to the memory.
    """
    # Imported here: coefficient files and videos as drivers need none of it, and it takes seconds.
    from talkinghead.speech import load_speech_side, predict_expression
    from talkinghead.speech_calibration import calibrate

    loaded, predictor = load_speech_side(encoder, choose_device(device))
    if predictor.config.face_model_sha256 != anchor.face_model_sha256:
        raise CheckpointError(
            f"{anchor.folder} was made with another face model than the speech predictor; train the anchor again."
        )
    calibration = calibrate(anchor, loaded, predictor)
    driven = calibration.apply(predict_expression(loaded, predictor, sound, times_s))
    moving = voice_activity(sound, times_s, pauses)[:, None]
    return np.asarray(moving * driven + (1 - moving) * anchor.rest_expression(), np.float32)


def expression_from_file(
    anchor: Anchor, source: Path, times_s: NDArray[np.float64], face: FaceChoice = "largest"
) -> FloatArray:
    """Expression read from a coefficient file, or measured from a video, at the output's times: (T, K)."""
    if source.suffix.lower() in SUFFIXES:
        values, own_times_s = load_expression(source, anchor.model.expressions)
        if own_times_s is None:
            return values[np.minimum(np.arange(len(times_s)), len(values) - 1)]
    else:
        values, own_times_s = measure_expression(anchor, source, face)
    return np.stack([np.interp(times_s, own_times_s, column) for column in values.T], 1).astype(np.float32)


def measure_expression(
    anchor: Anchor, video: Path, face: FaceChoice = "largest"
) -> tuple[FloatArray, NDArray[np.float64]]:
    """Expression seen in a video: (S, K) and its (S,) times.

    Where the anchor's identity fits the video nearly as well as one found for it, the video shows the anchor and the
    coefficients are taken as they are. Another person's are carried over: shifted and scaled, coefficient by
    coefficient, to the anchor's own mean and standard deviation.
    """
    track = track_file(video, face=face)
    if not track.valid.any():
        raise NoFaceError(f"{video}: no frame shows a usable face.")
    as_anchor = reconstruct(track, anchor.model, identity=anchor.reconstruction.identity)
    as_other = reconstruct(track, anchor.model)
    own_misfit = _misfit(anchor, track.landmarks, as_other)
    if _misfit(anchor, track.landmarks, as_anchor) <= SAME_PERSON_RATIO * own_misfit:
        return as_anchor.expression, track.times_s
    mean, std = anchor.expression_statistics()
    seen = as_other.expression[as_other.valid]
    normalised = (as_other.expression - seen.mean(0)) / np.maximum(seen.std(0), 1e-3)
    return (mean + std * normalised).astype(np.float32), track.times_s


def _misfit(anchor: Anchor, landmarks: FloatArray, reconstruction: Reconstruction) -> float:
    """Mean distance of the rigid and local landmarks from the reconstruction, in cm."""
    model = anchor.model
    shape = model.neutral[model.rigid] + np.tensordot(reconstruction.identity, model.identity_basis[:, model.rigid], 1)
    still = np.broadcast_to(shape, (len(reconstruction), *shape.shape)).astype(np.float32)
    seen = project(still, reconstruction, slice(None))
    miss = np.linalg.norm((seen - landmarks[:, model.rigid])[..., :2], axis=-1) / reconstruction.scale[:, None]
    return float(miss[reconstruction.valid].mean())


def updated_frames(updater: FaceUpdater, timeline: Timeline, expression: FloatArray) -> Iterator[Frame]:
    """Frames of the output, in order; the clip is decoded in a thread of its own."""
    decoded = read_in_order(timeline.clip, timeline.frames, timeline.clip_times_s)
    source = in_thread(decoded, BATCH * 2)
    for start in range(0, len(timeline), BATCH):
        part = slice(start, min(start + BATCH, len(timeline)))
        images = [next(source).image for _ in range(part.start, part.stop)]
        results = updater.update(images, timeline.frames[part], expression[part])
        for image, time_s in zip(results, timeline.times_s[part], strict=True):
            yield Frame(image, float(time_s))


def _shown(frames: Iterator[Frame], sheet: SpeechSheet, updater: FaceUpdater, timeline: Timeline) -> Iterator[Frame]:
    """The same frames; those that the contact sheet wants are added to it with the picture of their mouth."""
    for index, frame in enumerate(frames):
        if sheet.wants(index):
            to_frame = updater.crops.to_frame[timeline.frames[index]]
            sheet.add(frame.image, crop_frame(frame.image, to_frame, updater.crops.size_px))
        yield frame


def _write_frames(
    writer: VideoWriter, frames: Iterator[Frame], count: int, progress: Callable[[int, int], None] | None
) -> None:
    """Encode on this thread while the frames are made in another."""
    for done, frame in enumerate(in_thread(frames, BATCH), 1):
        writer.write(frame)
        if progress:
            progress(done, count)
