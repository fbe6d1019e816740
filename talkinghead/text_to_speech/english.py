"""English text to phonemes in Kokoro's alphabet, by the rules and the dictionary in hibari-tts (Apache-2.0)."""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import Any

from talkinghead.errors import VoiceUnavailableError
from talkinghead.text_to_speech.phones import PhonedWord, split_marks, to_kokoro

_LONG_NUMBER = re.compile(r"\d[\d,]{14,}\d")
"""Numbers of so many digits that hibari's rules have no word for them."""


def english_phonemes(text: str) -> str:
    """Phonemes of a text, whose words may have their phones with them (see `phones`).

    Returns:
        IPA with capitals for diphthongs, stress marks, punctuation, spaces; empty if the text has none.

    Raises:
        VoiceUnavailableError: hibari's rules fail on this text.
    """
    try:
        return str(_g2p()("".join(_marked_up(part) for part in split_marks(text))))
    except (LookupError, TypeError, ValueError) as error:
        raise VoiceUnavailableError(f"hibari cannot read {text[:40]!r}: {error}") from error


def _marked_up(part: str | PhonedWord) -> str:
    """A part of a sentence as hibari takes it, which has markup for phones: [word](/phones/)."""
    if isinstance(part, PhonedWord):
        return f"[{re.sub(r'[^A-Za-z]', '', part.word) or 'word'}](/{to_kokoro(part)}/)"
    return _plain_numbers(part.replace("](", "] ("))


@functools.cache
def _g2p() -> Any:
    from hibari.g2p import G2P

    return G2P()


def _plain_numbers(text: str) -> str:
    """Replace digits that hibari's rules do not know (①, ²) by plain ones, and spell very long numbers by digits."""
    plain = (
        f" {unicodedata.digit(character)} " if character.isdigit() and not character.isdecimal() else character
        for character in text
    )
    return _LONG_NUMBER.sub(lambda number: " ".join(number.group().replace(",", "")), "".join(plain))
