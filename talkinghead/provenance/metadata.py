"""Labels of AI-generated video: written into every output, and read back.

Three of them are on by default and machine-readable:

- container tags: `comment` in words, `DigitalSourceType` with IPTC's term, and `AIGC`, the implicit label of
  GB 45438-2025 as a JSON text;
- an XMP packet in the file (ISO 16684-1; in MP4 a `uuid` box) with `Iptc4xmpExt:DigitalSourceType`, where IPTC's Video
  Metadata Hub puts it, and the AI system with its version;
- on demand a signed C2PA manifest (`Signer`), which ties the label to these very bytes.

`VisibleLabel` draws a text for people. Labels are cut off by whoever wants to; a signed manifest at least tells that
nothing was changed since.
"""

from __future__ import annotations

import json
import os
import re
import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from xml.sax.saxutils import escape

from talkinghead import __version__
from talkinghead.errors import LabelError
from talkinghead.media.containers import read_tags
from talkinghead.provenance.c2pa import read_manifest
from talkinghead.provenance.origin import AI_SOURCE_TYPES, DIGITAL_SOURCE_TYPE, SENTENCE, Origin

_XMP_BOX = uuid.UUID("be7acfcb-97a9-42e8-9c71-999491e3afac").bytes
"""Type of the box that holds XMP in an ISO base media file (XMP specification, part 3)."""
_LARGEST_XMP_BYTES = 1 << 20
_LARGEST_BOXES = 10_000
_SOURCE_TYPE_IN_XMP = re.compile(rb"DigitalSourceType\s*(?:>|=\s*[\"'])\s*([^<\"'\s]{1,300})")


def tags(origin: Origin) -> dict[str, str]:
    """Container tags of an output. GB 45438-2025 wants the producer's own name or code: whoever publishes sets it."""
    implicit = {"Label": "1", "ContentProducer": f"talkinghead {__version__}", "ProduceID": origin.number}
    return {
        "comment": SENTENCE,
        "DigitalSourceType": DIGITAL_SOURCE_TYPE,
        "AIGC": json.dumps(implicit, separators=(",", ":")),
    }


def add_xmp(path: Path) -> None:
    """Append the XMP packet to a finished MP4 or QuickTime file; no offset in the file changes by it."""
    packet = _xmp_packet().encode()
    with path.open("ab") as file:
        file.write(struct.pack(">I4s", 8 + len(_XMP_BOX) + len(packet), b"uuid") + _XMP_BOX + packet)


def _xmp_packet() -> str:
    properties = {
        "Iptc4xmpExt:DigitalSourceType": DIGITAL_SOURCE_TYPE,
        "Iptc4xmpExt:AISystemUsed": "talkinghead",
        "Iptc4xmpExt:AISystemVersionUsed": __version__,
        "xmp:CreatorTool": f"talkinghead {__version__}",
    }
    lines = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in properties.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
        ' xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
        f' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">{lines}</rdf:Description></rdf:RDF>'
        '</x:xmpmeta><?xpacket end="r"?>'
    )


@dataclass(frozen=True)
class Labels:
    """What a file says about how it was made."""

    tags: dict[str, str]
    """Of the container, those that label."""
    digital_source_type: str | None
    """IPTC's term, from the XMP packet or else from the tags or the manifest."""
    manifest: dict[str, Any] | None
    """The C2PA manifest: `state` (Trusted, Valid, Invalid), `issuer`, `actions`, `origin`, `problems`; None if none."""
    notes: tuple[str, ...]
    """What could not be looked at, and why."""

    @property
    def ai_generated(self) -> bool:
        """Whether any of the labels says so."""
        return self.digital_source_type in AI_SOURCE_TYPES or "AI-generated" in self.tags.get("comment", "")

    @property
    def intact(self) -> bool:
        """Whether no manifest is there that does not fit the file."""
        return self.manifest is None or self.manifest["state"] != "Invalid"

    def as_json(self) -> dict[str, Any]:
        return {
            "ai_generated": self.ai_generated,
            "digital_source_type": self.digital_source_type,
            "tags": self.tags,
            "c2pa": self.manifest,
            "notes": list(self.notes),
        }


def read_labels(path: Path) -> Labels:
    """Look for every label that this module writes. Nothing is fetched from anywhere.

    Raises:
        MissingFileError, MediaError: no such file, or no media file.
    """
    found = {name: value for name, value in read_tags(path).items() if name in tags(Origin("", ""))}
    manifest, notes = None, []
    try:
        manifest = read_manifest(path)
    except LabelError as error:
        notes.append(str(error))
    declared = _source_type_in_xmp(path) or found.get("DigitalSourceType")
    if declared is None and manifest is not None:
        declared = next((action["digitalSourceType"] for action in manifest["actions"]), None)
    return Labels(found, declared, manifest, tuple(notes))


def _source_type_in_xmp(path: Path) -> str | None:
    with path.open("rb") as file:
        for kind, length in _top_boxes(file):
            if kind != b"uuid" or length < len(_XMP_BOX) or file.read(len(_XMP_BOX)) != _XMP_BOX:
                continue
            packet = file.read(min(length - len(_XMP_BOX), _LARGEST_XMP_BYTES))
            found = _SOURCE_TYPE_IN_XMP.search(packet)
            if found:
                return found[1].decode("ascii", "replace")
    return None


def _top_boxes(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Type and length of the content of each top-level box of an ISO base media file, the file standing before it."""
    end = file.seek(0, os.SEEK_END)
    position = 0
    for _ in range(_LARGEST_BOXES):
        file.seek(position)
        header = file.read(16)
        if len(header) < 8:
            return
        length, kind, start = int.from_bytes(header[:4]), header[4:8], 8
        if length == 1:
            length, start = int.from_bytes(header[8:16]), 16
        elif length == 0:
            length = end - position
        if length < start or position + length > end:
            return
        file.seek(position + start)
        yield kind, length - start
        position += length
