"""The options of `generate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict

from talkinghead.errors import CoefficientError, OptionError
from talkinghead.options.fields import check_options, device_option, option
from talkinghead.speech.voice_activity import VoiceActivityConfig
from talkinghead.structures import ClipRange, FaceChoice


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
    expression: Path | None = option(
        None,
        help="File of expression coefficients (.safetensors, .csv), or video to measure them in, instead of predicting "
        "them from the speech.",
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
    visible_label: str | None = option(
        None, help="Short text to draw into a corner of every frame, such as AI-generated."
    )
    label_font: Path | None = option(None, help="Font file for the visible label; needed for other than Latin letters.")
    device: str = device_option()

    def __post_init__(self) -> None:
        check_options(self)
        if self.transcript is not None and self.phones is not None:
            raise OptionError("Give either a transcript or a table of phones, not both.")

    @property
    def voice_activity(self) -> VoiceActivityConfig:
        """When and how fast the mouth comes to rest where nobody speaks."""
        return VoiceActivityConfig(attack_ms=self.attack_ms, release_ms=self.release_ms)


class GenerationOptions(TypedDict, total=False):
    """The fields of `GenerationConfig` as keyword arguments, for type checkers; a test holds the two together."""

    clip: Path | None
    face: FaceChoice
    clip_range: ClipRange | None
    expression: Path | None
    speech_encoder: str | None
    transcript: Path | None
    phones: Path | None
    voice_is_anchor: Literal["auto", "yes", "no"]
    intensity: float
    attack_ms: float
    release_ms: float
    visible_label: str | None
    label_font: Path | None
    device: str
