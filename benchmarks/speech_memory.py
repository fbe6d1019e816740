"""Peak memory and time of the speech side alone, for short and for long speech: memory must not grow with the length.

    python benchmarks/speech_memory.py SOUND [--seconds 60 1200 3600]

What is measured is what `talkinghead generate` does with sound, each length in a process of its own: loudness, voice
activity, the encoder, the predictor, at 25 frames a second. The peak is the process's largest resident memory.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from harness import is_here, print_report, write_speech

FRAMES_HZ = 25


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("sound", type=Path, help="sound to repeat")
    parser.add_argument("--seconds", type=float, nargs="+", default=[60.0, 1200.0, 3600.0], help="lengths of speech")
    parser.add_argument("--once", action="store_true", help="listen to SOUND as it is, in this process")
    options = parser.parse_args()
    if not is_here(options.sound, "a sound file"):
        return
    if options.once:
        listen(options.sound)
        return
    rows = []
    for length_s in options.seconds:
        with TemporaryDirectory(dir=Path.cwd(), prefix=".speech_memory.") as folder:
            speech = Path(folder) / "speech.wav"
            write_speech(options.sound, speech, length_s)
            rows.append([f"{length_s:.0f} s", *measure(speech)])
    print_report(f"{options.sound.name}, repeated", ["speech", "peak MB", "after loading MB", "s", "s per s"], rows)


def measure(speech: Path) -> list[str]:
    """The numbers that a process of its own prints."""
    command = [sys.executable, __file__, str(speech), "--once"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def listen(speech: Path) -> None:
    """Print the peak, the peak after loading, seconds, and seconds for a second of sound."""
    from talkinghead.media import SoundFile
    from talkinghead.speech import load_speech_side, predict_expression
    from talkinghead.voice_activity import voice_activity

    encoder, predictor = load_speech_side()
    loaded_mb = peak_mb()
    started = time.monotonic()
    sound = SoundFile(speech)
    times_s = np.arange(0, sound.duration_s, 1 / FRAMES_HZ)
    moving = voice_activity(sound, times_s)
    expression = predict_expression(encoder, predictor, sound, times_s).values
    assert len(moving) == len(expression)
    seconds = time.monotonic() - started
    print(f"{peak_mb():.0f} {loaded_mb:.0f} {seconds:.1f} {seconds / sound.duration_s:.4f}")


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
