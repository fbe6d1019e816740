"""Markdown (CommonMark, with tables and strikethrough) as prose, by markdown-it-py (MIT).

Headings, items of lists and rows of tables become sentences; of links and images the text is read; blocks of code are
left out, and counted.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from talkinghead.text_to_speech.passages import Document, Passage

if TYPE_CHECKING:
    from markdown_it.token import Token

_FRONT_MATTER = re.compile(r"\A---\n(?:[\w-]+:.*\n|[ \t-].*\n)+---\n")
_TAG = re.compile(r"<!--.*?-->|</?[A-Za-z][^>]*>", re.DOTALL)
_ENDED = re.compile(r"[.!?…:;,。！？：；，][\"'”’」』)）]*$")
_HAN_LAST = re.compile(r"[\u3400-\u9fff][\"'”’」』)）]*$")


def read_markdown(text: str) -> Document:
    """Read a text in Markdown."""
    from markdown_it import MarkdownIt

    body = _FRONT_MATTER.sub("", text.replace("\r\n", "\n"))
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(body)
    reader = _Reader()
    for token in tokens:
        reader.read(token)
    unused = ("Markdown front matter",) if body != text.replace("\r\n", "\n") else ()
    return Document(
        "markdown", (Passage("\n\n".join(reader.paragraphs)),), tuple(reader.left_out), without_effect=unused
    )


class _Reader:
    """Collects the paragraphs of a document from its tokens."""

    def __init__(self) -> None:
        self.paragraphs: list[str] = []
        self.left_out: list[str] = []
        self._numbers: list[int | None] = []
        """For each list that is open, the number of its next item; None for one without numbers."""
        self._label = ""
        """Of the list's item that begins."""
        self._row: list[str] | None = None
        """Cells of the row of a table that is open."""

    def read(self, token: Token) -> None:
        """Take one token of the document's stream."""
        kind = token.type
        if kind in ("ordered_list_open", "bullet_list_open"):
            start = token.attrGet("start")
            self._numbers.append(int(start or 1) if kind.startswith("ordered") else None)
        elif kind in ("ordered_list_close", "bullet_list_close"):
            self._numbers.pop()
        elif kind == "list_item_open" and self._numbers[-1] is not None:
            self._label = f"{self._numbers[-1]}. "
            self._numbers[-1] += 1
        elif kind == "tr_open":
            self._row = []
        elif kind == "tr_close" and self._row is not None:
            self._add(", ".join(cell for cell in self._row if cell))
            self._row = None
        elif kind == "inline":
            content = _inline(token)
            if self._row is None:
                self._add(content)
            else:
                self._row.append(content)
        elif kind in ("fence", "code_block"):
            self.left_out.append(token.content)
        elif kind == "html_block":
            self._add(_TAG.sub(" ", token.content))

    def _add(self, text: str) -> None:
        """Add a paragraph, which ends as a sentence does also where it is a heading, an item or a row."""
        text = text.strip()
        if not text:
            return
        if not _ENDED.search(text):
            text += "。" if _HAN_LAST.search(text) else "."
        self.paragraphs.append(self._label + text)
        self._label = ""


def _inline(token: Token) -> str:
    """The text of a paragraph without its marks."""
    parts: list[str] = []
    for child in token.children or []:
        if child.type in ("text", "code_inline") or child.type == "image":
            parts.append(child.content)
        elif child.type in ("softbreak", "hardbreak"):
            parts.append("\n")
        elif child.type == "html_inline":
            parts.append(" ")
    return "".join(parts)
