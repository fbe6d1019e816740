"""Reading a text of a known format, or of one that is recognized, into passages."""

from __future__ import annotations

import re

from talkinghead.text_to_speech.formats.markdown import read_markdown
from talkinghead.text_to_speech.formats.ssml import read_ssml
from talkinghead.text_to_speech.formats.subtitles import read_subtitles
from talkinghead.text_to_speech.passages import Document, Passage
from talkinghead.text_to_speech.phones import PhonedWords

FORMATS = ("auto", "plain", "markdown", "srt", "ssml")
"""Values of the option `text_format`."""

_SSML = re.compile(r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<speak[\s>]", re.DOTALL)
_SUBTITLES = re.compile(r"\s*(?:WEBVTT[^\n]*\n|\d+\s*\n\s*(?:\d+:)?\d{1,2}:\d{2}[,.]\d{1,3}\s*-->)")
_HEADING = re.compile(r"^ {0,3}#{1,6} +\S", re.MULTILINE)
_FENCE = re.compile(r"^ {0,3}(?:```|~~~)", re.MULTILINE)
_LINK = re.compile(r"!?\[[^\]\n]+\]\((?:https?://|/|\.|#|mailto:|[\w./-]+\.\w+)[^)\s]*\)")
_STRONG = re.compile(r"(?<![\w*])\*\*[^\s*][^*\n]*\*\*(?![\w*])|(?<![\w_])__[^\s_][^_\n]*__(?![\w_])")
_ITEM = re.compile(r"^ {0,3}[-*+] +\S", re.MULTILINE)
_TABLE = re.compile(r"^ {0,3}\|?[ :|-]*-{3,}[ :|-]*\|[ :|-]*$", re.MULTILINE)
_QUOTE = re.compile(r"^ {0,3}> \S", re.MULTILINE)
_FEW_ITEMS = 2
LOOKED_AT = 200_000
"""Number of characters from the start of a text that are looked at to recognize its format."""


def recognize(text: str) -> str:
    """Which format a text has: ssml, srt or markdown by marks that prose does not have, else plain."""
    start = text.removeprefix("\ufeff")[:LOOKED_AT].replace("\r\n", "\n")
    if _SSML.match(start):
        return "ssml"
    if _SUBTITLES.match(start):
        return "srt"
    marks = (_HEADING, _FENCE, _LINK, _STRONG, _TABLE, _QUOTE)
    if any(mark.search(start) for mark in marks) or len(_ITEM.findall(start)) >= _FEW_ITEMS:
        return "markdown"
    return "plain"


def read_document(text: str, text_format: str, language: str, words: PhonedWords) -> Document:
    """Read a text.

    Args:
        text: in the format.
        text_format: one of `FORMATS`.
        language: BCP 47 tag of the voice.
        words: gets the words whose phones the text gives.

    Raises:
        TextError: the text is not of the format.
    """
    found = recognize(text) if text_format == "auto" else text_format
    text = text.removeprefix("\ufeff")
    if found == "markdown":
        return read_markdown(text)
    if found == "srt":
        return read_subtitles(text)
    if found == "ssml":
        return read_ssml(text, language, words)
    return Document("plain", (Passage(text),))
