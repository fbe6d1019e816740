"""What is known of a speech beside its audio: its phones and its words, with their times."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from talkinghead.captions.cues import LINE_WIDTH, Cue, make_cues, shift_cues
from talkinghead.errors import OptionError, TableError
from talkinghead.generation.config import GenerationConfig
from talkinghead.media.audio_reader import AudioFile, read_audio
from talkinghead.media.text_track import TextTrack, TimedText
from talkinghead.speech.articulation import KnownPhones, symbols_of
from talkinghead.speech.phone_alignment import align_transcript
from talkinghead.speech.phone_times import read_phone_times
from talkinghead.text_to_speech.engine import Phone, Word
from talkinghead.text_to_speech.speech_file import SpokenFile

PHONES_BEYOND_S = 0.5
"""A table of phones that goes on for longer than the speech is refused, seconds."""


@dataclass(frozen=True)
class KnownSpeech:
    """Phones and words of a recording, where the user or the text-to-speech engine tells them."""

    phones: KnownPhones | None = None
    words: tuple[Word, ...] | None = None
    """As they are written."""
    language: str = ""
    """BCP 47 tag of the words; empty where it is not known."""

    @property
    def needed_words(self) -> tuple[Word, ...]:
        """The words.

        Raises:
            OptionError: they are not known.
        """
        if self.words is None:
            raise OptionError(
                "Subtitles need the words of the speech: give an English recording's with --transcript, or have a text "
                "spoken (--text, --text-file)."
            )
        return self.words

    @property
    def needed_phones(self) -> KnownPhones:
        """The phones.

        Raises:
            OptionError: they are not known.
        """
        if self.phones is None:
            raise OptionError(
                "Visemes need the phones of the speech: give them with --phones or --transcript, or have a text spoken "
                "by an engine that tells them, which hibari and kokoro do."
            )
        return self.phones


def known_speech(
    audio: AudioFile, spoken: SpokenFile | None, config: GenerationConfig, duration_s: float
) -> KnownSpeech:
    """What is known of a recording of that length; `spoken` is what is known of one that is a spoken script.

    Raises:
        MissingFileError, TableError: transcript or table of phones cannot be read, or does not fit the recording; or
            the table's phones are in another notation than IPA or ARPABET.
        ModelUnavailableError: what aligns a transcript is not installed.
    """
    words = None if spoken is None else spoken.words
    language = "" if spoken is None else str(spoken.report.get("language", ""))
    if config.phones is not None:
        phones = read_phone_times(config.phones).spoken
        if not phones or phones[-1].end_s > duration_s + PHONES_BEYOND_S:
            what = f"goes on to {phones[-1].end_s:.2f} s" if phones else "has pauses only"
            raise TableError(
                f"{config.phones} {what}, and {audio.path} lasts {duration_s:.2f} s; is it of another one?"
            )
        if sum(bool(symbols_of(phone.symbol)) for phone in phones) < len(phones) / 2:
            raise TableError(f"{config.phones} has phones like {phones[0].symbol!r:.20}, and not in IPA or ARPABET.")
        return KnownSpeech(KnownPhones(phones, is_synthetic=True), words, language)
    if config.transcript is not None:
        recording = read_audio(audio.path, whole=True, tracks=audio.tracks)
        aligned = align_transcript(config.transcript, recording)
        return KnownSpeech(KnownPhones(aligned.phones.spoken, is_synthetic=False), aligned.words, "en")
    phones_known = None if spoken is None or spoken.phones is None else KnownPhones(spoken.phones, is_synthetic=True)
    return KnownSpeech(phones_known, words, language)


class HasKnownSpeech(Protocol):
    """Where what is known of a speech is found."""

    @property
    def found(self) -> KnownSpeech:
        """What is known. Raises what `known_speech` raises."""
        ...


@dataclass(frozen=True)
class FoundSpeech:
    """What is known already."""

    found: KnownSpeech


@dataclass(frozen=True)
class LazySpeech:
    """The arguments of `known_speech`, which is called where something asks: an alignment takes its time."""

    audio: AudioFile
    spoken: SpokenFile | None
    config: GenerationConfig
    duration_s: float

    @cached_property
    def found(self) -> KnownSpeech:
        """What is known. Raises what `known_speech` raises."""
        return known_speech(self.audio, self.spoken, self.config, self.duration_s)


@dataclass(frozen=True)
class Captions:
    """What is said, in the time of an output."""

    speech: HasKnownSpeech
    shift_s: float
    """When in the output the speech begins, seconds; negative in a preview that begins later."""
    duration_s: float
    """Length of the output, seconds."""

    @cached_property
    def cues(self) -> tuple[Cue, ...]:
        """The subtitles. Raises OptionError where the words are not known, and what `known_speech` raises."""
        return self.cues_of(LINE_WIDTH)

    def cues_of(self, line_width: float) -> tuple[Cue, ...]:
        """The subtitles in lines of at most so many letters. Raises what `cues` raises."""
        return shift_cues(make_cues(self.speech.found.needed_words, line_width), self.shift_s, self.duration_s)

    @property
    def text_track(self) -> TextTrack:
        """The subtitles as a track of the video. Raises what `cues` raises."""
        texts = (TimedText(cue.start_s, cue.end_s, "\n".join(cue.lines)) for cue in self.cues)
        return TextTrack(tuple(texts), self.speech.found.language)

    @property
    def phones(self) -> tuple[Phone, ...]:
        """The phones. Raises OptionError where they are not known, and what `known_speech` raises."""
        moved = (
            replace(phone, start_s=max(0.0, phone.start_s + self.shift_s), end_s=phone.end_s + self.shift_s)
            for phone in self.speech.found.needed_phones.phones
        )
        return tuple(phone for phone in moved if phone.end_s > phone.start_s)
