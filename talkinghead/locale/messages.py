"""Translates messages where they are shown to people: the last step before a terminal, never before.

Errors, reports and findings are made in English, with their numbers and names in them, and stay so in `--json` and in
Python. Where one is printed, `translated` looks for the entry of the catalog (gettext, `LC_MESSAGES/talkinghead.mo`)
whose English it is, takes the values out of it, and puts them into the other language's sentence. What has no entry is
shown in English. The catalog's language is that of the environment: LANGUAGE, LC_ALL, LC_MESSAGES, LANG.

An entry has names in braces where the message has values, such as "There is no file {path}." In its translation,
`{path}` is the value as it is, `{what!t}` the value translated in turn: a sentence, a list of clauses, a word.
"""

from __future__ import annotations

import functools
import gettext
import os
import re
from dataclasses import dataclass
from pathlib import Path

DOMAIN = "talkinghead"
FOLDER = Path(__file__).parent
PLACEHOLDER = re.compile(r"\{(\w+)(!t)?\}", re.ASCII)
PLURAL = "s"
"""Name of the only value that a language may do without: the ending of an English plural."""
SEPARATORS = ((". ", "。"), ("; ", ";"), (": ", ":"), (", ", ","))
"""Between the clauses of a value that is translated in turn, in English and in the other language."""
LONGEST = 4000
"""Longer texts are no messages, and are shown as they are."""
DEEPEST = 4
"""Values within values that are translated."""


@dataclass(frozen=True)
class Entry:
    """A message of the catalog."""

    pattern: re.Pattern[str]
    """Of the English message, a group for each value."""
    literal: str
    """Its longest stretch without values."""
    translation: str
    length: int
    """Number of signs of the message that are no values."""

    @classmethod
    def of(cls, message: str, translation: str) -> Entry:
        """The entry of a message with names in braces."""
        pattern, literals, position = "", [], 0
        for found in PLACEHOLDER.finditer(message):
            literals.append(message[position : found.start()])
            value = "s?" if found[1] == PLURAL else ".*?"
            pattern += f"{re.escape(literals[-1])}(?P<{found[1]}>{value})"
            position = found.end()
        literals.append(message[position:])
        return cls(
            re.compile(pattern + re.escape(literals[-1]), re.DOTALL),
            max(literals, key=len),
            translation,
            sum(map(len, literals)),
        )


def translated(text: str) -> str:
    """A message in the language of the environment; as it is where the catalog does not have it."""
    catalog = _catalog(tuple(os.environ.get(name, "") for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")))
    return text if catalog is None or len(text) > LONGEST else catalog.translate(text)


def translated_to(language: str, text: str) -> str:
    """A message in a language that is named, such as "zh"; as it is where there is no catalog, or it is not in it."""
    catalog = _named_catalog(language)
    return text if catalog is None or len(text) > LONGEST else catalog.translate(text)


class Catalog:
    """The messages of one language."""

    def __init__(self, messages: dict[str, str]) -> None:
        """Args: translations by their English messages."""
        self._whole = {message: text for message, text in messages.items() if not PLACEHOLDER.search(message)}
        entries = [Entry.of(message, text) for message, text in messages.items() if PLACEHOLDER.search(message)]
        # Of two that fit, the one that says more of the message itself is meant.
        self._entries = sorted(entries, key=lambda entry: entry.length, reverse=True)

    def translate(self, text: str, depth: int = 0) -> str:
        """A message in this language."""
        if (whole := self._whole.get(text)) is not None:
            return whole
        for entry in self._entries:
            if entry.literal in text and (found := entry.pattern.fullmatch(text)) is not None:
                made = self._filled(entry.translation, found, depth)
                if made is not None:
                    return made
        return text

    def _filled(self, translation: str, found: re.Match[str], depth: int) -> str | None:
        """A translation with its values; None where one that is to be translated is not known: then the message was
        none of this entry, or half of it would stay English."""
        values = found.groupdict()
        for placeholder in PLACEHOLDER.finditer(translation):
            value = values[placeholder[1]]
            if placeholder[2] and value:
                values[placeholder[1]] = made = self._value(value, depth + 1)
                if made == value:
                    return None
        return PLACEHOLDER.sub(lambda placeholder: values[placeholder[1]], translation)

    def _value(self, text: str, depth: int) -> str:
        """A value, translated as a whole or clause by clause."""
        whole = self.translate(text, depth)
        if whole != text or depth >= DEEPEST:
            return whole
        for separator, other in SEPARATORS:
            if separator in text:
                parts = text.split(separator)
                made = [self._value(part, depth + 1) for part in parts]
                if all(new != part for new, part in zip(made, parts, strict=True)):  # half a translation is none
                    return other.join(made)
        return text


@functools.lru_cache(maxsize=8)
def _catalog(environment: tuple[str, ...]) -> Catalog | None:
    """The catalog of an environment, which `gettext` looks for as in every program; None for English."""
    del environment  # the key alone: gettext reads the same variables
    path = gettext.find(DOMAIN, str(FOLDER))
    return None if path is None else Catalog(read_mo(Path(path)))


@functools.lru_cache(maxsize=8)
def _named_catalog(language: str) -> Catalog | None:
    if re.fullmatch(r"[A-Za-z]{2,3}(_[A-Za-z]{2})?", language) is None:
        return None
    path = gettext.find(DOMAIN, str(FOLDER), [language])
    return None if path is None else Catalog(read_mo(Path(path)))


def read_mo(path: Path) -> dict[str, str]:
    """Translations by their English messages."""
    with path.open("rb") as file:
        translations = gettext.GNUTranslations(file)
    messages: dict[str, str] = vars(translations)["_catalog"]  # gettext has no way to list them
    return {message: text for message, text in messages.items() if message}
