"""The options of `generate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict

from talkinghead.errors import CoefficientError, OptionError
from talkinghead.generation.leads import LEAD_S, LONGEST_LEAD_S, Leads
from talkinghead.generation.output_options import (
    TRANSPARENT,
    NamedBackground,
    Size,
    TimeRange,
    parse_background,
    parse_preview,
    parse_size,
)
from talkinghead.media.formats import AudioCodec, VideoCodec
from talkinghead.options.fields import check_options, device_option, option
from talkinghead.speech.voice_activity import VoiceActivityConfig
from talkinghead.structures import Aspect, ClipRange, FaceChoice, Quality


@dataclass(frozen=True)
class GenerationConfig:
    """How an anchor is driven, and what is drawn into the frames.

    The command `talkinghead generate` has an option, and the job file of a batch a column, for every field.

    Raises:
        CoefficientError: the intensity is not a number in its range.
        OptionError: another field is not of its type or out of its range.
    """

    clip: Path | None = option(
        None, help="Clip of the same person to take the frames from, instead of the anchor's own."
    )
    face: FaceChoice = option(
        "largest",
        help="Face to use where a clip shows several: largest, left, right, or its number from the left, from 0.",
    )
    clip_range: ClipRange | None = option(
        None,
        help="Stretch of the clip to take the frames from, in seconds, such as 3-17s; by default the one that the "
        "ANCHOR was trained with, and all of another clip.",
    )
    video_track: int | None = option(
        None, help="Video track of --clip, by its number from 1 on, instead of the default or largest one.", low=1
    )
    audio_track: int | None = option(
        None, help="Audio track of SPEECH, by its number from 1 on, instead of the default or loudest one.", low=1
    )
    expression: Path | None = option(
        None,
        help="File of expression coefficients (.safetensors, .csv) or ARKit weights (.csv of Live Link Face or "
        "Audio2Face, .json of LAM), or video to measure them in, instead of predicting them from the speech.",
    )
    speech_encoder: str | None = option(
        None,
        help="Folder, or name in the local Hugging Face cache, of another speech encoder of the wav2vec2 family.",
        may_be_folder=True,
    )
    transcript: Path | None = option(
        None,
        help="Text file with the words of SPEECH, in English, which are aligned with it; then every p, b and m closes "
        "the lips, and every vowel has its shape. Needs talkinghead[align]. A text that is spoken needs none.",
    )
    phones: Path | None = option(
        None,
        help="Table of the phones of SPEECH instead, as a text-to-speech engine gives them: begin and end in seconds, "
        "phone in IPA or ARPABET, one a line.",
    )
    voice_is_anchor: Literal["auto", "yes", "no"] = option(
        "auto",
        help="Whether SPEECH is the anchor's own voice, to which training has adapted the expression predictor; "
        "auto is yes for the audio of the anchor's own clip and no for all else.",
    )
    intensity: float = option(
        1.0,
        help="Factor on the mouth's movement: 0 keeps it at rest, 1 is the anchor's own range.",
        low=0,
        high=3,
        error=CoefficientError,
    )
    attack_ms: float = option(
        VoiceActivityConfig.attack_ms,
        help="Time the mouth takes to leave its rest before speech begins.",
        low=1,
        high=100_000,
        unit="ms",
    )
    release_ms: float = option(
        VoiceActivityConfig.release_ms,
        help="Time the mouth takes to come to rest after speech ends.",
        low=1,
        high=100_000,
        unit="ms",
    )
    lead_in: float | None = option(
        None,
        help="Time before the speech in which the anchor is seen at rest; 0.3 s unless given, none with --clip or "
        "--expression.",
        low=0,
        high=LONGEST_LEAD_S,
        unit="s",
    )
    lead_out: float | None = option(None, help="The same after the speech.", low=0, high=LONGEST_LEAD_S, unit="s")
    preview: str | None = option(
        None,
        help="Make a stretch of the video alone, as it is in the whole: the first 3 s, or a range such as 10-13.",
        metavar="[RANGE]",
    )
    aspect: Aspect | None = option(None, help="Crop the picture to this ratio, with the head in it.")
    size: str | None = option(
        None,
        help="Scale the picture: its width, WIDTHxHEIGHT, or its shorter side, such as 720p.",
        metavar="SIZE",
    )
    quality: Quality = option(
        "standard", help="Of the video: draft is quick and small, high is for editing it further."
    )
    video_codec: VideoCodec = option(
        "auto", help="Codec of the pictures: h264 or hevc in .mp4 and .mov, vp9 in .webm; auto is the usual one."
    )
    audio_codec: AudioCodec = option(
        "auto",
        help="Codec of the audio: aac, alac, flac or opus in .mp4, aac, alac or pcm in .mov, opus in .webm; auto is "
        "the usual one. alac, flac and pcm lose nothing.",
    )
    background: str | None = option(
        None,
        help="What is behind the anchor instead of the clip's own background: transparent (.mov or .webm), a color "
        "such as #00b140 or white, or a picture or video file.",
        may_be_folder=True,
        metavar="transparent|COLOR|FILE",
    )
    visible_label: str | None = option(
        None, help="Short text to draw into a corner of every frame, such as AI-generated."
    )
    label_font: Path | None = option(None, help="Font file for the visible label; needed for other than Latin letters.")
    subtitle_stream: bool = option(
        False,
        help="Put subtitles into the video as a track that players show on demand. They need known words: a text "
        "that is spoken, or a transcript.",
    )
    burn_subtitles: bool = option(False, help="Draw subtitles into the frames.")
    subtitle_font: Path | None = option(
        None, help="Font file for subtitles in the frames; needed for other than Latin letters."
    )
    device: str = device_option()

    def __post_init__(self) -> None:
        check_options(self)
        if self.video_track is not None and self.clip is None:
            raise OptionError("video_track is of another clip; give that too, or leave it out.")
        if self.subtitle_font is not None and not self.burn_subtitles:
            raise OptionError("subtitle_font is for subtitles in the frames; ask for burn_subtitles too.")
        if self.has_alpha and self.burn_subtitles:
            raise OptionError("Subtitles are not drawn on a transparent background; take subtitle_stream or a file.")
        if self.has_alpha and self.video_codec != "auto":
            raise OptionError("A transparent background chooses the video codec: ProRes in .mov, VP9 in .webm.")
        if self.transcript is not None and self.phones is not None:
            raise OptionError("Give either a transcript or a table of phones, not both.")
        _ = self.preview_range, self.picture_size, self.named_background  # raise where the text cannot be read

    @property
    def voice_activity(self) -> VoiceActivityConfig:
        """When and how fast the mouth comes to rest where nobody speaks."""
        return VoiceActivityConfig(attack_ms=self.attack_ms, release_ms=self.release_ms)

    @property
    def leads(self) -> Leads:
        """Lead-in and lead-out: as given, else `LEAD_S`, or none where frames or expression come from another file,
        which have times of their own."""
        usual_s = LEAD_S if self.clip is None and self.expression is None else 0.0
        before_s, after_s = (usual_s if given_s is None else given_s for given_s in (self.lead_in, self.lead_out))
        return Leads(before_s, after_s)

    @property
    def preview_range(self) -> TimeRange | None:
        """The stretch of a preview; None makes the whole video."""
        return None if self.preview is None else parse_preview(self.preview)

    @property
    def picture_size(self) -> Size | None:
        """The wanted size of the picture; None is the clip's, or that of the crop."""
        return None if self.size is None else parse_size(self.size)

    @property
    def named_background(self) -> NamedBackground | None:
        """The background that is asked for; None leaves the clip's own."""
        return None if self.background is None else parse_background(self.background)

    @property
    def has_alpha(self) -> bool:
        """Whether the frames have an alpha channel."""
        return self.named_background == TRANSPARENT


class GenerationOptions(TypedDict, total=False):
    """The fields of `GenerationConfig` as keyword arguments, for type checkers; a test holds the two together."""

    clip: Path | None
    face: FaceChoice
    clip_range: ClipRange | None
    video_track: int | None
    audio_track: int | None
    expression: Path | None
    speech_encoder: str | None
    transcript: Path | None
    phones: Path | None
    voice_is_anchor: Literal["auto", "yes", "no"]
    intensity: float
    attack_ms: float
    release_ms: float
    lead_in: float | None
    lead_out: float | None
    preview: str | None
    aspect: Aspect | None
    size: str | None
    quality: Quality
    video_codec: VideoCodec
    audio_codec: AudioCodec
    background: str | None
    visible_label: str | None
    label_font: Path | None
    subtitle_stream: bool
    burn_subtitles: bool
    subtitle_font: Path | None
    device: str
