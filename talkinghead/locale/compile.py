"""Compiles the catalogs of messages: `python -m talkinghead.locale.compile` writes each `.mo` beside its `.po`.

The format is that of GNU gettext, of which entries of one line or more with msgid and msgstr are read: no plurals, no
contexts.
"""

from __future__ import annotations

import ast
import struct
import sys
from pathlib import Path

from talkinghead.locale.messages import FOLDER

MAGIC = 0x950412DE


def read_po(path: Path) -> dict[str, str]:
    """Translations by their English messages; the entry of the empty message is the header.

    Raises:
        ValueError: a line is none of the format, or a message comes twice.
    """
    messages: dict[str, str] = {}
    parts: dict[str, str] = {}
    keyword = ""
    for number, line in enumerate([*path.read_text("utf-8").splitlines(), ""], 1):
        if line.startswith("#"):
            continue
        if not line.strip():
            if parts:
                if parts["msgid"] in messages:
                    raise ValueError(f"{path.name}, line {number}: {parts['msgid']!r} comes twice")
                messages[parts["msgid"]] = parts["msgstr"]
            parts = {}
            continue
        first, _, rest = line.partition(" ")
        if first in ("msgid", "msgstr"):
            keyword, line = first, rest
        if not line.startswith('"') or not keyword:
            raise ValueError(f"{path.name}, line {number}: {line!r} is no line of an entry")
        parts[keyword] = parts.get(keyword, "") + ast.literal_eval(line)
    return messages


def compiled(messages: dict[str, str]) -> bytes:
    """The content of a `.mo` file."""
    pairs = sorted((message.encode(), text.encode()) for message, text in messages.items())
    start = 28 + 16 * len(pairs)
    tables: list[list[int]] = [[], []]
    content = bytearray()
    for column in (0, 1):
        for pair in pairs:
            tables[column] += [len(pair[column]), start + len(content)]
            content += pair[column] + b"\0"
    header = struct.pack("<7I", MAGIC, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    return header + struct.pack(f"<{4 * len(pairs)}I", *tables[0], *tables[1]) + bytes(content)


def main() -> int:
    """Compile every catalog."""
    for path in sorted(FOLDER.rglob("*.po")):
        path.with_suffix(".mo").write_bytes(compiled(read_po(path)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
