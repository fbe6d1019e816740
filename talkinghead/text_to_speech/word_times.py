"""When each word of a spoken text is heard, from the times of its phones; without those, estimated.

An engine's front end writes the phones of a sentence in groups, with a space between two words. Most words have one
group. A word that is read as several ("AT&T") is found by comparing the groups with the phones that the front end gives
for each word alone.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from talkinghead.text_to_speech.engine import PAUSE, Phone, Utterance, Word
from talkinghead.text_to_speech.phone_timing import MODIFIERS, SILENT, STRESS, TONES
from talkinghead.text_to_speech.written_words import split_words

GROUP_END = "\x1f"
"""Ends a group of phones after which there is no space: a syllable of Chinese. No network's alphabet has it."""
MOST_GROUPS = 12
"""Number of groups that one word may be read as."""


def place_words(
    sentence: str, groups: Sequence[str], phones: Sequence[Phone] | None, alone: Callable[[str], Sequence[str]]
) -> tuple[Word, ...] | None:
    """Times of the words of a sentence.

    Args:
        sentence: as the engine got it.
        groups: its phones in the engine's alphabet, cut where words may end.
        phones: the same phones with their times, and pauses.
        alone: gives the groups of one word of the sentence.

    Returns:
        One for each word of `split_words` with phones, without gaps between neighbors that are spoken without a pause;
        None where groups and phones do not agree.
    """
    words = split_words(sentence)
    spoken = [phone for phone in phones or () if phone.symbol != PAUSE]
    counts = [_phone_count(group) for group in groups]
    if phones is None or not words or sum(counts) != len(spoken):
        return None
    lengths = _groups_of_words([list(alone(word)) for word in words], list(groups))
    placed: list[Word] = []
    first_group = first = 0
    for word, length in zip(words, lengths, strict=True):
        end = first + sum(counts[first_group : first_group + length])
        if end > first:
            placed.append(Word(word, spoken[first].start_s, spoken[end - 1].end_s))
        elif placed:  # nothing of it is heard
            placed[-1] = replace(placed[-1], text=f"{placed[-1].text} {word}")
        first_group, first = first_group + length, end
    return tuple(placed)


def _phone_count(group: str) -> int:
    return sum(symbol not in STRESS and symbol not in MODIFIERS | TONES | SILENT for symbol in group)


def split_groups(symbols: str) -> list[str]:
    """Symbols of an engine's alphabet, cut at spaces and at `GROUP_END`; groups without phones are left out."""
    return [group for group in re.split(f"[ {GROUP_END}]", symbols) if _phone_count(group)]


def _groups_of_words(alone: list[list[str]], groups: list[str]) -> list[int]:
    """How many of the groups belong to each word, in order, given the groups of each word alone."""
    own = [len(parts) for parts in alone]
    if sum(own) == len(groups):
        return own
    joined = ["".join(parts) for parts in alone]

    @functools.cache
    def distance(word: int, first: int, end: int) -> float:
        said = "".join(groups[first:end])
        return (1 - difflib.SequenceMatcher(None, joined[word], said, autojunk=False).ratio()) * max(
            len(joined[word]), len(said)
        )

    # least[w][g]: least distance of the first w words to the first g groups; cut[w][g]: where word w - 1 begins there.
    least = np.full((len(alone) + 1, len(groups) + 1), np.inf)
    cut = np.zeros(least.shape, int)
    least[0, 0] = 0
    for word in range(len(alone)):
        for end in range(len(groups) + 1):
            for first in range(max(0, end - MOST_GROUPS), end + 1):
                total = least[word, first] + (distance(word, first, end) if np.isfinite(least[word, first]) else 0)
                if total < least[word + 1, end]:
                    least[word + 1, end], cut[word + 1, end] = total, first
    ends = [len(groups)]
    for word in range(len(alone), 0, -1):
        ends.append(int(cut[word, ends[-1]]))
    ends.reverse()
    return [end - first for first, end in zip(ends[:-1], ends[1:], strict=True)]


def estimate_words(words: Sequence[str], start_s: float, end_s: float) -> tuple[Word, ...]:
    """Words spread over a stretch of time by the number of their letters, where no times are known."""
    weights = np.array([max(1, sum(map(str.isalnum, word))) for word in words], np.float64)
    edges_s = start_s + (end_s - start_s) * np.concatenate([[0.0], np.cumsum(weights)]) / max(weights.sum(), 1)
    return tuple(
        Word(word, float(first_s), float(last_s), is_exact=False)
        for word, first_s, last_s in zip(words, edges_s[:-1], edges_s[1:], strict=True)
    )


def heard_words(
    parts: Sequence[tuple[str, int]], spoken: Sequence[str], utterance: Utterance, bounds_s: tuple[float, float]
) -> tuple[Word, ...]:
    """The words of an utterance as they are written, with their times.

    Args:
        parts: what `as_written` gives.
        spoken: the words in the sentence that the engine got, as `split_words` gives them.
        utterance: its answer.
        bounds_s: begin and end of what is heard in it, used where it has no words.
    """
    found = utterance.words
    timed = found if found is not None and len(found) == len(spoken) else None
    if timed is None:
        timed = estimate_words(spoken, *bounds_s)
    words: list[Word] = []
    first = 0
    for text, count in parts:
        own = timed[first : first + count]
        first += count
        if own and text:
            words.append(Word(text, own[0].start_s, own[-1].end_s, is_exact=all(word.is_exact for word in own)))
        elif text and words:
            words[-1] = replace(words[-1], text=f"{words[-1].text} {text}")
    return tuple(words)
