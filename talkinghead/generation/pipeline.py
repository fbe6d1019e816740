"""Generating: an ANCHOR and speech in, a video of that anchor saying it out."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Unpack, overload

import numpy as np

from talkinghead.anchor import Anchor, load_anchor
from talkinghead.device import choose_device
from talkinghead.errors import CoefficientError, SpeechTooShortError
from talkinghead.face.region_removal import crop_frame
from talkinghead.files import check_output_path, sha256_of
from talkinghead.generation.config import LARGEST_INTENSITY, Driving
from talkinghead.generation.driving import expression_from_file, expression_parts
from talkinghead.generation.face_updater import FaceUpdater
from talkinghead.generation.frames import BATCH, updated_frames
from talkinghead.generation.passthrough import Fallbacks
from talkinghead.generation.stream import FrameStream, prefetch
from talkinghead.generation.timeline import Timeline, plan
from talkinghead.media.audio_reader import AudioFile
from talkinghead.media.images import ContactSheet
from talkinghead.media.video_writer import ContainerMetadata, VideoWriter
from talkinghead.provenance.c2pa import Signer
from talkinghead.provenance.metadata import append_xmp, container_tags
from talkinghead.provenance.origin import Origin
from talkinghead.provenance.visible_label import VisibleLabel
from talkinghead.structures import FloatArray, Frame
from talkinghead.text_to_speech import Script
from talkinghead.text_to_speech.speech_file import write_speech
from talkinghead.weights.bundled import anchor_folder

SHORTEST_SPEECH_S = 0.2


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
            audio_from=recording,
            metadata=ContainerMetadata(
                container_tags(origin), lambda complete: _finish(complete, output.name, origin, signer)
            ),
            overwrite=overwrite,
        ) as writer:
            frames = performance.frames()
            if contact_sheet is not None:
                sheet = ContactSheet(len(timeline))
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
    audio = AudioFile(recording)
    if audio.duration_s < SHORTEST_SPEECH_S:
        raise SpeechTooShortError(f"{recording} lasts {audio.duration_s:.2f} s; {SHORTEST_SPEECH_S} s are needed.")
    face = driving.get("face", "largest")
    timeline = plan(anchor, driving.get("clip"), audio.duration_s, face)
    text, font = driving.get("visible_label"), driving.get("label_font")
    label = None if text is None else VisibleLabel(text, timeline.width, timeline.height, font)
    source, device = driving.get("expression"), driving.get("device", "auto")
    if source is None:
        encoder, pauses = driving.get("speech_encoder"), driving.get("pauses")
        parts = expression_parts(anchor, audio, timeline.times_s, encoder, device, pauses)
    else:
        parts = iter([expression_from_file(anchor, source, timeline.times_s, face)])
    rest, intensity = anchor.rest_expression(), driving.get("intensity", 1.0)
    target = ((rest + intensity * (row - rest)).astype(np.float32) for part in parts for row in part)
    updater = FaceUpdater(anchor, timeline.reconstruction, choose_device(device))
    return Performance(timeline, updater, target, audio.duration_s, label)


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
    append_xmp(complete)
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


def _shown(frames: Iterator[Frame], sheet: ContactSheet, updater: FaceUpdater, timeline: Timeline) -> Iterator[Frame]:
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
    for done, frame in enumerate(prefetch(frames, BATCH), 1):
        if done == 1:
            first_at_s = time.monotonic()
        writer.write(frame)
        if progress:
            progress(done, count)
    return first_at_s
