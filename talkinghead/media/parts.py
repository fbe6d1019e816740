"""Files that are several files one after the other: where each begins, and reading one of them by itself.

Recorders and `cat` join recordings by appending the bytes. FFmpeg reads the first of them, or two, or all by one clock
and one set of codec parameters, depending on the format. Each part is opened here as the file that it was.
"""

from __future__ import annotations

import functools
import io
import itertools
import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_CLOCK_STEP_S = 60.0
"""Seconds. A larger jump of timestamps is a clock that began anew, not a gap."""
_EBML, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
"""Matroska elements, RFC 9559: the header that begins a file, the body, and a group of blocks in it."""
_FLAC_HEAD = b"fLaC\x00\x00\x00\x22"
"""The marker of FLAC, RFC 9639, and the head of the first metadata block, which always has 34 bytes."""
_FLAC_LAST_HEAD = b"fLaC\x80\x00\x00\x22"
"""The same where there is no other metadata block."""
_TS_PACKET = 188
"""Bytes of a packet of an MPEG transport stream, ISO/IEC 13818-1."""
_TS_PROGRAMS = 0x00
"""Packet identifier of the table of programs."""
_TS_TABLE_PIDS = (_TS_PROGRAMS, 0x11)
"""Packet identifiers of the tables that a transport stream begins with: programs, and their description."""
_TS_TABLES = 8
"""Most packets of tables before the first packet of a recording."""
_PS_PACK = b"\x00\x00\x01\xba"
"""What each pack of an MPEG program stream begins with, ISO/IEC 13818-1."""
_LONGEST_PS_PACK = 4096
"""Most bytes between the head of a pack and the first packet in it."""


@dataclass(frozen=True)
class Part:
    """One of the files that a file consists of."""

    path: Path
    ranges: tuple[tuple[int, int], ...]
    """Begin and end in bytes of the stretches that make it up."""
    changed_ns: int
    """When the file was last written to, so that what is known of a part is not taken for that of a new file."""


def find_parts(path: Path) -> tuple[Part, ...]:
    """The parts of a file whose format is known to be appended to itself; one for any other file.

    Formats: Matroska and WebM, Ogg, FLAC, FLV, WAV and AVI, MP4 and MOV. Transport streams have no header: see
    `parts_at`.
    """
    stat = path.stat()
    return _find_parts(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _find_parts(path: Path, size: int, changed_ns: int) -> tuple[Part, ...]:
    if not path.is_file() or size < 64:
        return (Part(path, ((0, size),), changed_ns),)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        begins = [0, *_begins(data)]
    ends = [*begins[1:], size]
    return tuple(Part(path, ((begin, end),), changed_ns) for begin, end in zip(begins, ends, strict=True))


def _begins(data: mmap.mmap) -> Iterator[int]:
    """Where parts after the first begin, in bytes."""
    head = data[:12]
    if head[:4] == _EBML.to_bytes(4, "big"):
        return _matroska_begins(data)
    if head[:4] == b"OggS":
        return _ogg_begins(data)
    if head[:4] == b"fLaC":
        return _flac_begins(data)
    if head[:4] == b"FLV\x01":
        return _flv_begins(data)
    if head[:4] in (b"RIFF", b"RF64"):
        return _riff_begins(data)
    if head[4:8] == b"ftyp":
        return _mp4_begins(data)
    return iter(())


def _matroska_begins(data: mmap.mmap) -> Iterator[int]:
    """EBML headers. Bodies and clusters of unknown size, as live recorders write, are walked element by element."""
    position = 0
    while position < len(data):
        element, length = _vint(data, position, keep_marker=True)
        size, size_length = _vint(data, position + length, keep_marker=False)
        if not length or not size_length:
            return
        if element == _EBML and position:
            yield position
        is_unknown = size == (1 << 7 * size_length) - 1
        if is_unknown and element not in (_SEGMENT, _CLUSTER):
            return
        position += length + size_length + (0 if is_unknown else size)


def _vint(data: mmap.mmap, position: int, *, keep_marker: bool) -> tuple[int, int]:
    """A number of variable length, RFC 8794, and its length in bytes; (0, 0) where there is none."""
    if position >= len(data) or data[position] == 0:
        return 0, 0
    length = 9 - data[position].bit_length()
    value = int.from_bytes(data[position : position + length], "big")
    return (value if keep_marker else value & (1 << 7 * length) - 1), length


def _ogg_begins(data: mmap.mmap) -> Iterator[int]:
    """Pages that begin a logical stream, RFC 3533, after pages that do not."""
    position, after_content = 0, False
    while 0 <= position <= len(data) - 27:
        if data[position : position + 4] != b"OggS":
            position = data.find(b"OggS", position)  # damaged: go on with the next page
            continue
        is_first = bool(data[position + 5] & 2)
        if is_first and after_content:
            yield position
        after_content = not is_first
        table = data[position + 27 : position + 27 + data[position + 26]]
        position += 27 + len(table) + sum(table)


def _flac_begins(data: mmap.mmap) -> Iterator[int]:
    """Markers with a first metadata block of plausible content."""
    position = 4
    while True:
        found = [at for head in (_FLAC_HEAD, _FLAC_LAST_HEAD) if (at := data.find(head, position)) >= 0]
        if not found:
            return
        position = min(found)
        least, most = struct.unpack(">HH", data[position + 8 : position + 12].ljust(4, b"\0"))
        if 16 <= least <= most:
            yield position
        position += 4


def _flv_begins(data: mmap.mmap) -> Iterator[int]:
    """Headers where a tag is expected; each is followed by the length of no tag, 4 bytes."""
    position = 9 + 4
    while position + 11 <= len(data):
        if data[position : position + 4] == b"FLV\x01":
            yield position
            position += 9 + 4
            continue
        if data[position] & 0x1F not in (8, 9, 18):  # audio, video, script
            return
        position += 11 + int.from_bytes(data[position + 1 : position + 4], "big") + 4


def _riff_begins(data: mmap.mmap) -> Iterator[int]:
    """Chunks of a whole file; `RIFF AVIX` goes on with the AVI file before it."""
    position = 0
    while position + 12 <= len(data) and data[position : position + 4] == b"RIFF":
        if position and data[position + 8 : position + 12] in (b"WAVE", b"AVI "):
            yield position
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        position += 8 + size + size % 2


def _mp4_begins(data: mmap.mmap) -> Iterator[int]:
    """Boxes `ftyp`, ISO/IEC 14496-12, after a box `moov`."""
    position, has_index = 0, False
    while position + 8 <= len(data):
        size, kind = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        if size == 1:
            size = int.from_bytes(data[position + 8 : position + 16], "big")
        if size < 8:
            return
        if kind == b"ftyp" and has_index:
            yield position
            has_index = False
        has_index |= kind == b"moov"
        position += size


def parts_at(path: Path, positions: list[int]) -> tuple[Part, ...]:
    """Parts of a transport or program stream that begin at positions, in bytes, where its clock begins anew.

    A part begins with the tables before its first packet. Where there are none, as its clock was reset without a new
    file, those of the file's beginning are put before it.
    """
    stat = path.stat()
    begins: list[tuple[int, tuple[tuple[int, int], ...]]] = [(0, ())]
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for position in positions:
            begins.append(_with_tables(data, position))
    ends = [*(begin for begin, _ in begins[1:]), stat.st_size]
    return tuple(
        Part(path, (*tables, (begin, end)), stat.st_mtime_ns) for (begin, tables), end in zip(begins, ends, strict=True)
    )


def _with_tables(data: mmap.mmap, position: int) -> tuple[int, tuple[tuple[int, int], ...]]:
    """Where a part begins whose first packet is at `position`, and the stretches of tables to put before it."""
    if not is_transport_stream(data[: 3 * _TS_PACKET]):
        pack = data.rfind(_PS_PACK, max(0, position - _LONGEST_PS_PACK), position + len(_PS_PACK))
        return pack if pack > 0 else position, ()
    before = range(position - _TS_PACKET, max(0, position - (_TS_TABLES + 1) * _TS_PACKET), -_TS_PACKET)
    programs = next((at for at in before if _pid(data, at) == _TS_PROGRAMS), None)
    tables = _TS_TABLE_PIDS if programs is None else (*_TS_TABLE_PIDS, _map_pid(data, programs))
    own = list(itertools.takewhile(lambda at: _pid(data, at) in tables, before))
    if programs in own:
        return own[-1], ()
    packets = range(0, len(data) - _TS_PACKET, _TS_PACKET)
    programs = next((at for at in packets if _pid(data, at) == _TS_PROGRAMS), None)
    if programs is None:
        return position, ()
    map_at = next((at for at in packets if _pid(data, at) == _map_pid(data, programs)), programs)
    return position, ((programs, programs + _TS_PACKET), (map_at, map_at + _TS_PACKET))


def _map_pid(data: mmap.mmap, programs: int) -> int:
    """Packet identifier of the first program's map, by the packet of the programs' table at that position."""
    return int.from_bytes(data[programs + 15 : programs + 17], "big") & 0x1FFF


def _pid(data: mmap.mmap, position: int) -> int:
    """Packet identifier of a packet of a transport stream."""
    return int.from_bytes(data[position + 1 : position + 3], "big") & 0x1FFF


def is_transport_stream(head: bytes) -> bool:
    """Whether a file that begins with these bytes, three packets, is an MPEG transport stream."""
    return len(head) >= 2 * _TS_PACKET + 1 and all(head[at] == 0x47 for at in (0, _TS_PACKET, 2 * _TS_PACKET))


def is_program_stream(head: bytes) -> bool:
    """Whether a file that begins with these bytes is an MPEG program stream."""
    return head[:4] == _PS_PACK


class PartFile(io.RawIOBase):
    """A part as an open binary file, for reading."""

    def __init__(self, parts: tuple[Part, ...], number: int) -> None:
        """Open part `number` of `parts`."""
        super().__init__()
        self.parts, self.number = parts, number
        self.name = f"file:{parts[number].path}"
        self._file = parts[number].path.open("rb")
        self._ranges = parts[number].ranges
        self._size = sum(end - begin for begin, end in self._ranges)
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, from one stretch."""
        skipped = self._position
        for begin, end in self._ranges:
            if skipped < end - begin:
                left = end - begin - skipped
                self._file.seek(begin + skipped)
                content = self._file.read(left if size < 0 else min(size, left))
                self._position += len(content)
                return content
            skipped -= end - begin
        return b""

    def close(self) -> None:
        self._file.close()
        super().close()
