"""Synthesizing a text of any length sentence by sentence, with pauses between them, at an even loudness."""

from __future__ import annotations

import hashlib
import inspect
import math
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import NothingToSpeakError, TextError, VoiceUnavailableError
from talkinghead.structures import Audio, BoolArray, FloatArray
from talkinghead.text_to_speech.breaks import Break
from talkinghead.text_to_speech.config import SpeakingConfig
from talkinghead.text_to_speech.engine import PAUSE, Engine, Phone, Utterance, Voice, join
from talkinghead.text_to_speech.formats.document import read_document, recognize
from talkinghead.text_to_speech.normalization.normalize import normalize
from talkinghead.text_to_speech.passages import Document, Passage
from talkinghead.text_to_speech.phones import FOREIGN, PhonedWords
from talkinghead.text_to_speech.pronunciation import Pronunciations
from talkinghead.text_to_speech.registry import DEFAULT_VOICE, find_voice
from talkinghead.text_to_speech.sentences import TextChunk, split_text
from talkinghead.text_to_speech.word_times import heard_words
from talkinghead.text_to_speech.written_words import split_words

LEAD_S = 0.3
"""Silence before the first word, in seconds, so that the video starts with the mouth at rest."""
TAIL_S = 0.5
"""Silence after the last word, in seconds."""
PAUSE_SHARE = {Break.CLAUSE: 1 / 3, Break.SENTENCE: 1.0, Break.PARAGRAPH: 5 / 3}
"""Silence after a chunk of text that another one follows, as a multiple of the pause between sentences."""
MARGIN_S = 0.05
"""How many seconds of an engine's own silence are kept at either end of an utterance; they count towards the pause."""
MIN_SPEED, MAX_SPEED = 0.5, 3.0
"""Range of the factor on a voice's usual speed; espeak-ng cannot speak more slowly."""
MAX_OPTION_SPEED = 2.0
"""Fastest speed that the option allows."""
LATE_S = 0.05
"""By how many seconds a passage may begin after its time."""
FADE_S = 0.005
"""Length of the fades in and out at either end of an utterance, in seconds."""
LEVEL_DB = -20.0
"""Loudness of the speech: root mean square of its audible blocks, relative to full scale."""
PEAK = 0.89
"""-1 dB: the limit of every sample."""
BLOCK_S = 0.01
"""Length of the blocks over which loudness is measured, in seconds."""
SILENT_DB = -40.0
"""A block is silent below this level, relative to the utterance's loudest block."""


@dataclass(frozen=True)
class Script:
    """A text, the voice that speaks it, and how."""

    text: str
    """Of any length, in the format that `config` names; in plain text a blank line ends a paragraph."""
    voice: str = DEFAULT_VOICE
    """A name that `talkinghead voices` lists."""
    config: SpeakingConfig = field(default_factory=SpeakingConfig)
    """Format of the text, speed, pauses, pronunciations."""

    @property
    def text_format(self) -> str:
        """The format in which the text is read: plain, markdown, srt or ssml."""
        return recognize(self.text) if self.config.text_format == "auto" else self.config.text_format

    def describe(self) -> dict[str, str | float]:
        """For reports: engine, engine_version, voice, language (BCP 47), text_sha256 (of the text in UTF-8),
        text_format, speed.

        Raises:
            VoiceUnavailableError: there is no such voice, or it is not installed.
        """
        engine, voice = find_voice(self.voice)
        digest = hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()
        return {
            "engine": engine.name,
            "engine_version": engine.version,
            "voice": voice.name,
            "language": voice.language,
            "text_sha256": digest,
            "text_format": self.text_format,
            "speed": self.config.speed,
        }


def speak(
    script: Script,
    *,
    skipped: Callable[[str], None] | None = None,
    without_effect: Callable[[str], None] | None = None,
    lead_s: float = LEAD_S,
) -> Iterator[Utterance]:
    """Synthesize a script chunk by chunk; concatenated, the utterances are the whole speech.

    Memory holds one chunk at a time. A chunk with nothing to pronounce (a row of stars) is left out.

    Args:
        script: text and voice.
        skipped: called with everything that is left out: chunks, words of letters that the voice does not read, signs
            and characters that have no word.
        without_effect: called with what the text's format asks for and the voice does not do.
        lead_s: silence before the first word, at least `MARGIN_S`, where the text gives it no time.

    Raises:
        NothingToSpeakError: the voice can pronounce nothing in the whole text.
        TextError: the text is not of its format, or a passage cannot start at its time.
        VoiceUnavailableError: there is no such voice, it is not installed, or it failed.
    """
    engine, voice = find_voice(script.voice)
    reader = _Reader(engine, voice, skipped or (lambda text: None), script.config.read_pronunciations())
    document = reader.read(script)
    for effect in document.without_effect:
        if without_effect is not None:
            without_effect(effect)
    track = _Track(script.config, lead_s)
    for passage in document.passages:
        begins: Passage | None = passage
        for chunk in reader.chunks(passage):
            utterance = reader.spoken(chunk, script.config.speed * passage.rate)
            if utterance is not None:
                yield track.placed(utterance, chunk.ends, begins)
                begins = None
    if track.last is None:
        raise NothingToSpeakError(
            f"The text has nothing that {voice.name} ({voice.language}) can read; `talkinghead voices` lists others."
        )
    yield _silence(track.last, TAIL_S - track.margin_s + document.tail_s)


class _Reader:
    """Reads a text for one voice: its format, its pronunciations, its numbers and signs."""

    def __init__(
        self, engine: Engine, voice: Voice, skip: Callable[[str], None], pronunciations: Pronunciations
    ) -> None:
        self._engine, self._voice, self._skip = engine, voice, skip
        self._pronunciations = pronunciations
        self._words = PhonedWords()
        self._unsaid: list[str] = []
        """Signs without a word, not reported yet."""
        self._reads_phones = bool(getattr(engine, "reads_phones", False))
        self._has_speeds = "speed" in inspect.signature(engine.speak).parameters

    def read(self, script: Script) -> Document:
        """The passages of a script, with the pronunciations that were given; what they leave out is reported."""
        text = script.text
        for found in FOREIGN.findall(text):
            self._skip(found)
        document = read_document(FOREIGN.sub(" ", text), script.config.text_format, self._voice.language, self._words)
        for part in document.left_out:
            self._skip(part)
        passages = tuple(
            replace(passage, text=self._pronunciations.applied(passage.text, self._words))
            for passage in document.passages
        )
        without_effect = list(document.without_effect)
        if not self._has_speeds and any(passage.rate != 1 for passage in passages):
            passages = tuple(replace(passage, rate=1.0) for passage in passages)
            without_effect.append("SSML prosody rate")
        if self._words.words and not self._reads_phones:
            without_effect.append("phones of words")
        return replace(document, passages=passages, without_effect=tuple(without_effect))

    def chunks(self, passage: Passage) -> Iterator[TextChunk]:
        """Sentences of a passage in words, without empty ones; the last ends what the passage ends."""
        waiting: TextChunk | None = None
        for chunk in split_text(passage.text, self._in_words):
            unsaid, self._unsaid = self._unsaid, []
            if waiting is not None:
                yield waiting
            for sign in unsaid:  # now that the chunk before it was spoken: what is left out is reported in order
                self._skip(sign)
            waiting = chunk
        if waiting is not None:
            yield replace(waiting, ends=passage.ends)
        for sign in self._unsaid:
            self._skip(sign)
        self._unsaid = []

    def _in_words(self, sentence: str) -> str:
        normalized = normalize(sentence, self._voice.language)
        self._unsaid += normalized.unsaid
        return normalized.text

    def spoken(self, chunk: TextChunk, speed: float) -> Utterance | None:
        """A chunk synthesized; None where nothing in it can be pronounced, which is reported.

        Raises:
            TextError: the speed is out of range.
            VoiceUnavailableError: the voice has one speed, and another is asked for.
        """
        if not MIN_SPEED <= speed <= MAX_SPEED:
            raise TextError(
                f"Speed and SSML rate together are {speed:.3g}; from {MIN_SPEED:g} to {MAX_SPEED:g} can be spoken."
            )
        sentence = self._words.expanded(chunk.text, with_phones=self._reads_phones)
        try:
            if speed == 1:
                utterance = self._engine.speak(sentence, self._voice.name)
            elif self._has_speeds:
                utterance = self._engine.speak(sentence, self._voice.name, speed=speed)
            else:
                raise VoiceUnavailableError(f"The voice {self._voice.name} has one speed; leave --speed out.")
        except NothingToSpeakError:
            self._skip(self._words.expanded(chunk.text, with_phones=False))
            return None
        plain = FOREIGN.sub(" ", chunk.text)
        unsayable = getattr(self._engine, "unsayable", None)
        left_out = [] if unsayable is None else unsayable(plain, self._voice.name)
        for part in (*unreadable_words(plain, self._voice.scripts), *left_out):
            self._skip(part)
        seen = [(self._words.expanded(text, with_phones=False), count) for text, count in chunk.written]
        words = heard_words(seen, split_words(chunk.text), utterance, _speech_bounds(utterance))
        return replace(utterance, words=words)


class _Track:
    """Places utterances one after the other, with their pauses or at their times."""

    def __init__(self, config: SpeakingConfig, lead_s: float) -> None:
        self._pause_s = config.pause_ms / 1000
        self._speed = config.speed
        self._lead_s = lead_s
        self.margin_s = min(MARGIN_S, self._pause_s * PAUSE_SHARE[Break.CLAUSE] / 2)
        """Silence that is kept at either end of an utterance, in seconds."""
        self.last: Utterance | None = None
        """The last utterance, without the pause before it."""
        self._ends = Break.PARAGRAPH
        self._length_s = 0.0
        self._timed: Passage | None = None
        """The last passage that had a time to start at."""
        self._loudness = _Loudness()

    def placed(self, utterance: Utterance, ends: Break, begins: Passage | None) -> Utterance:
        """An utterance at its loudness after the silence that belongs before it.

        Args:
            utterance: as the engine gave it.
            ends: what ends with it.
            begins: the passage that begins with it, if one does.

        Raises:
            TextError: the passage cannot start at its time.
        """
        is_timed = begins is not None and begins.start_s is not None
        if begins is not None and begins.start_s is not None:
            silence_s = self._until(begins, begins.start_s)
            self._timed = begins
        else:
            asked_s = None if begins is None else begins.pause_s
            # The margins that are left of this utterance and of the one before it are part of the pause.
            if self.last is None:
                silence_s = self._lead_s + (asked_s or 0.0) - self.margin_s
            else:
                usual_s = self._pause_s * PAUSE_SHARE[self._ends]
                silence_s = (usual_s if asked_s is None else asked_s) - 2 * self.margin_s
        # Of a passage with a time, the silence before the first word gives way if there is no time for it.
        lead_s = self.margin_s + min(0.0, max(-self.margin_s, silence_s)) if is_timed else self.margin_s
        self.last = _ending(self._loudness.normalize(_trim(utterance, lead_s, self.margin_s)), ends)
        self._ends = ends
        whole = self.last if silence_s <= 0 else join([_silence(self.last, silence_s), self.last])
        self._length_s += whole.audio.duration_s
        return whole

    def _until(self, passage: Passage, start_s: float) -> float:
        """Silence until a passage's first word is heard at its time."""
        silence_s = start_s - self.margin_s - self._length_s
        if silence_s >= -self.margin_s - LATE_S:
            return silence_s
        before = self._timed
        available_s = start_s - (before.start_s or 0.0) if before is not None else start_s
        needed_s = self._length_s - (start_s - available_s)
        needed = self._speed * needed_s / available_s if available_s > 0 else math.inf
        advice = f"use --speed {math.ceil(needed * 100) / 100:.2f}, " if needed <= MAX_OPTION_SPEED else ""
        raise TextError(
            f"{passage.name} cannot start at its time: {before.name if before else 'what is before it'} takes "
            f"{needed_s:.2f} s to speak and has {available_s:.2f} s; {advice}shorten its text or move the cue."
        )


def _ending(utterance: Utterance, ends: Break) -> Utterance:
    """An utterance whose last word says what ends with it."""
    if not utterance.words:
        return utterance
    *before, last = utterance.words
    return replace(utterance, words=(*before, replace(last, ends=ends)))


def unreadable_words(text: str, scripts: tuple[str, ...]) -> list[str]:
    """Words with a letter of none of the scripts (see `Voice.scripts`); without scripts, no words."""
    if not scripts:
        return []
    return [word for word in text.split() if not all(name.startswith(scripts) for name in _letter_names(word))]


def _letter_names(word: str) -> Iterator[str]:
    """Unicode names of the letters of a word; letters of special widths and styles are taken as plain ones."""
    plain = unicodedata.normalize("NFKC", word)
    return (unicodedata.name(character, "") for character in plain if character.isalpha())


def _silence(like: Utterance, duration_s: float) -> Utterance:
    """Silence at the sampling rate of another utterance, as one pause if that has phones, and without words."""
    rate_hz = like.audio.rate_hz
    samples = np.zeros(round(duration_s * rate_hz), np.float32)
    phones = None if like.phones is None else (Phone(PAUSE, 0.0, len(samples) / rate_hz),)
    return Utterance(Audio(samples, rate_hz), phones, ())


def _trim(utterance: Utterance, lead_s: float, margin_s: float) -> Utterance:
    """Cut the silence before and after an utterance down to so many seconds, and fade it in and out."""
    rate_hz, samples = utterance.audio.rate_hz, utterance.audio.samples
    start_s, end_s = _speech_bounds(utterance)
    start = max(0, round((start_s - lead_s) * rate_hz))
    end = min(len(samples), round((end_s + margin_s) * rate_hz))
    kept = samples[start:end].copy()
    fade = np.linspace(0, 1, min(round(FADE_S * rate_hz), len(kept)), dtype=np.float32)
    kept[: len(fade)] *= fade
    kept[len(kept) - len(fade) :] *= fade[::-1]
    words = None if utterance.words is None else tuple(word.shifted(-start / rate_hz) for word in utterance.words)
    return Utterance(Audio(kept, rate_hz), _cut_phones(utterance, start / rate_hz, end / rate_hz), words)


def _speech_bounds(utterance: Utterance) -> tuple[float, float]:
    """Start of the first phone and end of the last one, in seconds; without phones, those of what is audible."""
    if utterance.phones is not None:
        phones = [phone for phone in utterance.phones if phone.symbol != PAUSE]
        return phones[0].start_s, phones[-1].end_s
    audible = np.flatnonzero(_measure_blocks(utterance.audio)[0])
    return float(audible[0] * BLOCK_S), float((audible[-1] + 1) * BLOCK_S)


def _cut_phones(utterance: Utterance, start_s: float, end_s: float) -> tuple[Phone, ...] | None:
    """The phones between two times, counted from the first of them."""
    if utterance.phones is None:
        return None
    cut = (
        replace(phone, start_s=max(phone.start_s, start_s) - start_s, end_s=min(phone.end_s, end_s) - start_s)
        for phone in utterance.phones
    )
    return tuple(phone for phone in cut if phone.end_s > phone.start_s)


def _measure_blocks(audio: Audio) -> tuple[BoolArray, NDArray[np.float64]]:
    """For each block of `BLOCK_S`: whether it is audible, and its mean square."""
    block = round(BLOCK_S * audio.rate_hz)
    padded = np.pad(audio.samples, (0, -len(audio.samples) % block))
    power = np.square(padded.reshape(-1, block), dtype=np.float64).mean(1)
    return power >= power.max(initial=0) * 10 ** (SILENT_DB / 10), power


class _Loudness:
    """Brings the utterances of a script to one loudness.

    The gain follows from the mean power of all the utterances so far, not of each alone: a shout stays a shout.
    """

    def __init__(self) -> None:
        self._energy = 0.0
        """Sum of the mean squares of the audible blocks so far."""
        self._blocks = 0
        """How many these are."""

    def normalize(self, utterance: Utterance) -> Utterance:
        """Scale an utterance to `LEVEL_DB`, or less where a sample would exceed `PEAK`."""
        samples: FloatArray = utterance.audio.samples
        audible, power = _measure_blocks(utterance.audio)
        self._energy += float(power[audible].sum())
        self._blocks += int(audible.sum())
        gain = 10 ** (LEVEL_DB / 20) / max(np.sqrt(self._energy / self._blocks), 1e-6)
        gain = min(gain, PEAK / max(float(np.abs(samples).max(initial=0)), 1e-6))
        return replace(utterance, audio=replace(utterance.audio, samples=(samples * np.float32(gain))))
