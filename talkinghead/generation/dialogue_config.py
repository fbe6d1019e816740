"""The options of `dialogue`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from talkinghead.options.fields import check_options, option

NOT_FOR_DIALOGUES = (
    *("clip", "clip_range", "video_track", "audio_track", "expression", "transcript", "phones", "preview"),
)
"""Options of `GenerationConfig` that are of one anchor or one recording."""
MOST_SPEAKERS = {"cut": 16, "side": 4}
"""Number of anchors by layout."""


@dataclass(frozen=True)
class DialogueConfig:
    """How a dialogue is shown.

    Raises:
        OptionError: a field is not of its type or out of its range.
    """

    layout: Literal["cut", "side"] = option(
        "cut", help="Whether the picture cuts to whoever speaks, or shows all side by side, the others listening."
    )
    gap_ms: float = option(
        400.0, help="Pause from the last word of a turn to the first one of the next.", low=0, high=10_000, unit="ms"
    )

    def __post_init__(self) -> None:
        check_options(self)
