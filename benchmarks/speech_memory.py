"""Peak memory and time of the speech side alone, for short and for long speech: memory must not grow with the length.

    python benchmarks/speech_memory.py SOUND [--seconds 60 1200 3600]
    python benchmarks/speech_memory.py SOUND --curve --seconds 10800    # what is resident at every half hour

What is measured is what `talkinghead generate` does with sound, each length in a process of its own: loudness, voice
activity, the encoder, the predictor, at 25 frames a second. The peak is the process's largest resident memory.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from harness import is_here, print_report, write_speech

from talkinghead.media.audio_reader import AudioFile
from talkinghead.structures import FloatArray

FRAMES_HZ = 25
MARK_S = 1800.0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("sound", type=Path, help="sound to repeat")
    parser.add_argument("--seconds", type=float, nargs="+", default=[60.0, 1200.0, 3600.0], help="lengths of speech")
    parser.add_argument("--curve", action="store_true", help="resident memory along the sound, for the first length")
    parser.add_argument("--once", action="store_true", help="listen to SOUND as it is, in this process")
    options = parser.parse_args()
    if not is_here(options.audio, "a sound file"):
        return
    if options.once:
        listen(AudioFile(options.audio))
        return
    if options.curve:
        with TemporaryDirectory(dir=Path.cwd(), prefix=".speech_memory.") as folder:
            write_speech(options.audio, Path(folder) / "speech.wav", options.seconds[0])
            audio = WatchedSound(Path(folder) / "speech.wav")
            listen(audio)
        print_report(f"{options.audio.name}, repeated", ["time the sound is read", "minute", "MB"], audio.rows)
        return
    rows = []
    for length_s in options.seconds:
        with TemporaryDirectory(dir=Path.cwd(), prefix=".speech_memory.") as folder:
            speech = Path(folder) / "speech.wav"
            write_speech(options.audio, speech, length_s)
            rows.append([f"{length_s:.0f} s", *measure(speech)])
    print_report(f"{options.audio.name}, repeated", ["speech", "peak MB", "after loading MB", "s", "s per s"], rows)


def measure(speech: Path) -> list[str]:
    """The numbers that a process of its own prints."""
    command = [sys.executable, __file__, str(speech), "--once"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


@dataclass(frozen=True)
class WatchedSound(AudioFile):
    """Sound that notes what is resident whenever MARK_S of it have gone by, each time that it is read."""

    rows: list[list[str]] = field(default_factory=list)
    readings: list[None] = field(default_factory=list)

    def blocks(self) -> Iterator[FloatArray]:
        self.readings.append(None)
        reading, passed, noted = len(self.readings), 0, -1
        for block in super().blocks():
            yield block
            passed += len(block)
            if passed / self.rate_hz // MARK_S > noted:
                noted = int(passed / self.rate_hz // MARK_S)
                self.rows.append([str(reading), f"{noted * MARK_S / 60:.0f}", f"{resident_mb():.0f}"])


def listen(audio: AudioFile) -> None:
    """Print the peak, the peak after loading, seconds, and seconds for a second of sound."""
    from talkinghead.speech.model import load_speech_model, predict_expression
    from talkinghead.speech.voice_activity import voice_activity

    encoder, predictor = load_speech_model()
    loaded_mb = peak_mb()
    started = time.monotonic()
    times_s = np.arange(0, audio.duration_s, 1 / FRAMES_HZ)
    moving = voice_activity(audio, times_s)
    expression = predict_expression(encoder, predictor, audio, times_s).values
    assert len(moving) == len(expression)
    seconds = time.monotonic() - started
    print(f"{peak_mb():.0f} {loaded_mb:.0f} {seconds:.1f} {seconds / audio.duration_s:.4f}")


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
