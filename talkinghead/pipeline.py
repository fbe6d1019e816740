"""Generating: an ANCHOR and speech in, a video of that anchor saying it out."""

from __future__ import annotations

import dataclasses
import itertools
import math
import queue
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from talkinghead.anchor import Anchor, load_anchor
from talkinghead.errors import CheckpointError, CoefficientError, NoFaceError, SpeechTooShortError
from talkinghead.expression_files import SUFFIXES, load_expression
from talkinghead.face_update import FaceUpdater, Prepared
from talkinghead.frame_order import EASE_S, ping_pong, read_in_order
from talkinghead.lip_closure import close_lips
from talkinghead.media import SoundFile, VideoWriter, check_output_path, read_video_info
from talkinghead.pictures import SpeechSheet
from talkinghead.precision import choose_device
from talkinghead.reconstruction import project, reconstruct
from talkinghead.region_removal import crop_frame
from talkinghead.resources import anchor_folder
from talkinghead.structures import FloatArray, Frame, Reconstruction, Recording, Track
from talkinghead.text_to_speech import Script
from talkinghead.text_to_speech.speech_file import write_speech
from talkinghead.tracking import load_track, track_file
from talkinghead.trust import FADE_S, Reason, doubts, misfit_cm, shares
from talkinghead.voice_activity import VoiceActivityConfig, voice_activity

BATCH = 8
"""Frames that pass through the network at once."""
SHORTEST_SPEECH_S = 0.2
SAME_PERSON_RATIO = 1.35
"""Up to this growth of the misfit, a video counts as showing the anchor's own person."""
LARGEST_INTENSITY = 3.0
Item = TypeVar("Item")
LABEL = "AI-generated: the lower face was synthesised by talkinghead"


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


def generate(
    anchor: Path,
    speech: Path | Script,
    output: Path,
    *,
    clip: Path | None = None,
    expression: Path | None = None,
    device: str = "auto",
    speech_encoder: str | None = None,
    intensity: float = 1.0,
    pauses: VoiceActivityConfig | None = None,
    contact_sheet: Path | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Make a video of the anchor saying the speech.

    Args:
        anchor: ANCHOR folder, made by `train`; or the bare name of a built-in one, such as "presenter".
        speech: any sound or video file; its sound goes into the output unchanged in length and start. Or a script,
            which is spoken to such a file first.
        output: video file to write.
        clip: another clip of the same person, to take frames from one for one; None takes the anchor's own clip,
            forth and back as long as the speech lasts.
        expression: coefficients from a .safetensors or .csv file, or measured from a video, instead of predicted
            from the speech.
        device: auto, cpu or cuda.
        speech_encoder: folder of another encoder, with the predictor that was taught for it inside; or the cached
            hub name of one that the default predictor was taught for.
        intensity: how far the mouth moves away from the anchor's rest, 0 to 3; 1 is the anchor's own way.
        pauses: when and how fast the mouth comes to rest where nobody speaks; None is as `VoiceActivityConfig` says.
        contact_sheet: PNG file to write beside: frames spread over the video, the mouth enlarged below each.
        overwrite: replace an existing output.
        progress: called with frames done and frames in all.

    Returns:
        output, frames, fps, duration_s, intensity, seconds (from start to finished file), first_frame_s (from start
        until the first frame was made), frames_per_second, frames_passed_through (without a new face), passed_through
        (how many for which reason of `trust.Reason`), frames_blended (between them and the others); for a script also
        text_to_speech, as `write_speech` describes it.

    Raises:
        TalkingHeadError: one of its classes, for every input that cannot be used; nothing is written then.
    """
    started = time.monotonic()
    if not 0 <= intensity <= LARGEST_INTENSITY:
        raise CoefficientError(f"The intensity is {intensity:g}; it has to be from 0 to {LARGEST_INTENSITY:g}.")
    check_output_path(output, overwrite=overwrite)
    if contact_sheet is not None:
        check_output_path(contact_sheet, overwrite=overwrite, suffixes=(".png",))
    target_device = choose_device(device)
    loaded = load_anchor(anchor_folder(anchor))
    with _recording(speech, output) as (recording, spoken):
        sound = SoundFile(recording)
        if sound.duration_s < SHORTEST_SPEECH_S:
            raise SpeechTooShortError(f"{recording} lasts {sound.duration_s:.2f} s; {SHORTEST_SPEECH_S} s are needed.")
        duration_s = sound.duration_s
        timeline = plan(loaded, clip, duration_s)
        if expression is None:
            parts = expression_parts(loaded, sound, timeline.times_s, speech_encoder, device, pauses)
        else:
            parts = iter([expression_from_file(loaded, expression, timeline.times_s)])
        rest = loaded.rest_expression()
        target = ((rest + intensity * (row - rest)).astype(np.float32) for part in parts for row in part)

        updater = FaceUpdater(loaded, timeline.reconstruction, target_device)
        fallbacks = Fallbacks()
        with VideoWriter(
            output,
            timeline.width,
            timeline.height,
            frame_rate=timeline.frame_rate,
            sound_from=recording,
            metadata={"comment": LABEL},
            overwrite=overwrite,
        ) as writer:
            frames = updated_frames(updater, timeline, target, fallbacks)
            if contact_sheet is not None:
                sheet = SpeechSheet(len(timeline))
                frames = _shown(frames, sheet, updater, timeline)
            first_frame_s = _write_frames(writer, frames, len(timeline), progress) - started
        if contact_sheet is not None:
            sheet.write(contact_sheet)
        seconds = time.monotonic() - started
        return {
            "output": str(output),
            "frames": len(timeline),
            "fps": float(timeline.frame_rate),
            "duration_s": duration_s,
            "intensity": intensity,
            "seconds": round(seconds, 3),
            "first_frame_s": round(first_frame_s, 3),
            "frames_per_second": round(len(timeline) / seconds, 2),
            "frames_passed_through": fallbacks.reasons.total(),
            "passed_through": {str(reason): count for reason, count in sorted(fallbacks.reasons.items())},
            "frames_blended": fallbacks.blended,
            **spoken,
        }


@contextmanager
def _recording(speech: Path | Script, output: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The recording, and what the report says of it; a script is spoken to a file that lasts as long as the context.

    That file lies beside the output, where there is room for it: the system's temporary folder is often in memory.
    """
    if not isinstance(speech, Script):
        yield speech, {}
        return
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.stem}.") as folder:
        recording = Path(folder) / "speech.wav"
        yield recording, {"text_to_speech": write_speech(speech, recording)}


def plan(anchor: Anchor, clip: Path | None, duration_s: float) -> Timeline:
    """Lay out the output: ceil(duration x fps) frames, from the anchor's own clip or from another one."""
    source = clip or anchor.clip
    info = read_video_info(source)
    if clip is None:
        reconstruction, clip_times_s = anchor.reconstruction, anchor.times_s
        track = None
    else:
        track = track_file(clip)
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
    from talkinghead.speech import load_speech_side, predicted_parts
    from talkinghead.speech_calibration import calibrate

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

    return _in_thread(parts(), 1)


def expression_from_file(anchor: Anchor, source: Path, times_s: NDArray[np.float64]) -> FloatArray:
    """Expression read from a coefficient file, or measured from a video, at the output's times: (T, K)."""
    if source.suffix.lower() in SUFFIXES:
        values, own_times_s = load_expression(source, anchor.model.expressions)
        if own_times_s is None:
            return values[np.minimum(np.arange(len(times_s)), len(values) - 1)]
    else:
        values, own_times_s = measure_expression(anchor, source)
    return np.stack([np.interp(times_s, own_times_s, column) for column in values.T], 1).astype(np.float32)


def measure_expression(anchor: Anchor, video: Path) -> tuple[FloatArray, NDArray[np.float64]]:
    """Expression seen in a video: (S, K) and its (S,) times.

    Where the anchor's identity fits the video nearly as well as one found for it, the video shows the anchor and the
    coefficients are taken as they are. Another person's are carried over: shifted and scaled, coefficient by
    coefficient, to the anchor's own mean and standard deviation.
    """
    track = track_file(video)
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


@dataclass
class Fallbacks:
    """What of the output is not, or not only, a new picture."""

    reasons: Counter[Reason] = field(default_factory=Counter)
    """Frames passed through."""
    blended: int = 0


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
    prepared = _in_thread(batches if fallbacks is None else _faded(batches, timeline, fallbacks), 1)
    rendered = _in_thread(map(updater.render, prepared), 1)
    images = itertools.chain.from_iterable(itertools.starmap(updater.paste, rendered))
    for image, time_s in zip(images, timeline.times_s.tolist(), strict=True):
        yield Frame(image, time_s)


def _prepared(updater: FaceUpdater, timeline: Timeline, expression: Iterable[FloatArray]) -> Iterator[Prepared]:
    """The timeline in batches that are ready for the network."""
    source = _in_thread(read_in_order(timeline.clip, timeline.frames, timeline.clip_times_s), BATCH)
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
    for done, frame in enumerate(_in_thread(frames, BATCH), 1):
        if done == 1:
            first_at_s = time.monotonic()
        writer.write(frame)
        if progress:
            progress(done, count)
    return first_at_s


def _in_thread(items: Iterator[Item], ahead: int) -> Iterator[Item]:
    """Run an iterator in a thread, at most `ahead` items ahead; its exception is raised here."""
    ready: queue.Queue[Item | BaseException | None] = queue.Queue(ahead)
    stopped = threading.Event()

    def put(item: Item | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            for item in items:
                put(item)
                if stopped.is_set():
                    return
        except BaseException as error:
            put(error)
        else:
            put(None)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()
