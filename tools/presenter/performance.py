"""The presenter's performance: what is said, and how mouth, eyes, brows and head move while it is said.

    python tools/presenter/performance.py presenter -o FOLDER

writes performance.safetensors and speech.wav. The built-in voice speaks the script; its phones, with their times,
become mouth shapes by coarticulation. The clip repeats without a seam: time is circular.

Frame t is at t / frame_rate seconds from the start of the audio. The head moves as in `head.rigidly_moved`: rotated
about `head.NECK_PIVOT` by the intrinsic rotations pitch (x, positive nods), yaw (y, positive turns to the presenter's
own left) and roll (z, positive tilts to the presenter's own right), then shifted. Axes: x to the presenter's left,
y up, z to the camera; centimeters.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from coarticulation import BREATH, VOWELS, Phone, articulate
from head import GAZE_RAD
from lips import MIDDLE, LipGeometry, lip_gaps, lip_points, load_lips
from looks import LOOKS
from motion import blink_times, blinks, bump, darts, wander
from numpy.typing import NDArray
from scipy.signal import resample_poly

from talkinghead.files import save_arrays
from talkinghead.media.audio_writer import write_audio
from talkinghead.speech.loudness import integrated_lufs
from talkinghead.structures import Audio, FloatArray
from talkinghead.text_to_speech import PAUSE, HibariEngine

Array = NDArray[np.float64]

FRAME_RATE = 25
"""Frames per second."""
VOICE = "hibari"
"""Voice that speaks the script."""
LOUDNESS_LUFS = -20.0
"""Integrated loudness of the audio."""
ROOM_DB = -72.0
"""Level of the room's noise, dB of full scale, so that pauses are not digital silence."""

LEAD_S, TRAIL_S = 0.03, 0.12
"""Silence that remains before and after a spoken sentence."""
BREATH_S, HOLD_S = 0.32, 0.10
"""Length of the breath before a sentence, and of the hold after it."""

CONTACT_CM = -0.012
"""Gap between the inner lips when they just touch: the skin gives way by a tenth of a millimeter."""
SOFTNESS_CM = 0.04
"""Distance over which the lips slow down before they meet."""
DECIBELS_TO_EFFORT = 0.022
"""Change of a vowel's effort for each dB of its level."""
EFFORT = (0.84, 1.16)
"""Least and largest effort of a vowel."""

SMILE = (0.28, 0.25)
"""Weight of the smile at rest: left, right."""
LEFT_OVER_RIGHT = 0.06
"""Asymmetry of the face: the left side moves by this fraction more, the right by this fraction less."""


@dataclass(frozen=True)
class Script:
    """Sentences and voice of a performance."""

    lines: tuple[tuple[float, str], ...]
    """Silence before each sentence in seconds, and the sentence."""
    last_pause_s: float
    """Silence after the last sentence in seconds."""
    seed: int
    """Seed of all random movement."""
    pitch: tuple[int, int] = (1, 1)
    """Ratio by which the voice is lowered and slowed."""


SCRIPTS = {
    "presenter": Script(
        (
            (0.95, "Good evening, and welcome."),
            (0.40, "Five new bridges will open along the river before the end of May, the mayor announced today."),
            (0.45, "Farmers in the valley hope for showers, which should move in from the west by Thursday."),
            (0.45, "Stay with us for the weather and the markets."),
            (0.45, "And the boy who found a puppy on the beach?"),
            (0.35, "He may keep it."),
        ),
        last_pause_s=0.9,
        seed=11,
    ),
    "second": Script(
        (
            (0.90, "Now for the sports news."),
            (0.35, "Our women's team won the cup this afternoon, by four points to two."),
            (0.35, "Coach Bishop was very happy."),
        ),
        last_pause_s=0.8,
        seed=23,
        pitch=(6, 5),  # a man with the one packaged voice, a woman's
    ),
}


@dataclass(frozen=True)
class Performance:
    """Audio and animation of one clip: T frames, E expression shapes."""

    frame_rate: int
    """Frames per second."""
    expression: FloatArray
    """(T, E) float32 weights in 0..1; the eyeballs rotate with eyeLook* as in `head.Head.deformed`."""
    expression_names: tuple[str, ...]
    """ARKit names, in the head model's order."""
    rotation_rad: FloatArray
    """(T, 3) pitch, yaw, roll of the head."""
    translation_cm: FloatArray
    """(T, 3) of the head."""
    samples: FloatArray
    """(N,) mono, N = T / frame_rate * sample_rate exactly."""
    sample_rate: int
    """Samples per second."""
    phones: tuple[Phone, ...]
    """Phones without gaps from 0 to T / frame_rate, pauses and breaths included."""
    lips_cm: FloatArray
    """(T, 20, 3) lip points in the head's own frame, without the rigid pose."""

    @property
    def period_s(self) -> float:
        """Length in seconds, after which the performance repeats."""
        return len(self.expression) / self.frame_rate


def build(name: str, model: Path | None = None) -> Performance:
    """Build the performance `name`; it is always the same.

    Args:
        name: one of `SCRIPTS` and `looks.LOOKS`: lips of another shape need other weights to meet.
        model: path of the head model; `head.ict_path` if None.

    Raises KeyError for another name, FileNotFoundError without the head model, VoiceUnavailableError without the voice.
    """
    script = SCRIPTS[name]
    random = np.random.default_rng(script.seed)
    geometry = load_lips(LOOKS[name].identity(), model)
    audio, phones = speak(script, random)
    period_s = audio.duration_s
    times_s = np.arange(round(period_s * FRAME_RATE)) / FRAME_RATE

    accents_s = accents(phones)
    rotation, translation = head_motion(times_s, period_s, accents_s, random)
    gaze = darts(times_s, period_s, random) - rotation[:, :2]
    weights = mouth(articulate(phones, times_s, period_s), geometry, times_s, period_s, random)
    weights |= upper_face(times_s, period_s, accents_s, pauses(phones), gaze, random)
    expression = np.stack([weights.get(shape, np.zeros_like(times_s)) for shape in geometry.names], 1)
    return Performance(
        FRAME_RATE,
        expression.astype(np.float32),
        geometry.names,
        rotation.astype(np.float32),
        translation.astype(np.float32),
        audio.samples,
        audio.rate_hz,
        tuple(phones),
        lip_points(geometry, expression).astype(np.float32),
    )


# Audio and phones


def speak(script: Script, random: np.random.Generator) -> tuple[Audio, list[Phone]]:
    """The script as audio of a whole number of frames, and its phones from the first sample to the last."""
    engine = HibariEngine()
    pieces: list[FloatArray] = []
    phones: list[Phone] = []
    length, rate = 0, 0
    for pause_s, sentence in script.lines:
        line, spoken = speak_line(engine, sentence, script.pitch)
        rate = line.rate_hz
        pause = np.zeros(round(pause_s * rate), np.float32)
        offset_s = (length + len(pause)) / rate
        phones += [replace(phone, start_s=phone.start_s + offset_s, end_s=phone.end_s + offset_s) for phone in spoken]
        pieces += [pause, line.samples]
        length += len(pause) + len(line.samples)
    per_frame = rate // FRAME_RATE
    frames = -(-(length + round(script.last_pause_s * rate)) // per_frame)
    samples = np.concatenate([*pieces, np.zeros(frames * per_frame - length, np.float32)])
    samples = samples + 10 ** (ROOM_DB / 20) * random.standard_normal(len(samples))
    samples = at_loudness(samples.astype(np.float32), rate)
    return Audio(samples, rate), with_pauses(with_effort(phones, samples, rate), len(samples) / rate)


def speak_line(engine: HibariEngine, sentence: str, pitch: tuple[int, int]) -> tuple[Audio, list[Phone]]:
    """A sentence in the lowered voice, without the silence around it, and its phones."""
    utterance = engine.speak(sentence, VOICE)
    rate, slower = utterance.audio.rate_hz, pitch[0] / pitch[1]
    samples = resample_poly(utterance.audio.samples, *pitch).astype(np.float32)
    phones = list(utterance.phones or ())
    while phones[0].symbol == PAUSE:
        del phones[0]
    while phones[-1].symbol == PAUSE:
        del phones[-1]
    start = max(round((slower * phones[0].start_s - LEAD_S) * rate), 0)
    end = round((slower * phones[-1].end_s + TRAIL_S) * rate)
    offset_s = start / rate
    spoken = [
        Phone(phone.symbol, slower * phone.start_s - offset_s, slower * phone.end_s - offset_s, phone.stress)
        for phone in phones
    ]
    return Audio(faded(samples[start:end], rate), rate), spoken


def faded(samples: FloatArray, rate: int) -> FloatArray:
    """Samples with the first and the last hundredth of a second faded."""
    ramp = np.minimum(np.arange(len(samples)) / (0.01 * rate), 1).astype(np.float32)
    return samples * ramp * ramp[::-1]


def with_effort(phones: Sequence[Phone], samples: FloatArray, rate: int) -> list[Phone]:
    """Phones with the effort of each vowel, by its level relative to the median of all vowels."""
    parts = [samples[round(phone.start_s * rate) : round(phone.end_s * rate)] for phone in phones]
    level_db = np.array([10 * np.log10(np.square(part).mean() + 1e-9) for part in parts])
    median_db = np.median(level_db[[phone.symbol in VOWELS for phone in phones]])
    efforts = np.clip(1 + DECIBELS_TO_EFFORT * (level_db - median_db), *EFFORT)
    return [replace(phone, effort=float(effort)) for phone, effort in zip(phones, efforts, strict=True)]


def with_pauses(phones: Sequence[Phone], period_s: float) -> list[Phone]:
    """Phones with the gaps between, before and after them filled by pauses, and by a breath before each sentence."""
    filled: list[Phone] = []
    last_s = 0.0
    for phone in phones:
        gap_s = phone.start_s - last_s
        if gap_s > BREATH_S:
            breath_s, hold_s = phone.start_s - HOLD_S - BREATH_S, phone.start_s - HOLD_S
            filled += [Phone(PAUSE, last_s, max(breath_s, last_s)), Phone(BREATH, max(breath_s, last_s), hold_s)]
            filled += [Phone(PAUSE, hold_s, phone.start_s)]
        elif gap_s > 0:
            filled += [Phone(PAUSE, last_s, phone.start_s)]
        filled.append(phone)
        last_s = phone.end_s
    return [phone for phone in [*filled, Phone(PAUSE, last_s, period_s)] if phone.end_s > phone.start_s]


def at_loudness(samples: FloatArray, rate: int) -> FloatArray:
    """Samples at `LOUDNESS_LUFS`: (N,) -> (N,)."""
    lufs = integrated_lufs(samples, rate)
    assert lufs is not None  # somebody speaks
    return (samples * 10 ** ((LOUDNESS_LUFS - lufs) / 20)).astype(np.float32)


def pauses(phones: Sequence[Phone]) -> list[float]:
    """Times at which a sentence has just ended."""
    return [
        before.start_s + 0.05
        for before, after in zip(phones, phones[1:], strict=False)
        if before.symbol == PAUSE and after.symbol == BREATH and before.start_s > 0
    ]


def accents(phones: Sequence[Phone]) -> list[float]:
    """Middles of the accented vowels: stressed, with effort, and not too near to each other."""
    stressed = [phone for phone in phones if phone.stress == 2]
    moments: list[float] = []
    for phone in sorted(stressed, key=lambda phone: phone.effort * (phone.end_s - phone.start_s) ** 0.3, reverse=True):
        middle_s = (phone.start_s + phone.end_s) / 2
        if all(abs(middle_s - other) > 0.8 for other in moments):
            moments.append(middle_s)
    return sorted(moments)


# Movement


def head_motion(
    times_s: Array, period_s: float, accents_s: Sequence[float], random: np.random.Generator
) -> tuple[Array, Array]:
    """Motion of the head: (T, 3) rotation in radians and (T, 3) translation in centimeters."""
    degrees = np.stack([wander(times_s, period_s, (0.1, 0.55), random) for _ in range(3)], 1) * (0.7, 1.5, 0.8)
    for moment in accents_s:
        # A nod goes down with the syllable and returns slower; some accents rotate the head instead.
        depth, yaw, tilt = random.uniform(0.5, 1.5), random.normal(0, 0.6), random.normal(0, 0.4)
        nod = bump(times_s, moment + 0.02, 0.13, period_s) - 0.45 * bump(times_s, moment - 0.28, 0.16, period_s)
        degrees += np.outer(nod, (depth, 0, 0)) + np.outer(bump(times_s, moment, 0.3, period_s), (0, yaw, tilt))
    shift = np.stack([wander(times_s, period_s, (0.1, 0.4), random) for _ in range(3)], 1) * (0.16, 0.06, 0.14)
    return np.radians(degrees), shift


def clamped(values: Array, softness: float) -> Array:
    """Values where they are positive and 0 where negative, with a smooth bend of width 2 softness in between."""
    bend = np.square(np.clip(values + softness, 0, 2 * softness)) / (4 * softness)
    return np.where(values > softness, values, bend)


def mouth(
    positions: dict[str, Array], geometry: LipGeometry, times_s: Array, period_s: float, random: np.random.Generator
) -> dict[str, Array]:
    """Weights of jaw and mouth shapes from articulator positions: {name: (T,)}.

    The gap between the lips is met exactly: where the jaw opens too far the lips compensate (mouthClose), and where it
    opens too little it opens more. Lips that touch move no further.
    """
    slow = [1 + 0.08 * wander(times_s, period_s, (0.05, 0.3), random) for _ in range(4)]
    sides = {"L": 1 + LEFT_OVER_RIGHT, "R": 1 - LEFT_OVER_RIGHT}
    relaxed = 1 - 0.85 * np.clip(positions["round"] + positions["funnel"], 0, 1)
    weights = {
        "jawOpen": positions["jaw"],
        "mouthPucker": positions["round"],
        "mouthFunnel": positions["funnel"],
        "mouthRollLower": 0.40 * positions["tuck"] + 0.10 * positions["press"],
        "mouthRollUpper": 0.09 * positions["press"],
        **sided("mouthLeft", "mouthRight", 0.03 * wander(times_s, period_s, (0.05, 0.3), random)),
        **sided("jawLeft", "jawRight", 0.02 * wander(times_s, period_s, (0.05, 0.4), random)),
    }
    for number, (side, more) in enumerate(sides.items()):
        weights |= {
            f"mouthSmile_{side}": SMILE[number] * slow[number] * relaxed + 0.20 * more * positions["spread"],
            f"mouthStretch_{side}": 0.34 * more * slow[number] * positions["spread"],
            f"mouthDimple_{side}": 0.10 * slow[number] * relaxed,
            f"mouthLowerDown_{side}": more * slow[2 + number] * positions["lower"],
            f"mouthUpperUp_{side}": more * slow[2 + number] * positions["upper"],
            f"mouthPress_{side}": 0.06 + 0.22 * more * positions["press"],
            f"cheekSquint_{side}": 0.06 * slow[number] * relaxed,
        }
    meet_gap(weights, positions["gap"], geometry)
    return {name: np.clip(weight, 0, 1) for name, weight in weights.items()}


def meet_gap(weights: dict[str, Array], target_cm: Array, geometry: LipGeometry) -> None:
    """Set mouthClose, or open the jaw more, so that the middle of the lips has the target gap."""
    per_weight = dict(zip(geometry.names, lip_gaps(geometry.expression), strict=True))
    resting = lip_gaps(geometry.neutral[None])[0]
    free = resting[MIDDLE] + sum(weight * per_weight[name][MIDDLE] for name, weight in weights.items())
    # Where the columns beside the middle rest further apart, the middle presses until they touch too.
    contact = CONTACT_CM - max(resting.max() - resting[MIDDLE], 0)
    too_far = free - contact - clamped(target_cm - contact, SOFTNESS_CM)
    weights["mouthClose"] = clamped(too_far, SOFTNESS_CM) / -per_weight["mouthClose"][MIDDLE]
    weights["jawOpen"] = weights["jawOpen"] + clamped(-too_far, SOFTNESS_CM) / per_weight["jawOpen"][MIDDLE]


def sided(positive: str, negative: str, values: Array) -> dict[str, Array]:
    """One signed movement as the weights of its two shapes."""
    return {positive: np.maximum(values, 0), negative: np.maximum(-values, 0)}


def upper_face(
    times_s: Array,
    period_s: float,
    accents_s: Sequence[float],
    pauses_s: Sequence[float],
    gaze: Array,
    random: np.random.Generator,
) -> dict[str, Array]:
    """Weights of brow and eye shapes: {name: (T,)}."""
    raised = np.zeros_like(times_s)
    for moment in accents_s:
        raised += random.uniform(0.0, 0.32) * bump(times_s, moment - 0.06, random.uniform(0.14, 0.24), period_s)
    shut = blinks(times_s, blink_times(period_s, pauses_s, random), period_s, random)
    pitch, yaw = (gaze / GAZE_RAD).T
    weights = {
        **{
            f"eyeLook{direction}_{side}": value
            for direction, value in sided("Down", "Up", pitch).items()
            for side in "LR"
        },
        **sided("eyeLookOut_L", "eyeLookIn_L", yaw),
        **sided("eyeLookIn_R", "eyeLookOut_R", yaw),
    }
    for side, more in (("L", 1 + LEFT_OVER_RIGHT), ("R", 1 - LEFT_OVER_RIGHT)):
        slow = wander(times_s, period_s, (0.05, 0.3), random)
        weights |= {
            f"browInnerUp_{side}": np.clip(0.04 + 0.018 * slow + 0.9 * more * raised, 0, 1),
            f"browOuterUp_{side}": np.clip(0.03 + 0.018 * slow + 0.7 * more * raised, 0, 1),
            f"eyeBlink_{side}": np.clip(0.09 + 0.01 * slow + shut, 0, 1),
            # A blink closes the upper lid to a slit; the lower one rises to meet it.
            f"eyeSquint_{side}": np.clip(0.12 + 0.015 * slow + 0.42 * shut, 0, 1),
            f"eyeWide_{side}": np.clip(0.25 * more * raised * (1 - shut), 0, 1),
        }
    return weights


# Files


def write(performance: Performance, folder: Path) -> None:
    """Write performance.safetensors and speech.wav into the folder, each complete or not at all.

    What is no array (frame rate, names of the expressions, phones) is in the metadata as JSON, under "performance".
    """
    folder.mkdir(parents=True, exist_ok=True)
    phones = performance.phones
    tensors = {
        "expression": performance.expression,
        "rotation_rad": performance.rotation_rad,
        "translation_cm": performance.translation_cm,
        "lips_cm": performance.lips_cm,
        "phone_times_s": np.array([[phone.start_s, phone.end_s] for phone in phones]),
    }
    about = {
        "frame_rate": performance.frame_rate,
        "expression_names": performance.expression_names,
        "phones": [phone.symbol for phone in phones],
        "stress": [phone.stress for phone in phones],
    }
    # One entry only: safetensors writes several in an order that changes from run to run.
    metadata = {"performance": json.dumps(about, ensure_ascii=False)}
    save_arrays(folder / "performance.safetensors", tensors, metadata)
    write_audio(folder / "speech.wav", [Audio(performance.samples, performance.sample_rate)], overwrite=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", choices=SCRIPTS)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--model", type=Path, help="ict_facekit.npz (default: $TALKINGHEAD_ICT, ../shared/models)")
    options = parser.parse_args()
    performance = build(options.name, options.model)
    write(performance, options.output)
    print(f"{options.output}: {len(performance.expression)} frames, {performance.period_s:.2f} s")


if __name__ == "__main__":
    main()
