"""Several anchors in one video, who speak in turn: cut from one to the other, or side by side.

Each anchor is driven by a track of its own that is silent while others speak: then it is seen as in its own pauses.
"""

from __future__ import annotations

import heapq
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np

from talkinghead.anchor import Anchor
from talkinghead.captions.burned import BurnedSubtitles
from talkinghead.errors import OptionError
from talkinghead.files import sha256_of
from talkinghead.generation.config import GenerationConfig
from talkinghead.generation.dialogue_audio import SpokenTurn, known_of, speak_turns, words_of, write_tracks
from talkinghead.generation.dialogue_config import MOST_SPEAKERS, NOT_FOR_DIALOGUES, DialogueConfig
from talkinghead.generation.dialogue_script import Turn
from talkinghead.generation.framing import framing_for
from talkinghead.generation.known_speech import Captions, FoundSpeech, KnownSpeech
from talkinghead.generation.output_options import Size
from talkinghead.generation.passthrough import PassthroughReport, UpdatedFrame
from talkinghead.generation.pipeline import (
    ExtraFiles,
    Performance,
    Progress,
    VideoOutput,
    drawings,
    encoder_of,
    label_complete,
    open_anchor,
    prepare,
    write_frames,
)
from talkinghead.media.audio_writer import AudioExcerpt
from talkinghead.media.video_writer import ContainerMetadata, VideoWriter
from talkinghead.provenance.metadata import container_tags
from talkinghead.provenance.origin import Origin
from talkinghead.provenance.visible_label import VisibleLabel
from talkinghead.speech.articulation import KnownPhones
from talkinghead.structures import BoolArray, Coding, Picture
from talkinghead.text_to_speech.config import SpeakingConfig


@dataclass(frozen=True)
class Speaker:
    """One of the cast."""

    anchor: Path | Anchor
    voice: str
    """Voice that speaks their texts."""


@dataclass(frozen=True)
class _Scene:
    """All speakers, ready to be drawn, in the order in which they first speak."""

    performances: dict[str, Performance]
    spoken: list[SpokenTurn]
    layout: Literal["cut", "side"]
    label: VisibleLabel | None
    subtitles: BurnedSubtitles | None
    captions: Captions

    @property
    def first(self) -> Performance:
        return next(iter(self.performances.values()))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the video."""
        framing = self.first.framing
        return framing.width * (len(self.performances) if self.layout == "side" else 1), framing.height

    @property
    def frame_rate(self) -> Fraction:
        """Frames per second, of the first speaker's clip."""
        return self.first.timeline.frame_rate

    def frames(self) -> tuple[int, Iterator[UpdatedFrame]]:
        """How many frames the video has, and these, with subtitles and label."""
        count, frames = self._cut() if self.layout == "cut" else self._side_by_side()
        return count, map(self._drawn, frames)

    def _drawn(self, frame: UpdatedFrame) -> UpdatedFrame:
        picture = frame.picture
        if self.subtitles is not None and self.subtitles.are_shown_at(frame.time_s):
            picture = Picture.of(self.subtitles.drawn_on(picture.image, frame.time_s))
        if self.label is None:
            return replace(frame, shown=picture)
        if frame.alpha is None:
            return replace(frame, shown=self.label.drawn_on(picture.image))
        image, alpha = self.label.drawn_on_cutout(picture.image, frame.alpha)
        return replace(frame, shown=image, alpha=alpha)

    @property
    def coding(self) -> Coding | None:
        """Of the planes that the frames have, unless something is drawn on them; None where all are RGB alone."""
        codings = {performance.coding for performance in self.performances.values()}
        return codings.pop() if self.layout == "cut" and len(codings) == 1 else None

    def _cut(self) -> tuple[int, Iterator[UpdatedFrame]]:
        """Each speaker's frames of their own turns alone; the others are not made."""
        lead_s = self.captions.shift_s
        cuts_s = [lead_s + (before.ends_s + after.begins_s) / 2 for before, after in itertools.pairwise(self.spoken)]
        shown = []
        for name, performance in self.performances.items():
            turns = np.searchsorted(cuts_s, performance.timeline.times_s + 1e-6)
            own = np.array([self.spoken[turn].speaker == name for turn in turns])
            shown.append(_only(performance, own))
        count = sum(len(performance.timeline) for performance in shown)
        streams = (performance.frames() for performance in shown)
        return count, heapq.merge(*streams, key=lambda frame: frame.time_s)

    def _side_by_side(self) -> tuple[int, Iterator[UpdatedFrame]]:
        """At the times of the first speaker's frames, everybody's latest frame."""
        performances = list(self.performances.values())
        return len(self.first.timeline), _joined([performance.frames() for performance in performances])


def _only(performance: Performance, shown: BoolArray) -> Performance:
    """A performance of some of its frames, at their own times."""
    times = performance.times
    timeline = replace(times.timeline, frames=times.timeline.frames[shown], times_s=times.timeline.times_s[shown])
    return replace(
        performance,
        times=replace(times, timeline=timeline, speech_times_s=times.speech_times_s[shown]),
        expression=itertools.compress(performance.expression, shown),
    )


def _joined(streams: Sequence[Iterator[UpdatedFrame]]) -> Iterator[UpdatedFrame]:
    first, *others = streams
    latest = [next(other) for other in others]
    following = [next(other, None) for other in others]
    for frame in first:
        for index, other in enumerate(others):
            while (after := following[index]) is not None and after.time_s <= frame.time_s + 1e-6:
                latest[index], following[index] = after, next(other, None)
        shown = [frame, *latest]
        reason = next((one.reject_reason for one in shown if one.reject_reason is not None), None)
        alphas = [one.alpha for one in shown if one.alpha is not None]  # of all, or of none
        yield UpdatedFrame(
            np.concatenate([one.image for one in shown], axis=1),
            frame.time_s,
            alpha=np.concatenate(alphas, axis=1) if alphas else None,
            reject_reason=reason,
            blend_weight=min(one.blend_weight for one in shown),
        )


def write_dialogue(
    turns: Sequence[Turn],
    cast: Mapping[str, Speaker],
    output: VideoOutput,
    config: GenerationConfig,
    dialogue: DialogueConfig,
    speaking: SpeakingConfig,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write a video in which anchors speak in turn.

    Args:
        turns: who says what, in order.
        cast: every speaker of the turns by name.
        output: where to write it; a contact sheet is not made of dialogues.
        config: how the anchors are driven; `NOT_FOR_DIALOGUES` are left as they are by default.
        dialogue: how they are shown.
        speaking: how texts are spoken.
        progress: called after each frame.

    Returns:
        output, layout, speakers, turns (speaker, and begin_s and end_s in the video, of each), frames, fps, width,
        height, duration_s, seconds, frames_passed_through, passed_through, consent (of each speaker), remarks, and
        text_to_speech (a list, of the texts).

    Raises:
        TalkingHeadError: one of its classes, for every input that cannot be used; nothing is written then.
    """
    started_s = time.monotonic()
    output.check(config)
    _check(turns, config, dialogue, output)
    names = list(dict.fromkeys(turn.speaker for turn in turns))
    anchors = {name: open_anchor(cast[name].anchor, config) for name in names}
    with tempfile.TemporaryDirectory(dir=output.path.parent, prefix=".talkinghead.") as temporary:
        folder = Path(temporary)
        voices = {name: cast[name].voice for name in names}
        spoken = speak_turns(turns, voices, speaking, dialogue.gap_ms / 1000, folder)
        mix, tracks = write_tracks(spoken, folder)
        scene = _scene(anchors, spoken, tracks, config, dialogue)
        extra = ExtraFiles.of(output, scene.captions)
        count, frames = scene.frames()
        origin = Origin("+".join(anchor.network_sha256 for anchor in anchors.values()), sha256_of(mix))
        with _writer(output, scene, mix, origin, config) as writer:
            _, passthrough = write_frames(writer, frames, count, progress)
        extra.write()
    return {
        "output": str(output.path),
        "frames": count,
        "seconds": round(time.monotonic() - started_s, 3),
        "consent": {name: anchor.consent for name, anchor in anchors.items()},
        **_report(scene, passthrough),
    }


def _report(scene: _Scene, passthrough: PassthroughReport) -> dict[str, Any]:
    """What a report says of the turns and the frames."""
    lead_s = scene.captions.shift_s
    return {
        "layout": scene.layout,
        "speakers": list(scene.performances),
        "turns": [
            {
                "speaker": turn.speaker,
                "begin_s": round(lead_s + turn.begins_s, 3),
                "end_s": round(lead_s + turn.ends_s, 3),
            }
            for turn in scene.spoken
        ],
        "fps": float(scene.frame_rate),
        "width": scene.size[0],
        "height": scene.size[1],
        "duration_s": round(scene.captions.duration_s, 6),
        "frames_passed_through": passthrough.passed_through,
        "passed_through": {str(reason): number for reason, number in sorted(passthrough.reasons.items())},
        "remarks": list(dict.fromkeys(itertools.chain(*(one.remarks for one in scene.performances.values())))),
        "text_to_speech": [dict(turn.report) for turn in scene.spoken if turn.report is not None],
    }


def _check(turns: Sequence[Turn], config: GenerationConfig, dialogue: DialogueConfig, output: VideoOutput) -> None:
    """Raise OptionError for what a dialogue cannot do."""
    changed = [name for name in NOT_FOR_DIALOGUES if getattr(config, name) != getattr(GenerationConfig(), name)]
    if changed:
        raise OptionError(f"{changed[0]} is for a video of one anchor; leave it out of a dialogue.")
    if output.contact_sheet is not None:
        raise OptionError("A contact sheet is not made of a dialogue; leave it out.")
    speakers = len({turn.speaker for turn in turns})
    if speakers > MOST_SPEAKERS[dialogue.layout]:
        raise OptionError(
            f"The script has {speakers} speakers; the layout {dialogue.layout} shows {MOST_SPEAKERS[dialogue.layout]}."
        )


def _scene(
    anchors: Mapping[str, Anchor],
    spoken: list[SpokenTurn],
    tracks: Mapping[str, Path],
    config: GenerationConfig,
    dialogue: DialogueConfig,
) -> _Scene:
    """Everybody's performance, in one size."""
    own = replace(config, visible_label=None, subtitle_stream=False, burn_subtitles=False, subtitle_font=None)
    prepared = {name: prepare(anchor, tracks[name], known_of(name, spoken), own) for name, anchor in anchors.items()}
    first = next(iter(prepared.values()))
    size = Size(first.framing.width // 2 * 2, first.framing.height // 2 * 2)
    performances = {
        name: replace(one, framing=framing_for(anchors[name].face, one.timeline, None, size))
        for name, one in prepared.items()
    }
    known = KnownSpeech(None, words_of(spoken), _language(spoken))
    if all(turn.phones is not None for turn in spoken):
        phones = tuple(phone for turn in spoken for phone in turn.phones or () if phone.symbol != "|")
        known = replace(known, phones=KnownPhones(phones, is_synthetic=True))
    captions = Captions(FoundSpeech(known), -first.times.audio.begin_s, first.times.duration_s)
    scene = _Scene(performances, spoken, dialogue.layout, None, None, captions)
    label, subtitles = drawings(config, captions, scene.size)
    return replace(scene, label=label, subtitles=subtitles)


def _language(spoken: Sequence[SpokenTurn]) -> str:
    """The language of all turns; empty where they are of several."""
    found = {str(turn.report["language"]) for turn in spoken if turn.report is not None}
    return found.pop() if len(found) == 1 else ""


def _writer(output: VideoOutput, scene: _Scene, mix: Path, origin: Origin, config: GenerationConfig) -> VideoWriter:
    track = scene.captions.text_track if config.subtitle_stream else None
    complete: Callable[[Path], None] = lambda path: label_complete(path, output.path.name, origin, output.signer)  # noqa: E731
    heard = scene.first.times.audio
    return VideoWriter(
        output.path,
        *scene.size,
        frame_rate=scene.frame_rate,
        audio_from=AudioExcerpt(mix, heard.begin_s, None, heard.silence_after_s),
        metadata=ContainerMetadata(container_tags(origin), complete, track),
        overwrite=output.overwrite,
        encoder=replace(encoder_of(config), coding=scene.coding),
    )
