"""About a hundred languages by the program espeak-ng (GPL-3.0-or-later), where it is installed. It sounds robotic."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from talkinghead.errors import NothingToSpeakError, VoiceUnavailableError
from talkinghead.structures import Audio
from talkinghead.text_to_speech.engine import Utterance, Voice
from talkinghead.text_to_speech.espeak_timing import speak_by_library
from talkinghead.text_to_speech.phones import PhonedWord, split_marks, to_espeak

PROGRAM = "espeak-ng"
INSTALL = "apt install espeak-ng"
TIMEOUT_S = 60
"""For one sentence."""
_MINUS = re.compile(r"(?<![\w.,)-])[-−](?=\d)")
"""A minus sign before a number, typed as a hyphen or not."""
WORDS_PER_MINUTE = 175
"""espeak-ng's usual speed."""
FIRST = ("en-us", "en-gb", "cmn")
"""Languages that are listed before the others, espeak-ng's names."""


@dataclass(frozen=True)
class EspeakEngine:
    """espeak-ng: 22 kHz, one voice a language. Phones have times where its library is beside its program."""

    name: str = "espeak"
    program: str = PROGRAM
    library: bool = True
    """Whether the library is asked, which alone tells the phones."""
    reads_phones: ClassVar[bool] = True

    @property
    def version(self) -> str:
        if not shutil.which(self.program):
            return ""
        answer = self._run(["--version"]).decode(errors="replace")  # "eSpeak NG text-to-speech: 1.51  Data at: ..."
        return answer.partition(":")[2].split()[0]

    def voices(self) -> Sequence[Voice]:
        return self._voices if shutil.which(self.program) else ()

    def missing(self) -> str:
        return "" if shutil.which(self.program) else INSTALL

    def speak(self, sentence: str, voice: str, speed: float = 1.0) -> Utterance:
        if not shutil.which(self.program):
            raise VoiceUnavailableError(f"The voice {voice} needs espeak-ng: {INSTALL}")
        language = voice.partition("-")[2]
        text = "".join(
            _marked_up(part if isinstance(part, PhonedWord) else self._with_minus(part, language))
            for part in split_marks(sentence)
        )
        words_per_minute = str(round(WORDS_PER_MINUTE * speed))
        utterance = speak_by_library(text, sentence, language, words_per_minute) if self.library else None
        if utterance is None:
            arguments = ["-v", language, "-b", "1", "-z", "-s", words_per_minute, "--stdin", "--stdout"]
            utterance = Utterance(read_wav(self._run(arguments, text)))
        if not utterance.audio.samples.any():
            raise NothingToSpeakError(f"The voice {voice} can pronounce nothing in {sentence[:40]!r}.")
        return utterance

    def unsayable(self, sentence: str, voice: str) -> Sequence[str]:
        """Signs for which the voice's language has no word, found out by asking for their phones."""
        if shutil.which(self.program) and _MINUS.search(sentence) and not self._minus(voice.partition("-")[2]):
            minus = _MINUS.findall(sentence)
        else:
            minus = []
        signs = [
            character for character in sentence if unicodedata.category(character) in ("Sm", "Sc", "So", "No", "Nl")
        ]
        language = voice.partition("-")[2]
        silent = {sign: self._is_silent(sign, language) for sign in set(signs)} if shutil.which(self.program) else {}
        return [*minus, *(sign for sign in signs if silent.get(sign))]

    def _is_silent(self, sign: str, language: str) -> bool:
        return not any(map(str.isalnum, self._phones(sign, language)))

    def _minus(self, language: str) -> str:
        """The sign before a number that is said in a language: some lose the hyphen; empty if each is lost."""
        number = self._phones("5", language)
        return next((sign for sign in "-−" if self._phones(f"{sign}5", language) != number), "")

    def _with_minus(self, text: str, language: str) -> str:
        return _MINUS.sub(self._minus(language) or "-", text) if _MINUS.search(text) else text

    def _phones(self, text: str, language: str) -> str:
        """espeak-ng's mnemonics of a short text; each is asked for once."""
        if (text, language) not in self._asked:
            arguments = ["-v", language, "-b", "1", "-q", "-x", "--stdin"]
            self._asked[text, language] = self._run(arguments, text).decode(errors="replace").strip()
        return self._asked[text, language]

    @cached_property
    def _asked(self) -> dict[tuple[str, str], str]:
        """Text and language -> its mnemonics."""
        return {}

    @cached_property
    def _voices(self) -> Sequence[Voice]:
        found: dict[str, Voice] = {}
        for line in self._run(["--voices"]).decode(errors="replace").splitlines()[1:]:
            _, language, _, name, file, *_ = line.split()
            if "mb/" not in file and language != "variant":  # voices of MBROLA need files of their own
                found.setdefault(
                    language.lower(), Voice(f"espeak-{language.lower()}", language, name.replace("_", " "))
                )
        ordered = sorted(found, key=lambda tag: (FIRST.index(tag) if tag in FIRST else len(FIRST), tag))
        return [found[tag] for tag in ordered]

    def _run(self, arguments: list[str], text: str = "") -> bytes:
        try:
            done = subprocess.run(
                [self.program, *arguments], input=text.encode(), capture_output=True, check=True, timeout=TIMEOUT_S
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise VoiceUnavailableError(f"espeak-ng failed: {error}") from error
        return done.stdout


def _marked_up(part: str | PhonedWord) -> str:
    """A part of a sentence as espeak-ng takes it, which reads mnemonics of phones in [[ ]]."""
    return f" [[{to_espeak(part)}]] " if isinstance(part, PhonedWord) else part.replace("[[", "[ [")


def read_wav(content: bytes) -> Audio:
    """Decode the mono WAV that espeak-ng streams; the length in its header is a placeholder, and ignored.

    Raises:
        VoiceUnavailableError: it is no WAV.
    """
    import soundfile  # here alone, since every command imports this module

    try:
        samples, rate_hz = soundfile.read(io.BytesIO(content), dtype="float32")
    except soundfile.LibsndfileError as error:
        raise VoiceUnavailableError(f"espeak-ng's output is not audio: {error.error_string}") from error
    return Audio(samples, rate_hz)
