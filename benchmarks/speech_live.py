"""What it costs to predict the mouth while the audio still arrives.

    python benchmarks/speech_live.py RECORDING [--block-ms 100]

For several look-aheads: correlation of the opening with that of the whole recording at once, when the first expression
comes, and seconds of work for a second of audio (alone on the machine).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import torch
import torchaudio

from talkinghead import metrics
from talkinghead.face.face_model import load_face_model
from talkinghead.media.audio_reader import read_audio
from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.speech.model import SpeechModel
from talkinghead.speech.streaming import stream_expression
from talkinghead.structures import Audio, FloatArray
from talkinghead.weights.bundled import checkpoint_path

LONGEST_S = 30.0
LOOK_AHEADS_S = (0.1, 0.2, 0.4, 0.8, 1.6)


@click.command()
@click.argument("recording", type=click.Path(path_type=Path))
@click.option("--block-ms", default=100.0, show_default=True, help="Length of the blocks in which the audio arrives.")
def main(recording: Path, block_ms: float) -> None:
    """Print the table as Markdown."""
    read = read_audio(recording, longest_s=LONGEST_S)
    samples = torchaudio.functional.resample(torch.from_numpy(read.samples.copy()), read.rate_hz, RATE_HZ).numpy()
    speech_model = SpeechModel.load()
    gap = load_face_model(checkpoint_path("face_model.safetensors")).expression_basis[:, [13, 14], 1] @ [1.0, -1.0]
    arrived_s = 0.0

    def blocks() -> Iterator[FloatArray]:
        nonlocal arrived_s
        size = round(block_ms / 1000 * RATE_HZ)
        for start in range(0, len(samples), size):
            arrived_s = min(start + size, len(samples)) / RATE_HZ
            yield samples[start : start + size]

    print("| look-ahead ms | first expression after ms of audio | r with the whole | s per s of audio |")
    print("|---|---|---|---|")
    for look_ahead_s in LOOK_AHEADS_S:
        began = time.perf_counter()
        stream = stream_expression(speech_model, blocks(), look_ahead_s)
        parts = [next(stream)]
        first_s = arrived_s
        parts += stream
        cost = (time.perf_counter() - began) / (len(samples) / RATE_HZ)
        times_s = np.concatenate([part.times_s for part in parts])
        whole = speech_model.predict(Audio(samples, RATE_HZ), times_s)
        streamed = np.concatenate([part.expression.values for part in parts])
        r = metrics.pearson_r(streamed @ gap, whole.values @ gap)
        print(f"| {1000 * look_ahead_s:.0f} | {1000 * first_s:.0f} | {r:.3f} | {cost:.2f} |", flush=True)


if __name__ == "__main__":
    main()
