"""Some hundred languages by the program espeak-ng (GPL-3.0-or-later) where it is installed. It sounds robotic."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from talkinghead.errors import NothingToSpeakError, VoiceUnavailableError
from talkinghead.structures import Audio, FloatArray
from talkinghead.text_to_speech.engine import Utterance, Voice

PROGRAM = "espeak-ng"
PACKAGE = "apt install espeak-ng"
TIMEOUT_S = 60
FIRST = ("en-us", "en-gb", "cmn")
"""Languages that are listed before the others."""


@dataclass(frozen=True)
class EspeakEngine:
    """espeak-ng: 22 kHz, one voice a language. It does not tell where the phones lie."""

    name: str = "espeak"
    program: str = PROGRAM

    @property
    def version(self) -> str:
        if not shutil.which(self.program):
            return ""
        said = self._run(["--version"]).decode(errors="replace")  # "eSpeak NG text-to-speech: 1.51  Data at: ..."
        return said.partition(":")[2].split()[0]

    def voices(self) -> Sequence[Voice]:
        return self._voices if shutil.which(self.program) else ()

    def missing(self) -> str:
        return "" if shutil.which(self.program) else PACKAGE

    def speak(self, sentence: str, voice: str) -> Utterance:
        if not shutil.which(self.program):
            raise VoiceUnavailableError(f"The voice {voice} needs espeak-ng: {PACKAGE}")
        language = voice.partition("-")[2]
        wave = self._run(["-v", language, "-b", "1", "-z", "--stdin", "--stdout"], sentence)
        samples, rate_hz = read_wave(wave)
        if not samples.any():
            raise NothingToSpeakError(f"Nothing in {sentence[:40]!r} can be said by {voice}.")
        return Utterance(Audio(samples, rate_hz))

    @cached_property
    def _voices(self) -> Sequence[Voice]:
        found: dict[str, Voice] = {}
        for line in self._run(["--voices"]).decode(errors="replace").splitlines()[1:]:
            _, language, _, name, file, *_ = line.split()
            if "mb/" not in file and language != "variant":  # MBROLA's need files that are not here
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


def read_wave(wave: bytes) -> tuple[FloatArray, int]:
    """Samples and rate of 16-bit mono PCM as espeak-ng streams it; the length in its header is no length."""
    start = wave.find(b"data") + 8
    if wave[:4] != b"RIFF" or start < 8:
        raise VoiceUnavailableError("espeak-ng answered something that is not a sound.")
    rate_hz = int.from_bytes(wave[24:28], "little")
    pcm = np.frombuffer(wave[start : start + (len(wave) - start) // 2 * 2], "<i2")
    return (pcm / np.float32(32768)).astype(np.float32), rate_hz
