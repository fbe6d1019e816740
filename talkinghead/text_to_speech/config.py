"""The options of speech: format of the text, speed, pauses, pronunciations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from talkinghead.options.fields import check_options, option
from talkinghead.text_to_speech.pronunciation import Pronunciations, read_pronunciations


@dataclass(frozen=True)
class SpeakingConfig:
    """How a text is read and spoken.

    The commands `speak` and `generate` have an option for every field.

    Raises:
        OptionError: a field is not of its type or out of its range.
    """

    text_format: Literal["auto", "plain", "markdown", "srt", "ssml"] = option(
        "auto",
        help="Format of the text: plain, markdown (read as prose), srt (subtitles, spoken at their times) or ssml; "
        "auto recognizes it.",
    )
    speed: float = option(1.0, help="Factor on the voice's usual speed of speech.", low=0.5, high=2)
    pause_ms: float = option(
        600.0,
        help="Pause between two sentences; those between paragraphs and inside long sentences change with it.",
        low=0,
        high=10_000,
        unit="ms",
    )
    pronunciation: Path | None = option(
        None,
        help="Text file of pronunciations, one a line: word = other spelling, or word = /phones/ in IPA or pinyin.",
    )

    def __post_init__(self) -> None:
        check_options(self)

    def read_pronunciations(self) -> Pronunciations:
        """The table of pronunciations; empty where none is given.

        Raises:
            MissingFileError, TextError: as `pronunciation.read_pronunciations` raises them.
        """
        return Pronunciations() if self.pronunciation is None else read_pronunciations(self.pronunciation)
