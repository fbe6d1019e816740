"""Generating: an ANCHOR and speech in, a video of that anchor saying it out."""

from __future__ import annotations

import dataclasses
import itertools
import math
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, TypedDict, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from talkinghead.anchor import Anchor, load_anchor
from talkinghead.device import choose_device
from talkinghead.errors import CheckpointError, CoefficientError, NoFaceError, SpeechTooShortError
from talkinghead.face.landmarks import FaceChoice
from talkinghead.face.reconstruction import project, reconstruct
from talkinghead.face.region_removal import crop_frame
from talkinghead.face.tracking import load_track, track_file
from talkinghead.files import sha256_of
from talkinghead.generation.expression_files import SUFFIXES, load_expression
from talkinghead.generation.face_updater import FaceUpdater, Prepared
from talkinghead.generation.frame_order import EASE_S, ping_pong, read_in_order
from talkinghead.generation.passthrough import FADE_S, Fallbacks, Reason, doubts, misfit_cm, shares
from talkinghead.generation.stream import FrameStream, in_thread
from talkinghead.media.images import SpeechSheet
from talkinghead.media.video_writer import SoundFile, VideoWriter, check_output_path, read_video_info
from talkinghead.provenance.metadata import Origin, Signer, VisibleLabel, add_xmp, tags
from talkinghead.speech.lip_closure import close_lips
from talkinghead.speech.voice_activity import VoiceActivityConfig, voice_activity
from talkinghead.structures import FloatArray, Frame, Reconstruction, Recording, Track
from talkinghead.text_to_speech import Script
from talkinghead.text_to_speech.speech_file import write_speech
from talkinghead.weights.bundled import anchor_folder

BATCH = 8
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
    doubts: Sequence[Reason | None]
    """Of the clip's frames: why one cannot be given a new face, as far as its landmarks tell; None where it can."""

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
        to finished file), first_frame_s (from start until the first frame was made), frames_per_second,
        frames_passed_through (without a new face), passed_through (how many for which reason of `trust.Reason`),
        frames_blended (between them and the others), consent (as the anchor has it); for a script also
        text_to_speech, as `write_speech` describes it.

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
            first_frame_s = _write_frames(writer, frames, len(timeline), progress) - started
        if contact_sheet is not None:
            sheet.write(contact_sheet)
        seconds = time.monotonic() - started
        fallbacks = performance.fallbacks
        return {
            "output": str(output),
            "frames": len(timeline),
            "fps": float(timeline.frame_rate),
            "duration_s": performance.duration_s,
            "intensity": driving.get("intensity", 1.0),
            "seconds": round(seconds, 3),
            "first_frame_s": round(first_frame_s, 3),
            "frames_per_second": round(len(timeline) / seconds, 2),
            "frames_passed_through": fallbacks.reasons.total(),
            "passed_through": {str(reason): count for reason, count in sorted(fallbacks.reasons.items())},
            "frames_blended": fallbacks.blended,
            "consent": loaded.consent,
            **spoken,
        }


@dataclass(frozen=True)
class Performance:
    """All that is settled before the first frame is made."""

    timeline: Timeline
    updater: FaceUpdater
    expression: Iterator[FloatArray]
    """T rows (K,), one an output frame; those from speech are predicted while the first are used."""
    duration_s: float
    """Of the speech."""
    label: VisibleLabel | None
    fallbacks: Fallbacks = field(default_factory=Fallbacks)
    """Filled in as the frames are made."""

    def frames(self) -> Iterator[Frame]:
        """The frames of the output, with the visible label if there is one; to be asked for once."""
        frames = updated_frames(self.updater, self.timeline, self.expression, self.fallbacks)
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
        parts = expression_parts(anchor, sound, timeline.times_s, encoder, device, pauses)
    else:
        parts = iter([expression_from_file(anchor, source, timeline.times_s, face)])
    rest, intensity = anchor.rest_expression(), driving.get("intensity", 1.0)
    target = ((rest + intensity * (row - rest)).astype(np.float32) for part in parts for row in part)
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
            fallbacks=performance.fallbacks,
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
        track = None
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
    return Timeline(
        source,
        reconstruction,
        clip_times_s,
        frames,
        times_s,
        info.frame_rate,
        info.width,
        info.height,
        _doubts(anchor, track, reconstruction),
    )


def _doubts(anchor: Anchor, track: Track | None, reconstruction: Reconstruction) -> list[Reason | None]:
    """Of the frames of another clip's track and reconstruction, or of the anchor's own."""
    trained_track = load_track(anchor.folder / "track.safetensors")
    if len(trained_track) != len(anchor.reconstruction):
        raise CheckpointError(f"{anchor.folder}: track and reconstruction are not of one clip; train the anchor again.")
    trained_misfit_cm = misfit_cm(anchor.model, trained_track, anchor.reconstruction)
    seen_misfit_cm = trained_misfit_cm if track is None else misfit_cm(anchor.model, track, reconstruction)
    return doubts(reconstruction, seen_misfit_cm, anchor.reconstruction, trained_misfit_cm)


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
    """Expression predicted from speech at 16 kHz, in the anchor's own range: (T, K)."""
    return np.concatenate(list(expression_parts(anchor, sound, times_s, encoder, device, pauses)))


def expression_parts(
    anchor: Anchor,
    sound: Recording,
    times_s: NDArray[np.float64],
    encoder: str | None,
    device: str,
    pauses: VoiceActivityConfig | None = None,
) -> Iterator[FloatArray]:
    """The same part by part: (n, K) each, T rows in all.

    What can fail fails here. The sound is read block by block, so its length does not matter to the memory; the parts
    are predicted in a thread of their own, so that the first frames need not wait for the last words.
    """
    # Imported here: coefficient files and videos as drivers need none of it.
    from talkinghead.speech.calibration import calibrate
    from talkinghead.speech.predictor import load_speech_side, predicted_parts

    loaded, predictor = load_speech_side(encoder, choose_device(device))
    if predictor.config.face_model_sha256 != anchor.face_model_sha256:
        raise CheckpointError(
            f"{anchor.folder} was made with another face model than the speech predictor; train the anchor again."
        )
    calibration = calibrate(anchor, loaded, predictor)
    moving = voice_activity(sound, times_s, pauses)[:, None]
    rest, identity = anchor.rest_expression(), anchor.reconstruction.identity
    own = anchor.reconstruction.expression[anchor.reconstruction.valid]

    def parts() -> Iterator[FloatArray]:
        given = 0
        for said in predicted_parts(loaded, predictor, sound, times_s):
            moves = moving[given : given + len(said.values)]
            given += len(said.values)
            driven = close_lips(calibration.apply(said.values), said.closure, anchor.model, identity, own)
            yield np.asarray(moves * driven + (1 - moves) * rest, np.float32)

    return in_thread(parts(), 1)


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


def updated_frames(
    updater: FaceUpdater, timeline: Timeline, expression: Iterable[FloatArray], fallbacks: Fallbacks | None = None
) -> Iterator[Frame]:
    """Frames of the output, in order.

    Decoding, preparing and rendering each run in a thread of their own, pasting in the caller's.

    Args:
        updater: of the timeline's clip.
        timeline: T frames.
        expression: T rows (K,), taken as they are needed; an array (T, K) is such rows.
        fallbacks: filled in with the frames that cannot be trusted to the network, which are passed through; None
            updates all that show a face.
    """
    batches = _prepared(updater, timeline, expression)
    prepared = in_thread(batches if fallbacks is None else _faded(batches, timeline, fallbacks), 1)
    rendered = in_thread(map(updater.render, prepared), 1)
    images = itertools.chain.from_iterable(itertools.starmap(updater.paste, rendered))
    for image, time_s in zip(images, timeline.times_s.tolist(), strict=True):
        yield Frame(image, time_s)


def _prepared(updater: FaceUpdater, timeline: Timeline, expression: Iterable[FloatArray]) -> Iterator[Prepared]:
    """The timeline in batches that are ready for the network."""
    source = in_thread(read_in_order(timeline.clip, timeline.frames, timeline.clip_times_s), BATCH)
    rows = iter(expression)
    for start in range(0, len(timeline), BATCH):
        frames = timeline.frames[start : start + BATCH]
        images = [frame.image for frame in itertools.islice(source, len(frames))]
        yield updater.prepare(images, frames, np.stack(list(itertools.islice(rows, len(frames)))))


def _faded(batches: Iterable[Prepared], timeline: Timeline, fallbacks: Fallbacks) -> Iterator[Prepared]:
    """The batches with the share of the new picture in each frame.

    Each is held back until it is known what comes within `FADE_S` after it.
    """
    times_s = timeline.times_s
    waiting: deque[tuple[int, Prepared]] = deque()
    reasons: list[Reason | None] = []
    for batch in batches:
        start = len(reasons)
        waiting.append((start, batch))
        own = [timeline.doubts[frame] for frame in timeline.frames[start : start + len(batch.images)]]
        for number in batch.usable[batch.covered]:
            own[number] = own[number] or Reason.COVERED
        reasons += own
        known_until_s = times_s[len(reasons) - 1] if len(reasons) < len(timeline) else math.inf
        while waiting and times_s[waiting[0][0] + len(waiting[0][1].images) - 1] + FADE_S < known_until_s:
            yield _with_shares(*waiting.popleft(), reasons, times_s, fallbacks)


def _with_shares(
    start: int,
    batch: Prepared,
    reasons: Sequence[Reason | None],
    times_s: NDArray[np.float64],
    fallbacks: Fallbacks,
) -> Prepared:
    end = start + len(batch.images)
    first = int(np.searchsorted(times_s, times_s[start] - FADE_S))
    last = min(len(reasons), int(np.searchsorted(times_s, times_s[end - 1] + FADE_S)) + 1)
    trusted = np.array([reason is None for reason in reasons[first:last]])
    own = shares(trusted, times_s[first:last])[start - first : end - first]
    fallbacks.reasons.update(reason for reason in reasons[start:end] if reason is not None)
    fallbacks.blended += int(((own > 0) & (own < 1)).sum())
    return dataclasses.replace(batch, shares=own[batch.usable])


def _shown(frames: Iterator[Frame], sheet: SpeechSheet, updater: FaceUpdater, timeline: Timeline) -> Iterator[Frame]:
    """The same frames; those that the contact sheet wants are added to it with the picture of their mouth."""
    for index, frame in enumerate(frames):
        if sheet.wants(index):
            to_frame = updater.crops.to_frame[timeline.frames[index]]
            sheet.add(frame.image, crop_frame(frame.image, to_frame, updater.crops.size_px))
        yield frame


def _write_frames(
    writer: VideoWriter, frames: Iterator[Frame], count: int, progress: Callable[[int, int], None] | None
) -> float:
    """Encode on this thread while the frames are made in others; returns when, in monotonic time, the first one was."""
    first_at_s = math.nan
    for done, frame in enumerate(in_thread(frames, BATCH), 1):
        if done == 1:
            first_at_s = time.monotonic()
        writer.write(frame)
        if progress:
            progress(done, count)
    return first_at_s
