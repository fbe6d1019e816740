"""What a file is that is neither audio nor video, for an error that says what to do instead."""

from __future__ import annotations

from pathlib import Path

_PHOTOS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"8BPS": "Photoshop",
}
"""Formats of photos by their first bytes."""
_PHOTO_BRANDS = {b"heic": "HEIC", b"heix": "HEIC", b"heim": "HEIC", b"mif1": "HEIF", b"avif": "AVIF"}
"""Brands of ISO/IEC 23008-12 and AVIF at byte 8; FFmpeg takes such a photo for a video of one frame."""
_MOTION_JPEG_SUFFIXES = (".mjpeg", ".mjpg")
"""Files that begin as a JPEG photo, and are videos."""
_TEXT_HEADED = (b"YUV4MPEG2", b"#!AMR")
"""Media files that begin with text."""
_DOCUMENTS = {
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive or an office document",
    b"{\\rtf": "a text document",
}
_HEAD = 4096
"""Bytes that are looked at."""


def other_kind(path: Path) -> str | None:
    """What a file is, with what to do about it, where its first bytes show that it is no audio or video file.

    Args:
        path: a file that exists.

    Returns:
        A clause that goes on from the file's name: "is a photo (JPEG): ..."; None where it may be media.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    photo = _photo(head)
    if photo and path.suffix.lower() not in _MOTION_JPEG_SUFFIXES:
        return f"is a photo ({photo}): give a video of the person talking as clip, an audio or video file as speech"
    for start, name in _DOCUMENTS.items():
        if head.startswith(start):
            return f"is {name}: give an audio or video file; a text to be spoken goes with --text-file, as plain text"
    if head.startswith(_TEXT_HEADED) or not _is_text(head):
        return None
    content = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if content.startswith((b"<!doctype html", b"<html")):
        return "is a web page, not the video on it: download the video itself"
    if content.startswith(b"#extm3u"):
        return "is a playlist, not a video: give the audio or video file itself"
    return "is a text: give an audio or video file, or have the text spoken with --text-file"


def _photo(head: bytes) -> str | None:
    """Format of the photo that begins with these bytes."""
    if head[4:8] == b"ftyp":
        return _PHOTO_BRANDS.get(head[8:12])
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[:2] == b"BM" and head[6:10] != bytes(4):  # two letters alone are too little; these bytes are reserved
        return None
    return next((name for start, name in _PHOTOS.items() if head.startswith(start)), None)


def _is_text(head: bytes) -> bool:
    """Whether these bytes are text in UTF-8 or UTF-16."""
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    try:
        # The last character may be cut.
        text = head[: len(head) & ~1].decode(encoding) if encoding == "utf-16" else head.decode(encoding)
    except UnicodeDecodeError as error:
        if len(head) < _HEAD or error.start < len(head) - 4:
            return False
        text = head[: error.start].decode(encoding)
    return bool(text) and all(character.isprintable() or character in "\t\r\n\f\ufeff" for character in text)
