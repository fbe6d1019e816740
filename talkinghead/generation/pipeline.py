"""Generating: from an ANCHOR and speech to a video of that anchor saying it."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self, Unpack, overload

import numpy as np

from talkinghead.anchor import Anchor, load_anchor
from talkinghead.captions.burned import BurnedSubtitles
from talkinghead.captions.caption_files import check_captions_path, write_captions
from talkinghead.captions.cues import Cue, line_width_in
from talkinghead.captions.visemes import VisemeFile
from talkinghead.device import choose_device
from talkinghead.errors import OutputError, SpeechTooShortError
from talkinghead.face.movement import driving_remarks
from talkinghead.face.region_removal import crop_frame
from talkinghead.files import PathLike, check_output_path, sha256_of
from talkinghead.generation.coefficient_files import is_table
from talkinghead.generation.config import GenerationConfig, GenerationOptions
from talkinghead.generation.cutout import Cutout, before_squares, cutout_for, matte_of
from talkinghead.generation.driving import (
    SpeechDriving,
    adaptation_used,
    expression_from_file,
    expression_parts,
    fitting_model,
    pause_expression,
)
from talkinghead.generation.face_updater import FaceUpdater
from talkinghead.generation.frames import BATCH, updated_frames
from talkinghead.generation.framing import Framing, framing_for
from talkinghead.generation.known_speech import Captions, LazySpeech
from talkinghead.generation.output_times import OutputTimes, preview, whole_output
from talkinghead.generation.passthrough import PassthroughCount, PassthroughReport, UpdatedFrame
from talkinghead.generation.person_check import check_person
from talkinghead.generation.stream import FrameStream, begun, prefetch
from talkinghead.generation.timeline import Timeline, plan
from talkinghead.media.audio_reader import AudioFile, audio_lead_s
from talkinghead.media.formats import check_alpha, choose_codecs
from talkinghead.media.images import ContactSheet
from talkinghead.media.remarks import audio_remarks, video_remarks
from talkinghead.media.video_reader import read_video_info
from talkinghead.media.video_writer import QUALITIES, ContainerMetadata, EncoderSettings, VideoWriter
from talkinghead.provenance.c2pa import Signer
from talkinghead.provenance.metadata import append_xmp, container_tags
from talkinghead.provenance.origin import Origin
from talkinghead.provenance.visible_label import VisibleLabel
from talkinghead.speech.analysis import AudioAnalysis, analyze
from talkinghead.speech.model import SpeechModel
from talkinghead.structures import ByteArray, Coding, FloatArray, Picture, Tracks
from talkinghead.text_to_speech import Script
from talkinghead.text_to_speech.speech_file import SpokenFile, write_speech
from talkinghead.weights.bundled import anchor_folder

SHORTEST_SPEECH_S = 0.2
"""Shorter speech is refused."""


Progress = Callable[[int, int], None]
"""Called after each frame with the number of frames done and of all frames."""


@dataclass(frozen=True)
class VideoOutput:
    """The files that a video is written to."""

    path: Path
    """Video file (.mp4, .m4v, .mov or .webm), labelled as AI-generated in its metadata."""
    contact_sheet: Path | None = None
    """PNG file to write as well: frames spread over the video, the mouth enlarged below each."""
    signer: Signer | None = None
    """Signs the video with a C2PA manifest."""
    overwrite: bool = False
    """Whether existing files are replaced."""
    subtitles: Path | None = None
    """File of subtitles to write as well (.srt or .vtt), in the time of the video."""
    visemes: VisemeFile | None = None
    """File of mouth shapes to write as well, in the time of the video."""

    def check(self, config: GenerationConfig) -> None:
        """Raise OutputExistsError or OutputError where a file cannot be written, or does not hold what is asked for."""
        check_output_path(self.path, overwrite=self.overwrite)
        choose_codecs(self.path, config.video_codec, config.audio_codec)
        if config.has_alpha:
            check_alpha(self.path)
        if self.signer is not None and self.path.suffix.lower() == ".webm":
            raise OutputError(f"{self.path}: C2PA has no manifests in WebM; sign an .mp4 or .mov.")
        if self.contact_sheet is not None:
            check_output_path(self.contact_sheet, overwrite=self.overwrite, suffixes=(".png",))
        if self.subtitles is not None:
            check_captions_path(self.subtitles, overwrite=self.overwrite)
        if self.visemes is not None:
            self.visemes.check(overwrite=self.overwrite)


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
    output: PathLike | VideoOutput,
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
    output: PathLike | VideoOutput | None = None,
    *,
    contact_sheet: PathLike | None = None,
    signer: Signer | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Unpack[GenerationOptions],
) -> FrameStream | dict[str, Any]:
    """Make a video of the anchor saying the speech; without an output, its frames as they are made.

    Args:
        anchor: ANCHOR folder, made by `train`; the bare name of a built-in one, such as "henrik"; or a loaded one.
        speech: any audio or video file, whose audio goes into the output unchanged, after the lead-in; or a script,
            which is spoken to such a file first.
        output: video file to write, or a `VideoOutput`, which may have more files beside it. None returns the frames;
            labelling what becomes of them is then up to the caller.
        contact_sheet, signer, overwrite: see `VideoOutput`; beside one, or without an output, they have no effect.
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
    if not isinstance(output, VideoOutput):
        sheet = None if contact_sheet is None else Path(contact_sheet)
        output = VideoOutput(Path(output), sheet, signer, overwrite)
    return write_video(who, what, output, config, progress)


def write_video(
    anchor: Path | Anchor,
    speech: Path | Script,
    output: VideoOutput,
    config: GenerationConfig,
    progress: Progress | None = None,
    remark: Callable[[str], None] | None = None,
    show: Callable[[ByteArray], None] | None = None,
) -> dict[str, Any]:
    """Write a video of the anchor saying the speech.

    Args:
        anchor, speech: as `generate` takes them; output: where to write it.
        config: how the anchor is driven.
        progress: called after each frame.
        remark: called with each of the remarks of the report before the first frame is made.
        show: called with each frame of the video, (H, W, 3) uint8 RGB, when it has been written.

    Returns:
        output, frames, fps, width, height, duration_s (of the video), speech_start_s (where in the video the speech
        begins; negative in a preview that begins later), preview (begin and end in the whole video, seconds; None where
        this is the whole), enlargement (factor by which the clip's picture was scaled up; None where it was not),
        quality, intensity, seconds (from the call to the finished file), first_frame_s (from the call until the first
        frame was made), frames_per_second, frames_passed_through (without a new mouth), passed_through (their number by
        `passthrough.Reason`), frames_blended (between these and the others), expressions_bent (frames that asked for a
        mouth that the anchor's clip does not show, see `own_range`), speech_adaptation (see `driving.adaptation_used`;
        None where the expression does not come from speech), consent (as the anchor records it), pictures (what
        reading did to those of the `clip` and of the `expression` video, see `PictureTreatment`), remarks (on the
        inputs, a sentence each), audio_missing_s and audio_gaps (of the speech, filled with silence); for a script also
        text_to_speech, as `write_speech` describes it.

    Raises:
        TalkingHeadError: one of its classes, for every input that cannot be used; nothing is written then.
    """
    started_s = time.monotonic()
    output.check(config)
    heard = None if isinstance(speech, Script) else Heard.begin(speech, config)
    loaded = open_anchor(anchor, config)
    with recording_of(speech, output.path.parent) as (recording, spoken):
        performance = prepare(loaded, recording, spoken, config, remark, heard)
        extra = ExtraFiles.of(output, performance.captions)
        timeline = performance.timeline
        origin = Origin(loaded.network_sha256, sha256_of(recording))
        sheet = None if output.contact_sheet is None else ContactSheet(len(timeline))
        with performance, _writer(output, performance, origin, config) as writer:
            frames = performance.frames(sheet)
            first_at_s, passthrough = write_frames(writer, frames, len(timeline), progress, show)
        if sheet is not None and output.contact_sheet is not None:
            sheet.write(output.contact_sheet)
        extra.write()
        return {
            "output": str(output.path),
            **_report(performance, passthrough, time.monotonic() - started_s, first_at_s - started_s),
            "quality": config.quality,
            "intensity": config.intensity,
            "consent": loaded.consent,
            **({} if spoken is None else {"text_to_speech": spoken.report}),
        }


def encoder_of(config: GenerationConfig) -> EncoderSettings:
    """Codecs and settings of the encoder."""
    return replace(
        QUALITIES[config.quality],
        video_codec=config.video_codec,
        audio_codec=config.audio_codec,
        has_alpha=config.has_alpha,
    )


def _writer(output: VideoOutput, performance: Performance, origin: Origin, config: GenerationConfig) -> VideoWriter:
    """A writer of the video, which labels it when it is complete."""
    track = performance.captions.text_track if config.subtitle_stream else None
    return VideoWriter(
        output.path,
        performance.framing.width,
        performance.framing.height,
        frame_rate=performance.timeline.frame_rate,
        audio_from=performance.times.audio,
        metadata=ContainerMetadata(
            container_tags(origin),
            lambda complete: label_complete(complete, output.path.name, origin, output.signer),
            track,
        ),
        overwrite=output.overwrite,
        encoder=replace(encoder_of(config), coding=performance.coding),
    )


def _report(
    performance: Performance, passthrough: PassthroughReport, seconds: float, first_frame_s: float
) -> dict[str, Any]:
    """What a report says of the frames and the time they took."""
    times, framing = performance.times, performance.framing
    timeline, stretch = times.timeline, times.stretch
    return {
        "frames": len(timeline),
        "fps": float(timeline.frame_rate),
        "width": framing.width,
        "height": framing.height,
        "duration_s": round(times.duration_s, 6),
        "speech_start_s": round(0.0 - times.audio.begin_s, 6),
        "preview": [round(stretch.begin_s, 6), round(stretch.end_s, 6)] if performance.is_preview else None,
        "enlargement": round(framing.enlargement, 2) if framing.enlargement > 1 else None,
        "seconds": round(seconds, 3),
        "first_frame_s": round(first_frame_s, 3),
        "frames_per_second": round(len(timeline) / seconds, 2),
        "frames_passed_through": passthrough.passed_through,
        "passed_through": {str(reason): count for reason, count in sorted(passthrough.reasons.items())},
        "frames_blended": passthrough.blended,
        "expressions_bent": performance.updater.bent_frames,
        "pictures": performance.pictures,
        "speech_adaptation": performance.speech_adaptation,
        "audio_missing_s": round(performance.audio.survey.missing_s, 3),
        "audio_gaps": performance.audio.survey.gaps,
        "remarks": list(performance.remarks),
    }


def stream_frames(
    anchor: Path | Anchor, speech: Path | Script, config: GenerationConfig, progress: Progress | None = None
) -> FrameStream:
    """The frames of the anchor saying the speech, as they are made; the arguments are those of `write_video`.

    Raises:
        TalkingHeadError: one of its classes, for every input that cannot be used, before the first frame.
    """
    heard = None if isinstance(speech, Script) else Heard.begin(speech, config)
    loaded = open_anchor(anchor, config)
    with ExitStack() as opened:
        recording, spoken = opened.enter_context(recording_of(speech, None))
        performance = opened.enter_context(prepare(loaded, recording, spoken, config, None, heard))
        timeline = performance.timeline
        return FrameStream(
            frames=performance.frames(),
            count=len(timeline),
            width=performance.framing.width,
            height=performance.framing.height,
            frame_rate=timeline.frame_rate,
            recording=recording,
            duration_s=performance.speech_s,
            recording_start_s=0.0 - performance.times.audio.begin_s,
            progress=progress,
            remarks=performance.remarks,
            pictures=performance.pictures,
            has_alpha=config.has_alpha,
            held=opened.pop_all(),
        )


@dataclass(frozen=True)
class Performance:
    """All that is known before the first frame is made."""

    times: OutputTimes
    framing: Framing
    updater: FaceUpdater
    expression: Iterator[FloatArray]
    """T rows (K,), one for each output frame; from speech, later rows are predicted while the first are used."""
    speech_s: float
    """Length of the speech in seconds."""
    is_preview: bool
    """Whether the frames may be a part of the whole output only."""
    label: VisibleLabel | None
    speech_adaptation: str | None
    """See `driving.adaptation_used`; None where the expression does not come from speech."""
    audio: AudioFile
    """The speech."""
    remarks: tuple[str, ...]
    """What is worth knowing of the inputs, a sentence each."""
    pictures: dict[str, dict[str, Any]]
    """What reading did to the pictures of the clip and of the expression video; nothing of one that is as it was."""
    captions: Captions
    """What is said, in the time of the output."""
    subtitles: BurnedSubtitles | None
    """Those drawn into the frames."""
    cutout: Cutout | None
    """Puts another background behind; None keeps the clip's own."""
    begun: Generator[FloatArray] | None = None
    """The prediction behind `expression`, where that has begun. It ends with this: from Python 3.13 on, to close an
    iterator that nobody has asked for anything lets go of nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.begun is not None:
            with suppress(ValueError):  # a thread is in the midst of it, and closes it
                self.begun.close()
        if self.cutout is not None and self.cutout.background is not None:
            self.cutout.background.close()

    @property
    def timeline(self) -> Timeline:
        """Of the frames."""
        return self.times.timeline

    def frames(self, sheet: ContactSheet | None = None) -> Iterator[UpdatedFrame]:
        """The frames of the output, framed, with subtitles and the visible label as asked for; to be asked for once.

        Those that a contact sheet asks for are added to it, with their mouth as it is before it is framed.
        """
        crops = self.updater.crops
        for number, frame in enumerate(updated_frames(self.updater, self.timeline, self.expression)):
            picture, alpha = self._finished(int(self.timeline.frames[number]), frame)
            if sheet is not None and sheet.wants(number):
                to_frame = crops.to_frame[self.timeline.frames[number]]
                shown = picture.image if alpha is None else before_squares(picture.image, alpha)
                sheet.add(shown, crop_frame(frame.image, to_frame, crops.size_px))
            yield replace(frame, shown=picture, alpha=alpha)

    @property
    def coding(self) -> Coding | None:
        """Of the planes that the frames have, unless something is drawn on them; None where all are RGB alone."""
        return None if self.cutout is not None else self.framing.coding_of(self.timeline.coding)

    def _finished(self, source: int, frame: UpdatedFrame) -> tuple[Picture, ByteArray | None]:
        """Picture and alpha of an updated frame, number `source` of the clip: framed, before its background, with what
        is drawn on it."""
        if self.cutout is None:
            picture, alpha = self.framing.framed(frame.picture), None
        else:
            image, alpha = self.cutout.applied(source, frame.image, frame.time_s)
            picture = Picture.of(image)
        if self.subtitles is not None and self.subtitles.are_shown_at(frame.time_s):
            picture = Picture.of(self.subtitles.drawn_on(picture.image, frame.time_s))
        if self.label is None:
            return picture, alpha
        if alpha is None:
            return Picture.of(self.label.drawn_on(picture.image)), None
        image, alpha = self.label.drawn_on_cutout(picture.image, alpha)
        return Picture.of(image), alpha


@dataclass(frozen=True)
class Heard:
    """What is found out about a recording by itself, without the anchor."""

    audio: AudioFile
    analysis: Callable[[], AudioAnalysis] | None
    """Waits for all that has to be known before the audio is encoded, by one reading; None where something else drives
    the anchor. Raises what `analyze` does."""
    speech_model: Callable[[], SpeechModel] | None
    """Waits for the model that encodes it; None where something else drives the anchor. Raises what its `load` does."""

    @classmethod
    def begin(cls, recording: Path, config: GenerationConfig) -> Heard:
        """Begin to analyze a recording and to load the speech model, each in a thread."""
        audio = AudioFile(recording, whole=True, tracks=Tracks(audio=config.audio_track))
        if config.expression is not None:
            return cls(audio, None, None)
        load = partial(SpeechModel.load, config.speech_encoder, choose_device(config.device))
        return cls(audio, begun(partial(analyze, audio, config.voice_activity)), begun(load))


def open_anchor(anchor: Path | Anchor, config: GenerationConfig) -> Anchor:
    """The anchor in memory; a device that is not there is found out before it is read."""
    choose_device(config.device)
    return anchor if isinstance(anchor, Anchor) else load_anchor(anchor_folder(anchor))


def prepare(
    anchor: Anchor,
    recording: Path,
    spoken: SpokenFile | None,
    config: GenerationConfig,
    remark: Callable[[str], None] | None = None,
    heard: Heard | None = None,
) -> Performance:
    """Lay out the output and find its expression; `spoken` is what is known of a recording that is a spoken script,
    `heard` what has been begun with it."""
    heard = heard or Heard.begin(recording, config)
    audio, device = heard.audio, choose_device(config.device)
    analysis = None if heard.analysis is None else heard.analysis()
    duration_s = audio.duration_s if analysis is None else analysis.duration_s
    if duration_s < SHORTEST_SPEECH_S:
        raise SpeechTooShortError(f"{recording} lasts {duration_s:.2f} s; {SHORTEST_SPEECH_S} s are needed.")
    remarks = audio_remarks(audio)
    whole, times = _lay_out(anchor, audio, duration_s, config)
    known = LazySpeech(audio, spoken, config, duration_s)
    adaptation = None
    if analysis is None or heard.speech_model is None:
        parts = iter([_from_file(anchor, config, times, audio)])
    else:
        speech_model = fitting_model(anchor, heard.speech_model())
        own_voice = is_own_voice(anchor, recording, config)
        adaptation = adaptation_used(anchor, speech_model, own_voice)
        driving = SpeechDriving(audio, analysis, config.voice_activity, own_voice, known.found.phones, config.leads)
        parts = expression_parts(anchor, speech_model, driving, times.speech_times_s)
    # While the first words are encoded:
    framing = framing_for(anchor.face, times.timeline, config.aspect, config.picture_size)
    updater = FaceUpdater(anchor, whole.reconstruction, device)
    if config.clip is not None:
        check_person(whole, updater)
        remarks += video_remarks(config.clip, whole.tracks)
        remarks += driving_remarks(config.clip, whole.reconstruction, anchor.face)
    captions = Captions(known, -times.audio.begin_s, times.duration_s)
    label, subtitles = drawings(config, captions, (framing.width, framing.height))
    rest = anchor.rest_expression()
    target = ((rest + config.intensity * (row - rest)).astype(np.float32) for part in parts for row in part)
    remarks = list(dict.fromkeys(remarks))
    if remark is not None:
        for sentence in remarks:
            remark(sentence)
    return Performance(
        times,
        framing,
        updater,
        target,
        duration_s,
        config.preview_range is not None,
        label,
        adaptation,
        audio,
        tuple(remarks),
        _treatments(whole, config),
        captions,
        subtitles,
        _cutout(anchor, config, times, framing, remark),
        parts if isinstance(parts, Generator) else None,
    )


def _cutout(
    anchor: Anchor,
    config: GenerationConfig,
    times: OutputTimes,
    framing: Framing,
    remark: Callable[[str], None] | None,
) -> Cutout | None:
    """What puts another background behind the frames, where that is asked for."""
    named = config.named_background
    if named is None:
        return None

    def said_once(frames: int) -> None:
        if frames == 1 and remark is not None:
            remark("The person is cut out of the clip first; that is kept for later videos.")

    matte = matte_of(anchor, config.clip, Tracks(video=config.video_track), said_once)
    return cutout_for(matte, times.timeline, framing, named, times.stretch.begin_s)


def _lay_out(
    anchor: Anchor, audio: AudioFile, speech_s: float, config: GenerationConfig
) -> tuple[Timeline, OutputTimes]:
    """The timeline of the whole, and what the output shows of it."""
    leads = config.leads
    length_s = leads.before_s + speech_s + leads.after_s
    tracks = Tracks(video=config.video_track)
    whole = plan(anchor, config.clip, length_s, config.face, tracks, config.clip_range)
    times = whole_output(whole, leads, audio, speech_s)
    return whole, times if config.preview_range is None else preview(times, config.preview_range)


def drawings(
    config: GenerationConfig, captions: Captions, size: tuple[int, int]
) -> tuple[VisibleLabel | None, BurnedSubtitles | None]:
    """What is drawn into frames of a width and height: the visible label, and subtitles.

    Raises:
        OptionError, LabelError, MissingFileError: as `Captions.cues`, `VisibleLabel` and `BurnedSubtitles` raise them.
    """
    if config.subtitle_stream:
        _ = captions.cues  # which are refused before the work where the words are not known
    width, height = size
    label = None
    if config.visible_label is not None:
        label = VisibleLabel(config.visible_label, width, height, config.label_font)
    if not config.burn_subtitles:
        return label, None
    lowest_px = label.height_px if label is not None else 0
    cues = captions.cues_of(line_width_in(width, height))
    return label, BurnedSubtitles(cues, (width, height), config.subtitle_font, lowest_px)


@dataclass(frozen=True)
class ExtraFiles:
    """Files beside the video that depend on what is said, ready to be written."""

    subtitles: tuple[Path, tuple[Cue, ...]] | None
    visemes: Callable[[], None] | None

    @classmethod
    def of(cls, output: VideoOutput, captions: Captions) -> ExtraFiles:
        """Those that are asked for; raises OptionError where what they need is not known."""
        visemes = output.visemes
        subtitles = None if output.subtitles is None else (output.subtitles, captions.cues)
        if visemes is None:
            return cls(subtitles, None)
        phones = captions.phones
        return cls(subtitles, lambda: visemes.write(phones, captions.duration_s, output.path))

    def write(self) -> None:
        """Write them."""
        if self.subtitles is not None:
            write_captions(*self.subtitles)
        if self.visemes is not None:
            self.visemes()


def _from_file(anchor: Anchor, config: GenerationConfig, times: OutputTimes, audio: AudioFile) -> FloatArray:
    """The expression of a coefficient file or a video, (T, K); in the leads it goes to that of the anchor's pauses."""
    assert config.expression is not None
    times_s = times.speech_times_s
    # Of a video that is also the speech, time 0 is where the audio begins, maybe before the first frame.
    lead_s = audio_lead_s(audio.path, audio.tracks) if is_same_file(config.expression, audio.path) else 0.0
    given = expression_from_file(anchor, config.expression, times_s - lead_s, config.face, first_row=times.first_row)
    pauses = config.voice_activity
    attack_s, release_s = pauses.attack_ms / 1000, pauses.release_ms / 1000
    weights = config.leads.weights(times_s, audio.duration_s, attack_s, release_s)[:, None]
    if (weights == 1).all():
        return given
    return np.asarray(weights * given + (1 - weights) * pause_expression(anchor), np.float32)


def is_same_file(path: Path, other: Path) -> bool:
    """Whether two paths are of files with the same content; False where there is no such file."""
    return path.is_file() and path.stat().st_size == other.stat().st_size and sha256_of(path) == sha256_of(other)


def _treatments(timeline: Timeline, config: GenerationConfig) -> dict[str, dict[str, Any]]:
    """What reading does to the pictures of the clip and of an expression video, by role."""
    found = {"clip": timeline.treatment}
    if config.expression is not None and not is_table(config.expression):
        found["expression"] = read_video_info(config.expression).treatment
    return {role: treatment.as_dict() for role, treatment in found.items() if treatment}


def is_own_voice(anchor: Anchor, recording: Path, config: GenerationConfig) -> bool:
    """Whether the anchor is heard in the recording, as the user says; by default only in the anchor's own clip."""
    if config.voice_is_anchor == "auto":
        return is_same_file(recording, anchor.clip)
    return config.voice_is_anchor == "yes"


def label_complete(complete: Path, name: str, origin: Origin, signer: Signer | None) -> None:
    """Label a complete output, before it takes its name."""
    append_xmp(complete)
    if signer is not None:
        signer.sign(complete, name, origin)


@contextmanager
def recording_of(speech: Path | Script, folder: Path | None) -> Iterator[tuple[Path, SpokenFile | None]]:
    """The recording; a script is spoken to a file that is removed at the end, and of which more is known.

    That file lies in `folder`, the output's, which has room for it: the system's temporary folder is often in memory.
    """
    if not isinstance(speech, Script):
        yield speech, None
        return
    with tempfile.TemporaryDirectory(dir=folder, prefix=".talkinghead.") as temporary:
        recording = Path(temporary) / "speech.wav"
        yield recording, write_speech(speech, recording)


def write_frames(
    writer: VideoWriter,
    frames: Iterator[UpdatedFrame],
    count: int,
    progress: Progress | None,
    show: Callable[[ByteArray], None] | None = None,
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
        if show:
            show(frame.image)
        if progress:
            progress(done, count)
    return first_at_s, passthrough.report()
