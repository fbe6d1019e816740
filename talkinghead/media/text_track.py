"""A track of timed text in a video file, which players show on demand: mov_text in MP4, WebVTT in WebM."""

from __future__ import annotations

import html
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

import av
from av.container import OutputContainer
from av.subtitles.codeccontext import SubtitleCodecContext

TICKS_HZ = 1000
LANGUAGES: Mapping[str, str] = MappingProxyType(
    {
        "ar": "ara", "cmn": "zho", "cs": "ces", "de": "deu", "el": "ell", "en": "eng", "es": "spa", "fi": "fin",
        "fr": "fra", "hi": "hin", "hu": "hun", "it": "ita", "ja": "jpn", "ko": "kor", "nl": "nld", "pl": "pol",
        "pt": "por", "ro": "ron", "ru": "rus", "sv": "swe", "tr": "tur", "uk": "ukr", "vi": "vie", "yue": "zho",
        "zh": "zho",
    }
)  # fmt: skip
"""Primary subtag of a language (BCP 47) -> its code in containers (ISO 639-2/T); others are not declared."""
_STYLE = b"""[Script Info]
ScriptType: v4.00+
PlayResX: 384
PlayResY: 288

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
"""What the encoder of mov_text makes its sample description of: white letters at the bottom."""


@dataclass(frozen=True)
class TimedText:
    """A text that is shown for some time."""

    start_s: float
    end_s: float
    text: str
    """Its lines are separated by \\n."""


@dataclass(frozen=True)
class TextTrack:
    """Texts in the order of time, which do not overlap."""

    texts: tuple[TimedText, ...]
    language: str = ""
    """BCP 47 tag; empty where it is not known."""


class TextTrackWriter:
    """Puts a text track into a container that is being written, beside its frames."""

    def __init__(self, track: TextTrack, codec: str) -> None:
        """Describe the track; `codec` is mov_text or webvtt."""
        self._waiting = deque(track.texts)
        self._language = LANGUAGES.get(track.language.lower().split("-")[0], "und")
        self._codec = codec

    def add_to(self, container: OutputContainer) -> None:
        """Add the stream to a container, before its header is written."""
        self._stream = container.add_stream(self._codec)
        encoder = self._stream.codec_context
        assert isinstance(encoder, SubtitleCodecContext)
        self._stream.time_base = encoder.time_base = Fraction(1, TICKS_HZ)
        encoder.subtitle_header = _STYLE
        encoder.open()
        self._stream.metadata["language"] = self._language

    def mux_until(self, container: OutputContainer, time_s: float) -> None:
        """Write the texts that are shown from `time_s` on or earlier."""
        while self._waiting and self._waiting[0].start_s <= time_s:
            text = self._waiting.popleft()
            # The encoders read ASS, in which braces and backslashes have a meaning; what they would write is simple.
            content = text.text.encode()
            if self._codec == "mov_text":
                packet = av.Packet(len(content).to_bytes(2, "big") + content)
            else:
                packet = av.Packet(html.escape(text.text, quote=False).encode())
            start, end = round(text.start_s * TICKS_HZ), round(text.end_s * TICKS_HZ)
            packet.stream = self._stream
            packet.time_base = Fraction(1, TICKS_HZ)
            packet.pts = packet.dts = start
            packet.duration = max(1, end - start)
            container.mux(packet)

    def mux_rest(self, container: OutputContainer) -> None:
        """Write what is left."""
        self.mux_until(container, float("inf"))
