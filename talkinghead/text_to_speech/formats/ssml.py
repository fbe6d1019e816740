"""SSML 1.1 (W3C): break, say-as, sub, phoneme, p, s and prosody's rate; the rest is named as without effect."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, replace

from talkinghead.errors import TextError
from talkinghead.text_to_speech.breaks import Break
from talkinghead.text_to_speech.normalization.say_as import say_as
from talkinghead.text_to_speech.passages import Document, Passage
from talkinghead.text_to_speech.phones import PhonedWords

STRENGTH_S = {"none": 0.0, "x-weak": 0.1, "weak": 0.2, "medium": 0.4, "strong": 0.6, "x-strong": 1.0}
"""Strength of a break -> its pause in seconds."""
RATES = {"x-slow": 0.5, "slow": 0.8, "medium": 1.0, "default": 1.0, "fast": 1.25, "x-fast": 1.6}
"""Word for a rate of speech -> factor."""
SLOWEST, FASTEST = 0.5, 3.0
"""Limits of the factor; espeak-ng cannot speak more slowly."""
LONGEST_BREAK_S = 600.0
_SILENT = frozenset(["metadata", "meta", "lexicon", "desc"])
"""Elements whose content is not text."""
_TRANSPARENT = frozenset(["speak", "p", "s", "paragraph", "sentence", "w", "token"])
"""Elements that only structure the text."""


def read_ssml(text: str, language: str, words: PhonedWords) -> Document:
    """Read a text in SSML.

    Args:
        text: an XML document.
        language: BCP 47 tag of the voice, for say-as.
        words: gets the words whose phones the text gives.

    Raises:
        TextError: it is not well-formed, declares entities, or an attribute has a value that cannot be.
    """
    if re.search(r"<!(?:DOCTYPE|ENTITY)", text):
        raise TextError("The SSML has a document type declaration, which is not read; remove it.")
    try:
        root = ElementTree.fromstring(text.strip())  # noqa: S314 (entities were refused above)
    except ElementTree.ParseError as error:
        raise TextError(f"The SSML is not well-formed XML: {error}; correct it, or use --text-format plain.") from error
    if _name(root) != "speak":
        raise TextError(f"SSML has speak as its outermost element, not {_name(root)}.")
    reader = _Reader(language, words)
    reader.element(root, 1.0)
    reader.close(Break.PARAGRAPH)
    return Document(
        "ssml",
        tuple(reader.passages),
        tail_s=reader.pause_s or 0.0,
        without_effect=tuple(dict.fromkeys(reader.without_effect)),
    )


def _name(element: ElementTree.Element) -> str:
    """Name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


@dataclass
class _Reader:
    """Collects passages while it goes through the document."""

    language: str
    words: PhonedWords

    def __post_init__(self) -> None:
        self.passages: list[Passage] = []
        self.without_effect: list[str] = []
        self._text = ""
        self._rate = 1.0
        self.pause_s: float | None = None
        """Silence before the text that follows, if the document says so."""

    def element(self, element: ElementTree.Element, rate: float) -> None:
        """Read an element, in speech at a rate."""
        name = _name(element)
        read = {"sub": self._sub, "say-as": self._say_as, "phoneme": self._phoneme}.get(name)
        if read is not None:
            self._add(read(element), rate)
        elif name == "break":
            self._break(element)
        elif name in _SILENT:
            self.without_effect.append(f"SSML {name}")
        elif name in ("p", "s", "paragraph", "sentence"):
            self.close(Break.SENTENCE)
            self._content(element, rate)
            self.close(Break.PARAGRAPH if name.startswith("p") else Break.SENTENCE)
        else:
            self._content(element, self._rate_in(element, rate))

    def _content(self, element: ElementTree.Element, rate: float) -> None:
        self._add(element.text or "", rate)
        for child in element:
            if isinstance(child.tag, str):  # comments have none
                self.element(child, rate)
            self._add(child.tail or "", rate)

    def _add(self, text: str, rate: float) -> None:
        """Add text to the passage, or to a new one where the rate is another."""
        if rate != self._rate and text.strip():
            if self._text.strip():
                self.close(Break.CLAUSE)
                self.pause_s = 0.0
            self._rate = rate
        self._text += text

    def close(self, ends: Break) -> None:
        """End the passage, if it has text; else what ends ends the one before it."""
        if self._text.strip():
            self.passages.append(Passage(self._text, ends, self._rate, self.pause_s))
            self.pause_s = None
        elif self.passages and ends > self.passages[-1].ends:
            self.passages[-1] = replace(self.passages[-1], ends=ends)
        self._text = ""

    def _break(self, element: ElementTree.Element) -> None:
        time = element.get("time")
        strength = element.get("strength", "medium")
        if time is None and strength not in STRENGTH_S:
            raise TextError(f"SSML break has the strength {strength!r}; it is one of {', '.join(STRENGTH_S)}.")
        pause_s = STRENGTH_S[strength] if time is None else _time_s(time)
        self.close(Break.CLAUSE)
        self.pause_s = (self.pause_s or 0.0) + pause_s

    def _rate_in(self, element: ElementTree.Element, rate: float) -> float:
        """The rate inside an element that may change it; all else that it asks for is named."""
        name = _name(element)
        if name != "prosody":
            if name not in _TRANSPARENT:
                self.without_effect.append(f"SSML {name}")
            return rate
        self.without_effect += [f"SSML prosody {attribute}" for attribute in element.attrib if attribute != "rate"]
        given = element.get("rate")
        return rate if given is None else _factor(given, rate)

    def _sub(self, element: ElementTree.Element) -> str:
        return element.get("alias") or "".join(element.itertext())

    def _say_as(self, element: ElementTree.Element) -> str:
        content, kind = "".join(element.itertext()), element.get("interpret-as", "")
        said = say_as(content.strip(), kind, element.get("format", ""), self.language)
        if said is None:
            self.without_effect.append(f"SSML say-as {kind}")
            return content
        return said

    def _phoneme(self, element: ElementTree.Element) -> str:
        content, phones = "".join(element.itertext()).strip(), element.get("ph", "")
        alphabet = element.get("alphabet", "ipa")
        if alphabet not in ("ipa", "pinyin", "x-pinyin", "sapi") or not phones:
            self.without_effect.append(f"SSML phoneme with the alphabet {alphabet}")
            return content
        return self.words.add(content or phones, phones)


def _time_s(time: str) -> float:
    found = re.fullmatch(r"\s*\+?(\d+(?:\.\d+)?|\.\d+)(ms|s)\s*", time)
    if found is None:
        raise TextError(f"SSML break has the time {time!r}; it is written 500ms or 1.5s.")
    return min(float(found.group(1)) / (1000 if found.group(2) == "ms" else 1), LONGEST_BREAK_S)


def _factor(given: str, rate: float) -> float:
    """A rate of prosody, relative to the one around it: a word, a percentage (80%, +20%) or a factor (1.2)."""
    if given in RATES:
        return RATES[given] * (rate if given != "default" else 1.0)
    found = re.fullmatch(r"\s*([+-]?)(\d+(?:\.\d+)?|\.\d+)(%?)\s*", given)
    if found is None:
        raise TextError(f"SSML prosody has the rate {given!r}; it is a word such as slow, or such as 80% or 1.2.")
    value = float(found.group(2)) / (100 if found.group(3) else 1)
    change = {"+": 1 + value, "-": 1 - value}.get(found.group(1), value)
    factor = change * rate
    if not SLOWEST <= factor <= FASTEST:
        raise TextError(f"SSML prosody has the rate {given!r}; from {SLOWEST:g} to {FASTEST:g} times can be spoken.")
    return factor
