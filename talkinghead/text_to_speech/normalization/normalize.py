"""Choosing the rules of a language, and what is left unsaid."""

from __future__ import annotations

from dataclasses import dataclass

from talkinghead.text_to_speech.normalization.characters import plain_characters, usual_characters

CHINESE_TAGS = frozenset(["zh", "cmn", "yue", "hak"])
"""Primary subtags (BCP 47) of languages that are written in Chinese characters."""


@dataclass(frozen=True)
class Normalized:
    """A line of text as an engine gets it."""

    text: str
    """In English and Chinese without digits and signs; may be empty."""
    unsaid: tuple[str, ...] = ()
    """Signs that have no word in the language, which the text lacks: emoji, for example."""


def normalize(text: str, language: str) -> Normalized:
    """Write a line of text as it is spoken.

    Args:
        text: a sentence, on one line.
        language: BCP 47 tag; English and Chinese are spelled out, other languages get usual characters.
    """
    primary = language.lower().split("-")[0]
    # The rules of a language are compiled when it is first needed: that takes a moment.
    if primary == "en":
        from talkinghead.text_to_speech.normalization.english import spell_english

        spelled, unsaid = spell_english(usual_characters(text))
    elif primary in CHINESE_TAGS:
        from talkinghead.text_to_speech.normalization.chinese import spell_chinese

        spelled, unsaid = spell_chinese(usual_characters(text))
    else:
        spelled, unsaid = plain_characters(text), []
    return Normalized(" ".join(spelled.split()), tuple(unsaid))
