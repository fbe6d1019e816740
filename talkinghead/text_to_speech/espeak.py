"""About a hundred languages by the program espeak-ng (GPL-3.0-or-later), where it is installed. It sounds robotic."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import soundfile

from talkinghead.errors import NothingToSpeakError, VoiceUnavailableError
from talkinghead.structures import Audio
from talkinghead.text_to_speech.engine import Utterance, Voice

PROGRAM = "espeak-ng"
INSTALL = "apt install espeak-ng"
TIMEOUT_S = 60
"""For one sentence."""
FIRST = ("en-us", "en-gb", "cmn")
"""Languages that are listed before the others, espeak-ng's names."""


@dataclass(frozen=True)
class EspeakEngine:
    """espeak-ng: 22 kHz, one voice a language, no times of phones."""

    name: str = "espeak"
    program: str = PROGRAM

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

    def speak(self, sentence: str, voice: str) -> Utterance:
        if not shutil.which(self.program):
            raise VoiceUnavailableError(f"The voice {voice} needs espeak-ng: {INSTALL}")
        language = voice.partition("-")[2]
        wav = self._run(["-v", language, "-b", "1", "-z", "--stdin", "--stdout"], sentence)
        audio = read_wav(wav)
        if not audio.samples.any():
            raise NothingToSpeakError(f"The voice {voice} can pronounce nothing in {sentence[:40]!r}.")
        return Utterance(audio)

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


def read_wav(content: bytes) -> Audio:
    """Decode the mono WAV that espeak-ng streams; the length in its header is a placeholder, and ignored.

    Raises:
        VoiceUnavailableError: it is no WAV.
    """
    try:
        samples, rate_hz = soundfile.read(io.BytesIO(content), dtype="float32")
    except soundfile.LibsndfileError as error:
        raise VoiceUnavailableError(f"espeak-ng's output is not audio: {error.error_string}") from error
    return Audio(samples, rate_hz)
