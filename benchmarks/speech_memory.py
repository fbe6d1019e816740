"""Peak memory and time of the speech side alone, for short and for long speech: memory must not grow with the length.

    python benchmarks/speech_memory.py AUDIO [--seconds 60 1200 3600]
    python benchmarks/speech_memory.py AUDIO --curve --seconds 10800    # what is resident at every half hour

What is measured is what `talkinghead generate` does with audio, each length in a process of its own: one reading for
loudness and voice activity, one for encoder and predictor, at 25 frames a second. The peak is the process's largest
resident memory.
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
    parser.add_argument("audio", type=Path, help="audio to repeat")
    parser.add_argument("--seconds", type=float, nargs="+", default=[60.0, 1200.0, 3600.0], help="lengths of speech")
    parser.add_argument("--curve", action="store_true", help="resident memory along the audio, for the first length")
    parser.add_argument("--once", action="store_true", help="predict from AUDIO as it is, in this process")
    options = parser.parse_args()
    if not is_here(options.audio, "an audio file"):
        return
    if options.once:
        predict(AudioFile(options.audio))
        return
    if options.curve:
        with TemporaryDirectory(dir=Path.cwd(), prefix=".speech_memory.") as folder:
            write_speech(options.audio, Path(folder) / "speech.wav", options.seconds[0])
            audio = WatchedAudio(Path(folder) / "speech.wav")
            predict(audio)
        print_report(f"{options.audio.name}, repeated", ["reading of the audio", "minute", "MB"], audio.rows)
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
class WatchedAudio(AudioFile):
    """Audio that notes the resident memory whenever MARK_S of it have gone by, each time that it is read."""

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


def predict(audio: AudioFile) -> None:
    """Print the peak, the peak after loading, seconds, and seconds for a second of audio."""
    from talkinghead.speech.analysis import analyze
    from talkinghead.speech.model import SpeechModel
    from talkinghead.speech.voice_activity import VoiceActivityConfig, gate

    speech_model, config = SpeechModel.load(), VoiceActivityConfig()
    loaded_mb = peak_mb()
    started = time.monotonic()
    analysis = analyze(audio, config)
    times_s = np.arange(0, analysis.duration_s, 1 / FRAMES_HZ)
    moving = gate(analysis.speech_s, times_s, config)
    frames = sum(len(part.values) for part in speech_model.predict_parts(audio, times_s, analysis.level))
    assert len(moving) == frames
    seconds = time.monotonic() - started
    print(f"{peak_mb():.0f} {loaded_mb:.0f} {seconds:.1f} {seconds / analysis.duration_s:.4f}")


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
