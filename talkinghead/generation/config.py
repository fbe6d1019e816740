"""The options of `generate`."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from talkinghead.face.landmarks import FaceChoice
from talkinghead.speech.voice_activity import VoiceActivityConfig

LARGEST_INTENSITY = 3.0


class Driving(TypedDict, total=False):
    """How an anchor is driven; every item may be left out."""

    clip: Path | None
    """Another clip of the same person, to take frames from one for one; None takes the anchor's own clip, forth and
    back as long as the speech lasts."""
    face: FaceChoice
    """Which face, where that clip or the video given as `expression` shows several; "largest" by default."""
    expression: Path | None
    """Coefficients from a .safetensors or .csv file, or measured from a video; None predicts them from the speech."""
    device: str
    """auto (by default), cpu or cuda."""
    speech_encoder: str | None
    """Folder of another encoder, with the predictor that was taught for it inside; or the cached hub name of one that
    the default predictor was taught for."""
    intensity: float
    """How far the mouth moves away from the anchor's rest, 0 to 3; 1, the default, is the anchor's own way."""
    pauses: VoiceActivityConfig | None
    """When and how fast the mouth comes to rest where nobody speaks; None is as `VoiceActivityConfig` says."""
    visible_label: str | None
    """A short text to draw into a corner of every frame."""
    label_font: Path | None
    """Font of that text; needed where it has other than Latin letters."""
