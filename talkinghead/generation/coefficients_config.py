"""The options of `coefficients`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from talkinghead.options.fields import check_options, device_option, option
from talkinghead.structures import FaceChoice


@dataclass(frozen=True)
class CoefficientsConfig:
    """How the coefficients of a source are found, and in which format they are written.

    Raises:
        OptionError: a field is not of its type or out of its range.
    """

    format: Literal["expression", "live-link-face", "audio2face", "lam"] | None = option(
        None,
        help="Format of the file: expression (.safetensors, .csv), or ARKit weights as live-link-face (.csv), "
        "audio2face (.csv) or lam (.json). By default lam for .json, else expression.",
    )
    read_as: Literal["auto", "speech", "video"] = option(
        "auto",
        help="Whether the coefficients of a video are measured in its pictures (video) or predicted from its audio "
        "(speech); auto measures where there are pictures.",
    )
    face: FaceChoice = option(
        "largest",
        help="Face to use where a video shows several: largest, left, right, or its number from the left, from 0.",
    )
    voice_is_anchor: Literal["auto", "yes", "no"] = option(
        "auto",
        help="Whether SPEECH is the anchor's own voice; auto is yes for the audio of the anchor's own clip alone.",
    )
    speech_encoder: str | None = option(
        None,
        help="Folder, or name in the local Hugging Face cache, of another speech encoder of the wav2vec2 family.",
        may_be_folder=True,
    )
    device: str = device_option()

    def __post_init__(self) -> None:
        check_options(self)
