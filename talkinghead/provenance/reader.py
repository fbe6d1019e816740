"""What any media file says about how it was made, read from its container tags, XMP and C2PA manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talkinghead.errors import LabelError
from talkinghead.media.containers import read_tags
from talkinghead.provenance.c2pa import read_manifest
from talkinghead.provenance.metadata import TAGS, read_source_type
from talkinghead.provenance.origin import AI_SOURCE_TYPES


@dataclass(frozen=True)
class Provenance:
    """What a file says about how it was made."""

    tags: dict[str, str]
    """Container tags by name, only those in `metadata.TAGS`."""
    digital_source_type: str | None
    """IPTC's term (an address), from the XMP packet, else from the tags, else from the manifest; None if in none."""
    manifest: dict[str, Any] | None
    """The C2PA manifest, as `c2pa.read_manifest` returns it; None if there is none, or it cannot be read."""
    notes: tuple[str, ...]
    """What could not be read, and why."""

    @property
    def ai_generated(self) -> bool:
        """Whether the file says anywhere that it is AI-generated."""
        return self.digital_source_type in AI_SOURCE_TYPES or "AI-generated" in self.tags.get("comment", "")

    @property
    def intact(self) -> bool:
        """False if there is a manifest and the file was changed after it was signed."""
        return self.manifest is None or self.manifest["state"] != "Invalid"

    def as_json(self) -> dict[str, Any]:
        """The same as values that JSON has."""
        return {
            "ai_generated": self.ai_generated,
            "digital_source_type": self.digital_source_type,
            "tags": self.tags,
            "c2pa": self.manifest,
            "notes": list(self.notes),
        }


def read_provenance(path: Path) -> Provenance:
    """Read what a file says about how it was made. Nothing is fetched from the network.

    Raises:
        MissingFileError, MediaError: there is no such file, or it is not a media file.
    """
    known = {name.lower(): name for name in TAGS}  # WebM has the names in capitals
    tags = {known[name.lower()]: value for name, value in read_tags(path).items() if name.lower() in known}
    manifest, notes = None, []
    try:
        manifest = read_manifest(path)
    except LabelError as error:
        notes.append(str(error))
    source_type = read_source_type(path) or tags.get("DigitalSourceType")
    if source_type is None and manifest is not None:
        source_type = next((action["digitalSourceType"] for action in manifest["actions"]), None)
    return Provenance(tags, source_type, manifest, tuple(notes))
