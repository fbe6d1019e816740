"""What an output was made from, and the standard terms that say so."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from talkinghead import __version__

COMMENT = "AI-generated: the lower face was synthesised by talkinghead"
"""The same in words, for a container's `comment` tag."""
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
"""IPTC's vocabulary of digital source types; each of its terms is this address with a name appended."""
DIGITAL_SOURCE_TYPE = SOURCE_TYPES + "compositeWithTrainedAlgorithmicMedia"
"""IPTC's term for the outputs: real media, here a clip's frames, into which generative AI has put something."""
AI_SOURCE_TYPES = frozenset(
    SOURCE_TYPES + term
    for term in ("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "compositeSynthetic")
)
"""All of IPTC's terms for media that AI made, or made in part."""


@dataclass(frozen=True)
class Origin:
    """What an output was made from."""

    anchor_sha256: str
    """Hexadecimal, of the anchor's network weights."""
    speech_sha256: str
    """Hexadecimal, of the audio file that drives the video."""

    @property
    def identifier(self) -> str:
        """A UUID, the same for the same anchor, speech and version of talkinghead."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{__version__}/{self.anchor_sha256}/{self.speech_sha256}"))
