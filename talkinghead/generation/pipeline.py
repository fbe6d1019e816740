"""Generating: from an ANCHOR and speech to a video of that anchor saying it."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack, overload

import numpy as np

from talkinghead.anchor import Anchor, load_anchor
from talkinghead.device import choose_device
from talkinghead.errors import SpeechTooShortError, TableError
from talkinghead.face.region_removal import crop_frame
from talkinghead.files import PathLike, check_output_path, sha256_of
from talkinghead.generation.config import GenerationConfig, GenerationOptions
from talkinghead.generation.driving import (
    SpeechDriving,
    adaptation_used,
    expression_from_file,
    expression_parts,
    load_speech_model,
)
from talkinghead.generation.expression_files import SUFFIXES
from talkinghead.generation.face_updater import FaceUpdater
from talkinghead.generation.frames import BATCH, updated_frames
from talkinghead.generation.passthrough import PassthroughCount, PassthroughReport, UpdatedFrame
from talkinghead.generation.person_check import check_person
from talkinghead.generation.stream import FrameStream, prefetch
from talkinghead.generation.timeline import Timeline, plan
from talkinghead.media.audio_reader import AudioFile, read_audio
from talkinghead.media.images import ContactSheet
from talkinghead.media.video_reader import read_video_info
from talkinghead.media.video_writer import ContainerMetadata, VideoWriter
from talkinghead.provenance.c2pa import Signer
from talkinghead.provenance.metadata import append_xmp, container_tags
from talkinghead.provenance.origin import Origin
from talkinghead.provenance.visible_label import VisibleLabel
from talkinghead.speech.analysis import analyze
from talkinghead.speech.articulation import KnownPhones, symbols_of
from talkinghead.speech.phone_alignment import align_phones
from talkinghead.speech.phone_times import read_phone_times
from talkinghead.structures import FloatArray
from talkinghead.text_to_speech import Script
from talkinghead.text_to_speech.speech_file import SpokenFile, write_speech
from talkinghead.weights.bundled import anchor_folder

SHORTEST_SPEECH_S = 0.2
"""Shorter speech is refused."""
PHONES_BEYOND_S = 0.5
"""A table of phones that goes on for longer than the speech is refused, seconds."""


Progress = Callable[[int, int], None]
"""Called after each frame with the number of frames done and of all frames."""


@dataclass(frozen=True)
class VideoOutput:
    """The files that a video is written to."""

    path: Path
    """Video file (.mp4, .m4v or .mov), labelled as AI-generated in its metadata."""
    contact_sheet: Path | None = None
    """PNG file to write as well: frames spread over the video, the mouth enlarged below each."""
    signer: Signer | None = None
    """Signs the video with a C2PA manifest."""
    overwrite: bool = False
    """Whether existing files are replaced."""

    def check(self) -> None:
        """Raise OutputExistsError or OutputError where a file cannot be written."""
        check_output_path(self.path, overwrite=self.overwrite)
        if self.contact_sheet is not None:
            check_output_path(self.contact_sheet, overwrite=self.overwrite, suffixes=(".png",))


@overload
def generate(
    anchor: PathLike | Anchor,
    speech: PathLike | Script,
    output: None = None,
    *,
    progress: Progress | None = None,
    **options: Unpack[GenerationOptions],
) -> FrameStream: ...


@overload
def generate(
    anchor: PathLike | Anchor,
    speech: PathLike | Script,
    output: PathLike,
    *,
    contact_sheet: PathLike | None = None,
    signer: Signer | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Unpack[GenerationOptions],
) -> dict[str, Any]: ...


def generate(
    anchor: PathLike | Anchor,
    speech: PathLike | Script,
    output: PathLike | None = None,
    *,
    contact_sheet: PathLike | None = None,
    signer: Signer | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Unpack[GenerationOptions],
) -> FrameStream | dict[str, Any]:
    """Make a video of the anchor saying the speech; without an output, its frames as they are made.

    Args:
        anchor: ANCHOR folder, made by `train`; the bare name of a built-in one, such as "presenter"; or a loaded one.
        speech: any audio or video file, whose audio goes into the output unchanged in length and start; or a script,
            which is spoken to such a file first.
        output: video file to write, see `VideoOutput`. None returns the frames; labelling what becomes of them is then
            up to the caller.
        contact_sheet, signer, overwrite: see `VideoOutput`; without an output they have no effect.
        progress: called after each frame, see `Progress`.
        options: the fields of `GenerationConfig`, such as intensity=1.2.

    Returns:
        Without an output, a `FrameStream`; with one, the report of `write_video`.

    Raises:
        TypeError: there is no option of that name.
        TalkingHeadError: one of its classes, for every input that cannot be used; nothing is written then.
    """
    config = GenerationConfig(**options)
    who = anchor if isinstance(anchor, Anchor) else Path(anchor)
    what = speech if isinstance(speech, Script) else Path(speech)
    if output is None:
        return stream_frames(who, what, config, progress)
    sheet = None if contact_sheet is None else Path(contact_sheet)
    return write_video(who, what, VideoOutput(Path(output), sheet, signer, overwrite), config, progress)


def write_video(
    anchor: Path | Anchor,
    speech: Path | Script,
    output: VideoOutput,
    config: GenerationConfig,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write a video of the anchor saying the speech.

    Args:
        anchor, speech: as `generate` takes them.
        output: where to write it.
        config: how the anchor is driven.
        progress: called after each frame.

    Returns:
        output, frames, fps, duration_s, intensity, seconds (from the call to the finished file), first_frame_s (from
        the call until the first frame was made), frames_per_second, frames_passed_through (without a new mouth),
        passed_through (their number by `passthrough.Reason`), frames_blended (between these and the others),
        expressions_bent (frames that asked for a mouth that the anchor's clip does not show, see `own_range`),
        pictures (what reading did to those of the `clip` and of the `expression` video, see `PictureTreatment`),
        speech_adaptation (see `driving.adaptation_used`; None where the expression does not come from speech), consent
        (as the anchor records it); for a script also text_to_speech, as `write_speech` describes it.

    Raises:
        TalkingHeadError: one of its classes, for every input that cannot be used; nothing is written then.
    """
    started_s = time.monotonic()
    output.check()
    loaded = _open(anchor, config)
    with _recording(speech, output.path.parent) as (recording, spoken):
        performance = _prepare(loaded, recording, spoken, config)
        timeline = performance.timeline
        origin = Origin(loaded.network_sha256, sha256_of(recording))
        sheet = None if output.contact_sheet is None else ContactSheet(len(timeline))
        with VideoWriter(
            output.path,
            timeline.width,
            timeline.height,
            frame_rate=timeline.frame_rate,
            audio_from=recording,
            metadata=ContainerMetadata(
                container_tags(origin), lambda complete: _finish(complete, output.path.name, origin, output.signer)
            ),
            overwrite=output.overwrite,
        ) as writer:
            frames = performance.frames()
            if sheet is not None:
                frames = _collected(frames, sheet, performance.updater, timeline)
            first_at_s, passthrough = _write_frames(writer, frames, len(timeline), progress)
        if sheet is not None and output.contact_sheet is not None:
            sheet.write(output.contact_sheet)
        return {
            "output": str(output.path),
            **_report(performance, passthrough, time.monotonic() - started_s, first_at_s - started_s),
            "intensity": config.intensity,
            "consent": loaded.consent,
            **({} if spoken is None else {"text_to_speech": spoken.report}),
        }


def _report(
    performance: Performance, passthrough: PassthroughReport, seconds: float, first_frame_s: float
) -> dict[str, Any]:
    """What a report says of the frames and the time they took."""
    timeline = performance.timeline
    return {
        "frames": len(timeline),
        "fps": float(timeline.frame_rate),
        "duration_s": performance.duration_s,
        "seconds": round(seconds, 3),
        "first_frame_s": round(first_frame_s, 3),
        "frames_per_second": round(len(timeline) / seconds, 2),
        "frames_passed_through": passthrough.passed_through,
        "passed_through": {str(reason): count for reason, count in sorted(passthrough.reasons.items())},
        "frames_blended": passthrough.blended,
        "expressions_bent": performance.updater.bent_frames,
        "pictures": performance.pictures,
        "speech_adaptation": performance.speech_adaptation,
    }


def stream_frames(
    anchor: Path | Anchor, speech: Path | Script, config: GenerationConfig, progress: Progress | None = None
) -> FrameStream:
    """The frames of the anchor saying the speech, as they are made; the arguments are those of `write_video`.

    Raises:
        TalkingHeadError: one of its classes, for every input that cannot be used, before the first frame.
    """
    loaded = _open(anchor, config)
    with ExitStack() as opened:
        recording, spoken = opened.enter_context(_recording(speech, None))
        performance = _prepare(loaded, recording, spoken, config)
        timeline = performance.timeline
        return FrameStream(
            frames=performance.frames(),
            count=len(timeline),
            width=timeline.width,
            height=timeline.height,
            frame_rate=timeline.frame_rate,
            recording=recording,
            duration_s=performance.duration_s,
            progress=progress,
            pictures=performance.pictures,
            held=opened.pop_all(),
        )


@dataclass(frozen=True)
class Performance:
    """All that is known before the first frame is made."""

    timeline: Timeline
    updater: FaceUpdater
    expression: Iterator[FloatArray]
    """T rows (K,), one for each output frame; from speech, later rows are predicted while the first are used."""
    duration_s: float
    """Length of the speech in seconds."""
    label: VisibleLabel | None
    speech_adaptation: str | None
    """See `driving.adaptation_used`; None where the expression does not come from speech."""
    pictures: dict[str, dict[str, Any]]
    """What reading did to the pictures of the clip and of the expression video; nothing of one that is as it was."""

    def frames(self) -> Iterator[UpdatedFrame]:
        """The frames of the output, with the visible label if there is one; to be asked for once."""
        frames = updated_frames(self.updater, self.timeline, self.expression)
        label = self.label
        return frames if label is None else (replace(frame, image=label.drawn_on(frame.image)) for frame in frames)


def _open(anchor: Path | Anchor, config: GenerationConfig) -> Anchor:
    """The anchor in memory; a device that is not there is found out before it is read."""
    choose_device(config.device)
    return anchor if isinstance(anchor, Anchor) else load_anchor(anchor_folder(anchor))


def _prepare(anchor: Anchor, recording: Path, spoken: SpokenFile | None, config: GenerationConfig) -> Performance:
    """Lay out the output and find its expression; `spoken` is what is known of a recording that is a spoken script."""
    audio, device = AudioFile(recording), choose_device(config.device)
    # One reading gives all that has to be known before the audio is encoded; a driving file needs its length alone.
    analysis = analyze(audio, config.voice_activity) if config.expression is None else None
    duration_s = audio.duration_s if analysis is None else analysis.duration_s
    if duration_s < SHORTEST_SPEECH_S:
        raise SpeechTooShortError(f"{recording} lasts {duration_s:.2f} s; {SHORTEST_SPEECH_S} s are needed.")
    timeline = plan(anchor, config.clip, duration_s, config.face)
    updater = FaceUpdater(anchor, timeline.reconstruction, device)
    if config.clip is not None:
        check_person(timeline, updater)
    label = None
    if config.visible_label is not None:
        label = VisibleLabel(config.visible_label, timeline.width, timeline.height, config.label_font)
    adaptation = None
    if config.expression is not None:
        parts = iter([expression_from_file(anchor, config.expression, timeline.times_s, config.face)])
    elif analysis is not None:
        speech_model = load_speech_model(anchor, config.speech_encoder, device)
        own_voice = is_own_voice(anchor, recording, config)
        adaptation = adaptation_used(anchor, speech_model, own_voice)
        phones = _phones(recording, spoken, config, duration_s)
        driving = SpeechDriving(audio, analysis, config.voice_activity, own_voice, phones)
        parts = expression_parts(anchor, speech_model, driving, timeline.times_s)
    rest = anchor.rest_expression()
    target = ((rest + config.intensity * (row - rest)).astype(np.float32) for part in parts for row in part)
    return Performance(timeline, updater, target, duration_s, label, adaptation, _treatments(timeline, config))


def _treatments(timeline: Timeline, config: GenerationConfig) -> dict[str, dict[str, Any]]:
    """What reading does to the pictures of the clip and of an expression video, by role."""
    found = {"clip": timeline.treatment}
    if config.expression is not None and config.expression.suffix.lower() not in SUFFIXES:
        found["expression"] = read_video_info(config.expression).treatment
    return {role: treatment.as_dict() for role, treatment in found.items() if treatment}


def is_own_voice(anchor: Anchor, recording: Path, config: GenerationConfig) -> bool:
    """Whether the anchor is heard in the recording, as the user says; by default only in the anchor's own clip."""
    if config.voice_is_anchor == "auto":
        return sha256_of(recording) == sha256_of(anchor.clip)
    return config.voice_is_anchor == "yes"


def _phones(
    recording: Path, spoken: SpokenFile | None, config: GenerationConfig, duration_s: float
) -> KnownPhones | None:
    """The phones that are spoken in a recording of that length, where the user or the text-to-speech engine tells them.

    Raises:
        MissingFileError, TableError: transcript or table of phones cannot be read, or does not fit the recording; or
            the table's phones are in another notation than IPA or ARPABET.
        ModelUnavailableError: what aligns a transcript is not installed.
    """
    if config.phones is not None:
        phones = read_phone_times(config.phones).spoken
        if not phones or phones[-1].end_s > duration_s + PHONES_BEYOND_S:
            what = f"goes on to {phones[-1].end_s:.2f} s" if phones else "has pauses only"
            raise TableError(f"{config.phones} {what}, and {recording} lasts {duration_s:.2f} s; is it of another one?")
        if sum(bool(symbols_of(phone.symbol)) for phone in phones) < len(phones) / 2:
            raise TableError(f"{config.phones} has phones like {phones[0].symbol!r:.20}, and not in IPA or ARPABET.")
        return KnownPhones(phones, is_synthetic=True)
    if config.transcript is not None:
        return KnownPhones(align_phones(config.transcript, read_audio(recording)).spoken, is_synthetic=False)
    if spoken is None or spoken.phones is None:
        return None
    return KnownPhones(spoken.phones, is_synthetic=True)


def _finish(complete: Path, name: str, origin: Origin, signer: Signer | None) -> None:
    """Label a complete output, before it takes its name."""
    append_xmp(complete)
    if signer is not None:
        signer.sign(complete, name, origin)


@contextmanager
def _recording(speech: Path | Script, folder: Path | None) -> Iterator[tuple[Path, SpokenFile | None]]:
    """The recording; a script is spoken to a file that is removed at the end, and of which more is known.

    That file lies in `folder`, the output's, which has room for it: the system's temporary folder is often in memory.
    """
    if not isinstance(speech, Script):
        yield speech, None
        return
    with tempfile.TemporaryDirectory(dir=folder, prefix=".talkinghead.") as temporary:
        recording = Path(temporary) / "speech.wav"
        yield recording, write_speech(speech, recording)


def _collected(
    frames: Iterator[UpdatedFrame], sheet: ContactSheet, updater: FaceUpdater, timeline: Timeline
) -> Iterator[UpdatedFrame]:
    """The same frames; those that the contact sheet asks for are added to it, with a crop of their mouth."""
    for index, frame in enumerate(frames):
        if sheet.wants(index):
            to_frame = updater.crops.to_frame[timeline.frames[index]]
            sheet.add(frame.image, crop_frame(frame.image, to_frame, updater.crops.size_px))
        yield frame


def _write_frames(
    writer: VideoWriter, frames: Iterator[UpdatedFrame], count: int, progress: Progress | None
) -> tuple[float, PassthroughReport]:
    """Encode on this thread while the frames are generated in others.

    Returns:
        When, in monotonic time, the first frame was generated, and which frames were passed through.
    """
    first_at_s, passthrough = math.nan, PassthroughCount()
    for done, frame in enumerate(prefetch(frames, BATCH), 1):
        if done == 1:
            first_at_s = time.monotonic()
        writer.write(frame)
        passthrough.add(frame)
        if progress:
            progress(done, count)
    return first_at_s, passthrough.report()
