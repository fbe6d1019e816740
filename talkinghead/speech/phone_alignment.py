"""Forced alignment: when each phone of a known English text is spoken, by pocketsphinx where that is installed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from talkinghead.errors import ModelUnavailableError, TableError
from talkinghead.files import read_text
from talkinghead.speech.audio_window import samples_at_encoder_rate
from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.speech.phone_times import PhoneTimes
from talkinghead.structures import Audio
from talkinghead.text_to_speech.breaks import Break
from talkinghead.text_to_speech.engine import Word
from talkinghead.text_to_speech.word_times import estimate_words
from talkinghead.text_to_speech.written_words import split_words

FRAME_S = 0.01
_WORD = re.compile(r"[a-z']+")
_CLOSING = "\"'”’)]»"
HOW_TO_INSTALL = "needs pocketsphinx: pip install 'talkinghead[align]'"


@dataclass(frozen=True)
class Alignment:
    """A transcript in its audio."""

    phones: PhoneTimes
    """ARPABET."""
    words: tuple[Word, ...]
    """As the transcript has them, with their punctuation; what has no letters belongs to the word before it."""


def align_phones(transcript: Path, audio: Audio) -> PhoneTimes:
    """Times of the phones of a transcript in its audio, as `align_transcript` finds them."""
    return align_transcript(transcript, audio).phones


def align_transcript(transcript: Path, audio: Audio) -> Alignment:
    """Times of the phones and words of a transcript in its audio, in steps of 10 ms.

    Acoustic model and dictionary are pocketsphinx's own, of American English. On the built-in presenter's clip its 18
    p, b and m begin within 45 ms of the known times, half of them within 10 ms.

    Args:
        transcript: text file, UTF-8; case and punctuation do not matter, numbers have to be spelled out.
        audio: of any sample rate.

    Raises:
        MissingFileError: there is no such file.
        TableError: it has no words, words that are not in the dictionary, or words that are not spoken.
        ModelUnavailableError: pocketsphinx is not installed.
    """
    text = read_text(transcript, error=TableError)
    words = _WORD.findall(_plain(text))
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise ModelUnavailableError(HOW_TO_INSTALL) from error
    decoder = Decoder(samprate=RATE_HZ, loglevel="FATAL", lm=None)
    unknown = sorted({word for word in words if decoder.lookup_word(word) is None})
    if unknown or not words:
        what = f"words that pocketsphinx does not know: {', '.join(unknown)}" if unknown else "no English words"
        raise TableError(f"{transcript} has {what}; give phone times instead (--phones).")
    samples = samples_at_encoder_rate(audio).numpy()
    pcm = np.round(32767 * np.clip(samples, -1, 1)).astype("<i2").tobytes()
    try:
        decoder.set_align_text(" ".join(words))
        _decode(decoder, pcm)  # aligns the words
        decoder.set_alignment()
        _decode(decoder, pcm)  # aligns the phones in them
        spoken = [(word.name, list(word)) for word in decoder.get_alignment()]
    except (RuntimeError, TypeError) as error:
        raise TableError(f"{transcript} could not be aligned with the audio; check that it is what is said.") from error
    found = [phone for _, phones in spoken for phone in phones]
    times_s = [(FRAME_S * phone.start, FRAME_S * (phone.start + phone.duration)) for phone in found]
    phone_times = PhoneTimes(tuple(phone.name for phone in found), np.array(times_s, np.float64).reshape(-1, 2))
    # Silences and noises are between the words, in brackets; a word's second pronunciation is named "the(2)".
    heard = [
        (FRAME_S * phones[0].start, FRAME_S * (phones[-1].start + phones[-1].duration))
        for name, phones in spoken
        if phones and _WORD.fullmatch(re.sub(r"\(\d+\)$", "", name))
    ]
    return Alignment(phone_times, _words_of(text, heard if len(heard) == len(words) else None, audio.duration_s))


def _plain(text: str) -> str:
    return text.lower().replace("\u2019", "'")


def _words_of(text: str, heard_s: Sequence[tuple[float, float]] | None, duration_s: float) -> tuple[Word, ...]:
    """The words of a transcript with their times; where these are not known, estimated."""
    paragraphs = [split_words(" ".join(paragraph.split())) for paragraph in re.split(r"\n[^\S\n]*\n", text)]
    written = [(word, index == len(words) - 1) for words in paragraphs for index, word in enumerate(words)]
    if heard_s is None:
        return estimate_words([word for word, _ in written], 0.0, duration_s)
    placed: list[Word] = []
    position = 0
    for word, is_last in written:
        own = heard_s[position : position + len(_WORD.findall(_plain(word)))]
        position += len(own)
        if own:
            placed.append(Word(word, own[0][0], own[-1][1]))
        elif placed:
            placed[-1] = replace(placed[-1], text=f"{placed[-1].text} {word}")
        if placed and (is_last or word.rstrip(_CLOSING).endswith((".", "!", "?"))):
            placed[-1] = replace(placed[-1], ends=Break.PARAGRAPH if is_last else Break.SENTENCE)
    return tuple(placed)


def _decode(decoder: object, pcm: bytes) -> None:
    decoder.start_utt()  # type: ignore[attr-defined]
    decoder.process_raw(pcm, full_utt=True)  # type: ignore[attr-defined]
    decoder.end_utt()  # type: ignore[attr-defined]
