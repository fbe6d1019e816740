"""How mouths, lids and heads move: those of the performances beside those of filmed people, in numbers.

    python tools/presenter/mouth_statistics.py --clips FOLDER newsroom.mp4 syllables/ba.mp4 -p PERFORMANCE ...

Clips of FOLDER are tracked (their audio may be beside them, as .wav); nothing is kept of them but numbers. With
`--plosives` benchmarks/ has to be on the path and the package hama installed.

In centimeters of the face model for clips, of the head model for a performance. Columns: gap between the inner lips,
median and 95th percentile; its speed after a closure and before one (median of the largest of each, at the clip's frame
rate); how long lips are closed (gap below 20 % of its range), median; how much thinner both lips together are in a
closure than in an open mouth (a measure of pressure: landmarks never show a gap below 0); lips - burst by the clock of
plosives, where there are enough; of blinks, the time from half to closed and from closed to half; standard deviation of
the head's pitch, yaw and roll, and its median speed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lips import MIDDLE, lip_gaps
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from talkinghead import metrics
from talkinghead.face.face_model import load_face_model
from talkinghead.face.reconstruction import reconstruct
from talkinghead.face.tracking import track_file
from talkinghead.files import load_arrays
from talkinghead.media.audio_reader import read_audio
from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.speech.resampling import resample
from talkinghead.structures import Audio
from talkinghead.weights.bundled import checkpoint_path

Values = NDArray[np.float64]

CLOSED_SHARE = 0.2
"""Lips are closed below this share of the range of their gap, as in `metrics.lip_partings`."""
LEAST_RANGE = 0.6
"""The range reaches at least to this share of the widest gap: some clips are silent for most of the time."""
LONGEST_CLOSURE_S = 0.3
"""Longer ones are pauses."""
FEWEST = 3
"""Where there are fewer short ones, as in a syllable alone, pauses count too."""
AROUND_S = 0.2
"""How far before and after a closure the fastest movement is sought."""
SHUT = 0.25
"""Lids are shut below this share of their median opening, and half open at 0.6 of it."""
HALF = 0.6


@dataclass(frozen=True)
class Movement:
    """One person in T frames."""

    name: str
    times_s: Values
    """(T,)"""
    gap_cm: Values
    """(T,) between the inner lips."""
    thickness_cm: Values
    """(T,) of both lips together."""
    lids: Values
    """(T,) how far they are open, in any unit."""
    rotation_deg: Values
    """(T, 3)"""
    offset_ms: float
    """Lips - burst; NaN where it is not known."""


def of_performance(folder: Path) -> Movement:
    """What performance.py wrote."""
    arrays, metadata = load_arrays(folder / "performance.safetensors")
    about = json.loads(metadata["performance"])
    lips = arrays["lips_cm"].astype(np.float64)
    gap = lip_gaps(lips)[:, MIDDLE]
    times_s = np.arange(len(gap)) / about["frame_rate"]
    audio = read_audio(folder / "speech.wav")
    plosives = arrays["phone_times_s"][[phone in "pb" for phone in about["phones"]]].astype(np.float64)
    offset = metrics.plosive_offset(metrics.find_bursts(audio, plosives), metrics.lip_partings(gap, times_s))
    outer = lips[:, 3, 1] - lips[:, 9, 1]
    spoken = slice(0, about["idle_frames"][0])
    lids = 1 - arrays["blink"].astype(np.float64)
    rotation = np.degrees(arrays["rotation_rad"].astype(np.float64))
    parts = (times_s, gap, outer - gap, lids, rotation)
    return Movement(folder.name, *(part[spoken] for part in parts), offset.median_ms)


def of_clip(path: Path, name: str, plosives: bool) -> Movement:
    """A filmed person, by the project's landmarks; the clock needs the package hama, to find p and b roughly."""
    track = track_file(path)
    found = reconstruct(track, load_face_model(checkpoint_path("face_model.safetensors")))
    points = track.landmarks[..., :2].astype(np.float64) / found.scale[:, None, None].astype(np.float64)
    points[~track.valid] = np.nan

    def apart(upper: int, lower: int) -> Values:
        return np.asarray(np.linalg.norm(points[:, upper] - points[:, lower], axis=1))

    gap = apart(13, 14)
    offset = _offset_ms(path, gap, track.times_s) if plosives else np.nan
    lids = (apart(159, 145) + apart(386, 374)) / 2
    rotation = np.degrees(Rotation.from_rotvec(found.rotation.astype(np.float64)).as_euler("XYZ"))
    return Movement(name, track.times_s, gap, apart(0, 17) - gap, lids, rotation, offset)


def _offset_ms(path: Path, gap: Values, times_s: Values) -> float:
    from plosives import recognized_plosives  # benchmarks/

    from talkinghead.training.speech.phoneme_recognizer import PhonemeRecognizer

    beside = path.with_suffix(".wav")
    read = read_audio(beside if beside.exists() else path)
    audio = Audio(resample(torch.from_numpy(read.samples), read.rate_hz, RATE_HZ).numpy(), RATE_HZ)
    bursts_s = metrics.find_bursts(audio, recognized_plosives(PhonemeRecognizer(), audio))
    return metrics.plosive_offset(bursts_s, metrics.lip_partings(gap, times_s)).median_ms


def closures(move: Movement) -> tuple[list[float], list[float], list[float], list[float]]:
    """Of each closure: length in seconds, largest speed before and after it in cm/s, and thickness of the lips."""
    low, high = np.nanquantile(move.gap_cm, [0.03, 0.95])
    high = max(high, LEAST_RANGE * float(np.nanmax(move.gap_cm)))
    is_closed = move.gap_cm <= low + CLOSED_SHARE * (high - low)
    edges = np.flatnonzero(np.diff(np.pad(is_closed.astype(int), 1)))
    speed = np.gradient(move.gap_cm, move.times_s)
    rate = 1 / float(np.median(np.diff(move.times_s)))
    around = max(1, round(AROUND_S * rate))
    lengths, closing, opening, thickness = [], [], [], []
    pairs = edges.reshape(-1, 2).tolist()
    short = [(begin, end) for begin, end in pairs if (end - begin) / rate <= LONGEST_CLOSURE_S]
    for begin, end in short if len(short) >= FEWEST else pairs:
        # A clip that begins or ends with closed lips does not show how they met, or part.
        if begin > 0:
            closing.append(-float(np.nanmin(speed[max(0, begin - around) : begin + 1])))
        if end < len(speed):
            opening.append(float(np.nanmax(speed[end - 1 : end + around])))
        if begin > 0 and end < len(speed):
            lengths.append((end - begin) / rate)
            thickness.append(float(np.nanmin(move.thickness_cm[begin:end])))
    return lengths, closing, opening, thickness


def blink_lengths(move: Movement) -> tuple[list[float], list[float]]:
    """Of each blink, the time from half open to shut and from shut to half open, seconds."""
    lids = move.lids / np.nanmedian(move.lids)
    low = np.flatnonzero((lids[1:-1] < lids[:-2]) & (lids[1:-1] <= lids[2:]) & (lids[1:-1] < SHUT + 0.2)) + 1
    closing, opening = [], []
    for least in low:
        before = next((i for i in range(least, max(least - 12, 0), -1) if lids[i - 1] > HALF), None)
        after = next((i for i in range(least, min(least + 20, len(lids) - 1)) if lids[i + 1] > HALF), None)
        if before is not None and after is not None:
            closing.append(float(move.times_s[least] - move.times_s[before - 1]))
            opening.append(float(move.times_s[after + 1] - move.times_s[least]))
    return closing, opening


def row(move: Movement) -> str:
    """A line of the table."""
    lengths, closing, opening, thickness = closures(move)
    at_rest = float(np.nanmedian(move.thickness_cm[move.gap_cm > np.nanmedian(move.gap_cm)]))
    shutting, parting = blink_lengths(move)
    rate = 1 / float(np.median(np.diff(move.times_s)))
    speed = np.linalg.norm(np.diff(move.rotation_deg, axis=0), axis=1) * rate

    def middle(values: Sequence[float], factor: float = 1.0, digits: int = 0) -> str:
        return f"{factor * np.median(values):.{digits}f}" if len(values) else "-"

    cells = [
        move.name,
        f"{np.nanmedian(move.gap_cm):.2f} / {np.nanquantile(move.gap_cm, 0.95):.2f}",
        f"{middle(opening, 1, 1)} / {middle(closing, 1, 1)}",
        f"{middle(lengths, 1000)} ({len(lengths)})",
        f"{100 * (np.median(thickness) / at_rest - 1):+.0f} %" if thickness else "-",
        f"{move.offset_ms:+.0f}" if np.isfinite(move.offset_ms) else "-",
        f"{middle(shutting, 1000)} / {middle(parting, 1000)} ({len(shutting)})",
        " / ".join(f"{value:.1f}" for value in np.nanstd(move.rotation_deg, axis=0)),
        f"{np.nanmedian(speed):.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, help="folder of the clips")
    parser.add_argument("names", nargs="*", help="clips in it")
    parser.add_argument("-p", "--performance", type=Path, action="append", default=[])
    parser.add_argument("--plosives", action="store_true", help="time the clips' plosives too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| | gap, cm: median / 95 % | speed of opening / closing, cm/s | closed, ms (number) | thinner lips "
        "| lips - burst, ms | blink: shutting / opening, ms (number) | head, degrees: pitch / yaw / roll "
        "| its speed, degrees/s |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for folder in options.performance:
        print(row(of_performance(folder)), flush=True)
    for name in options.names:
        print(row(of_clip(options.clips / name, name, options.plosives)), flush=True)


if __name__ == "__main__":
    main()
