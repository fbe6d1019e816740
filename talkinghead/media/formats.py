"""What the containers of written videos hold: codecs of pictures, audio and text, by the suffix of the file's name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from talkinghead.errors import OutputError

VideoCodec = Literal["auto", "h264", "hevc", "vp9"]
"""Codec of the pictures; auto is the first that the container holds."""
AudioCodec = Literal["auto", "aac", "opus", "alac", "flac", "pcm"]
"""Codec of the audio; auto is the first that the container holds. alac, flac and pcm lose nothing."""


@dataclass(frozen=True)
class Format:
    """A container and what players expect in it; the first codec of each kind is the usual one."""

    video: tuple[VideoCodec, ...]
    audio: tuple[AudioCodec, ...]
    text: Literal["mov_text", "webvtt"]


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        ".mp4": Format(("h264", "hevc"), ("aac", "alac", "flac", "opus"), "mov_text"),
        ".m4v": Format(("h264",), ("aac", "alac"), "mov_text"),
        ".mov": Format(("h264", "hevc"), ("aac", "alac", "pcm"), "mov_text"),
        ".webm": Format(("vp9",), ("opus",), "webvtt"),
    }
)
"""By the suffix of the file's name."""

ALPHA_SUFFIXES = (".mov", ".webm")
"""Files that can hold an alpha channel: ProRes 4444 (16 bits) and VP9 (8 bits), colors straight in both."""


def check_alpha(path: Path) -> None:
    """Raise OutputError where a file of that suffix cannot hold an alpha channel."""
    suffix = path.suffix.lower()
    if suffix not in ALPHA_SUFFIXES:
        raise OutputError(
            f"{path}: {suffix} cannot hold a transparent background; end the name in .mov (ProRes 4444) or .webm (VP9)."
        )


def choose_codecs(path: Path, video: VideoCodec, audio: AudioCodec) -> tuple[VideoCodec, AudioCodec]:
    """The codecs of a video that is to be written.

    Raises:
        OutputError: the container does not hold a codec that is asked for.
    """
    suffix = path.suffix.lower()
    held = FORMATS[suffix]
    for kind, wanted, codecs in (("video", video, held.video), ("audio", audio, held.audio)):
        if wanted != "auto" and wanted not in codecs:
            others = [name for name, other in FORMATS.items() if wanted in (*other.video, *other.audio)]
            raise OutputError(
                f"{path}: {suffix} holds {kind} in {', '.join(codecs)}, not {wanted}, which {', '.join(others)} holds."
            )
    return (held.video[0] if video == "auto" else video), (held.audio[0] if audio == "auto" else audio)
