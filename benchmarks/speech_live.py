"""What it costs to drive an anchor while the audio still arrives, and how near that comes to the file's answer.

    OMP_NUM_THREADS=1 python benchmarks/speech_live.py ANCHOR RECORDING... [--block-ms 40]

For each recording and several look-aheads: latency (arrival of the block that completes a moment's expression, minus
the moment, at most), correlation of the delivered mouth opening with that of the whole recording at once, and seconds
of one thread's work for a second of audio.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import torch
import torchaudio
from harness import machine
from numpy.typing import NDArray

from talkinghead import load_anchor, metrics
from talkinghead.generation.driving import expression_from_speech, load_speech_model
from talkinghead.generation.live import LiveStream
from talkinghead.media.audio_reader import read_audio
from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.structures import Audio, FloatArray

LONGEST_S = 30.0
LOOK_AHEADS_S = (0.1, 0.24, 0.4, 0.8)


@click.command()
@click.argument("anchor_folder", metavar="ANCHOR", type=click.Path(path_type=Path))
@click.argument("recordings", metavar="RECORDING...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--block-ms", default=40.0, show_default=True, help="Length of the blocks in which the audio arrives.")
@click.option("--own-voice", is_flag=True, help="The recordings are of the anchor's own voice.")
@click.option("--look-ahead-ms", type=float, help="Measure this look-ahead alone.")
@click.option("--encoder", help="Another folder of the anchor's encoder, such as one without its weights for streams.")
def main(
    anchor_folder: Path,
    recordings: tuple[Path, ...],
    block_ms: float,
    own_voice: bool,
    look_ahead_ms: float | None,
    encoder: str | None,
) -> None:
    """Print the table as Markdown."""
    torch.set_num_threads(1)
    anchor = load_anchor(anchor_folder)
    speech_model = load_speech_model(anchor, encoder, torch.device("cpu"))
    found: dict[float, list[float]] = {}
    look_aheads_s = LOOK_AHEADS_S if look_ahead_ms is None else (look_ahead_ms / 1000,)

    print(machine())
    print("| recording | look-ahead ms | latency ms | r with the file's | s per s of audio | longest block ms |")
    print("|---|---:|---:|---:|---:|---:|")
    for recording in recordings:
        read = read_audio(recording, longest_s=LONGEST_S)
        samples = torchaudio.functional.resample(torch.from_numpy(read.samples.copy()), read.rate_hz, RATE_HZ).numpy()
        for look_ahead_s in look_aheads_s:
            stream = LiveStream(anchor, speech_model, own_voice=own_voice, look_ahead_s=look_ahead_s)
            times: list[NDArray[np.float64]] = []
            values: list[FloatArray] = []
            work_s: list[float] = []
            late_s = 0.0
            for arrived_s, block in _blocks(samples, block_ms / 1000):
                began = time.thread_time()
                part = stream.push(block)
                work_s.append(time.thread_time() - began)
                if any(map(len, times)) and len(part.times_s):  # the first part begins with the stream
                    late_s = max(late_s, arrived_s - part.times_s[0])
                times.append(part.times_s)
                values.append(part.values)
            part = stream.finish()
            times_s = np.concatenate([*times, part.times_s])
            live = anchor.face.opening(np.concatenate([*values, part.values]))
            audio = Audio(samples, RATE_HZ)
            whole = expression_from_speech(anchor, speech_model, audio, times_s, own_voice=own_voice)
            r = metrics.pearson_r(live.astype(np.float64), anchor.face.opening(whole).astype(np.float64))
            found.setdefault(look_ahead_s, []).append(r)
            cost = sum(work_s) / (len(samples) / RATE_HZ)
            print(
                f"| {recording.name} | {1000 * look_ahead_s:.0f} | {1000 * late_s:.0f} | {r:.3f} "
                f"| {cost:.3f} | {1000 * max(work_s):.0f} |",
                flush=True,
            )
    if len(recordings) > 1:
        for look_ahead_s, rs in found.items():
            print(f"| mean of {len(rs)} | {1000 * look_ahead_s:.0f} | | {np.mean(rs):.3f} | | |")


def _blocks(samples: FloatArray, block_s: float) -> Iterator[tuple[float, FloatArray]]:
    """Blocks of a recording, (N,), and the time in seconds at which each has arrived."""
    size = round(block_s * RATE_HZ)
    for start in range(0, len(samples), size):
        yield min(start + size, len(samples)) / RATE_HZ, samples[start : start + size]


if __name__ == "__main__":
    main()
