"""Machine-readable statements in every output that it is AI-generated: container tags and an XMP packet.

- Tags: `comment` in words, `DigitalSourceType` with IPTC's term, and `AIGC`, the implicit label of GB 45438-2025, as a
  JSON text.
- XMP (ISO 16684-1; in MP4 a `uuid` box): `Iptc4xmpExt:DigitalSourceType`, where IPTC's Video Metadata Hub puts it, and
  the AI system with its version.

Anybody can remove them; only a signed manifest (`c2pa`) shows that a file was not changed since.
"""

from __future__ import annotations

import json
import os
import re
import struct
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from xml.sax.saxutils import escape

from talkinghead import __version__
from talkinghead.provenance.origin import COMMENT, DIGITAL_SOURCE_TYPE, Origin

TAGS = ("comment", "DigitalSourceType", "AIGC")
"""Names of the container tags that say how a file was made."""
_XMP_BOX = uuid.UUID("be7acfcb-97a9-42e8-9c71-999491e3afac").bytes
"""Type of the box that holds XMP in an ISO base media file (XMP specification, part 3)."""
_MAX_XMP_BYTES = 1 << 20
"""How much of an XMP packet is read."""
_MAX_BOXES = 10_000
"""How many boxes of a file are looked at."""
_SOURCE_TYPE_IN_XMP = re.compile(rb"DigitalSourceType\s*(?:>|=\s*[\"'])\s*([^<\"'\s]{1,300})")
"""The property's value, whether XMP writes it as an element or as an attribute."""


def container_tags(origin: Origin) -> dict[str, str]:
    """Container tags of an output, by name.

    GB 45438-2025 asks for the name or code of the producer: whoever publishes the output replaces `ContentProducer`.
    """
    implicit = {"Label": "1", "ContentProducer": f"talkinghead {__version__}", "ProduceID": origin.identifier}
    return dict(zip(TAGS, (COMMENT, DIGITAL_SOURCE_TYPE, json.dumps(implicit, separators=(",", ":"))), strict=True))


def append_xmp(path: Path) -> None:
    """Append the XMP packet to a complete MP4 or QuickTime file; at its end it changes no offset in the file.

    WebM has no place for XMP, and stays as it is: its tags say the same.

    Raises:
        OSError: the file cannot be written.
    """
    if path.suffix.lower() == ".webm":
        return
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


def read_source_type(path: Path) -> str | None:
    """IPTC's digital source type (an address) in the XMP packet of an MP4 or QuickTime file; None if there is none.

    The file is not trusted: any content is read in bounded time and memory, and damage reads as "none".

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        for kind, length in _top_boxes(file):
            if kind != b"uuid" or length < len(_XMP_BOX) or file.read(len(_XMP_BOX)) != _XMP_BOX:
                continue
            packet = file.read(min(length - len(_XMP_BOX), _MAX_XMP_BYTES))
            found = _SOURCE_TYPE_IN_XMP.search(packet)
            if found:
                return found[1].decode("ascii", "replace")
    return None


def _top_boxes(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Type and content length in bytes of each top-level box of an ISO base media file (ISO/IEC 14496-12, 4.2).

    Each time the file stands at the start of the content. A box that reaches beyond the end of the file ends the walk.
    """
    end = file.seek(0, os.SEEK_END)
    position = 0
    for _ in range(_MAX_BOXES):
        file.seek(position)
        header = file.read(16)
        if len(header) < 8:
            return
        length, kind, start = int.from_bytes(header[:4]), header[4:8], 8
        if length == 1:  # the length follows in 64 bits
            length, start = int.from_bytes(header[8:16]), 16
        elif length == 0:  # the last box, up to the end of the file
            length = end - position
        if length < start or position + length > end:
            return
        file.seek(position + start)
        yield kind, length - start
        position += length
