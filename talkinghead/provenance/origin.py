"""What an output was made from, and the terms that say so."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from talkinghead import __version__

SENTENCE = "AI-generated: the lower face was synthesised by talkinghead"
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
DIGITAL_SOURCE_TYPE = SOURCE_TYPES + "compositeWithTrainedAlgorithmicMedia"
"""IPTC's term for existing media into which generative AI has put something: here a lower face into filmed frames."""
AI_SOURCE_TYPES = frozenset(
    SOURCE_TYPES + term
    for term in ("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "compositeSynthetic")
)


@dataclass(frozen=True)
class Origin:
    """What an output was made from."""

    anchor_sha256: str
    """Hexadecimal, of the anchor's network weights."""
    speech_sha256: str
    """Hexadecimal, of the sound file."""

    @property
    def number(self) -> str:
        """One and the same for the same anchor, speech and version."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{__version__}/{self.anchor_sha256}/{self.speech_sha256}"))
