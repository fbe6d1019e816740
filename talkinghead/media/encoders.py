"""Video and audio encoders of written files, by the file's suffix and whether the pictures have an alpha channel.

.mp4, .m4v, .mov: H.264 (yuv420p) and AAC. .mov with alpha: ProRes 4444 (yuva444p10le, alpha of 16 bits). .webm: VP9
(yuv420p, or yuva420p with alpha, which is a second VP9 stream inside each block) and Opus. Colors are straight, not
multiplied by alpha: browsers take WebM so, and editors ask about ProRes or take it so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from talkinghead.errors import OutputError
from talkinghead.structures import Quality

ALPHA_SUFFIXES = (".mov", ".webm")
"""Files that can hold an alpha channel."""
WEBM = ".webm"
VP9_MORE_CRF = 10
"""VP9's constant rate factor, of 63, for the quality of x264's, of 51: so much more."""
VP9_SPEEDS: Mapping[str, int] = MappingProxyType(
    {"ultrafast": 8, "superfast": 8, "veryfast": 8, "faster": 7, "fast": 6, "medium": 5}
)
"""libvpx's cpu-used for x264's presets; 4 for slower ones."""


@dataclass(frozen=True)
class EncoderSettings:
    """Settings of the video encoder."""

    crf: int = 18
    """Constant rate factor of libx264, 0 (lossless) to 51 (worst); 18 looks like the source."""
    preset: str = "veryfast"
    """x264's trade of encoding time against file size: "ultrafast" to "veryslow"."""
    has_alpha: bool = False
    """Whether the frames have an alpha channel, which is written."""


QUALITIES: Mapping[Quality, EncoderSettings] = MappingProxyType(
    {
        "draft": EncoderSettings(crf=30, preset="superfast"),
        "standard": EncoderSettings(),
        "high": EncoderSettings(crf=12, preset="medium"),
    }
)
"""Settings for looking at once, for most uses, and for what is edited and encoded again.

`benchmarks/encoder_quality.py` measures them."""


@dataclass(frozen=True)
class Encoder:
    """One video encoder of FFmpeg, with all that it is told, and the audio encoder beside it."""

    name: str
    pixel_format: str
    options: Mapping[str, str]
    audio: str
    """Name of the audio encoder."""
    is_webm: bool


def encoder_for(path: Path, settings: EncoderSettings) -> Encoder:
    """The encoder of a file.

    Raises:
        OutputError: a file of that suffix cannot hold an alpha channel.
    """
    suffix = path.suffix.lower()
    if settings.has_alpha and suffix not in ALPHA_SUFFIXES:
        raise OutputError(
            f"{path}: {suffix} cannot hold a transparent background; end the name in .mov (ProRes 4444) or .webm (VP9)."
        )
    if suffix == WEBM:
        return Encoder("libvpx-vp9", "yuva420p" if settings.has_alpha else "yuv420p", _vp9(settings), "libopus", True)
    if settings.has_alpha:
        return Encoder("prores_ks", "yuva444p10le", {"profile": "4444", "vendor": "apl0"}, "aac", False)
    # swscale puts chroma between two columns; untagged, decoders take it to lie on the left one, half a pixel off.
    options = {"crf": str(settings.crf), "preset": settings.preset, "chroma_sample_location": "center"}
    return Encoder("libx264", "yuv420p", options, "aac", False)


def _vp9(settings: EncoderSettings) -> dict[str, str]:
    """Options of libvpx-vp9. Frames that are not shown (alt-ref) would get out of step with the alpha stream."""
    return {
        "crf": str(min(63, settings.crf + VP9_MORE_CRF)),
        "b": "0",
        "deadline": "realtime",
        "cpu-used": str(VP9_SPEEDS.get(settings.preset, 4)),
        "row-mt": "1",
        "auto-alt-ref": "0",
        "lag-in-frames": "0",
    }
