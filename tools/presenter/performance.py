"""A performance: what is said, and how lips, tongue, eyes, brows, head and torso move while it is said.

    python tools/presenter/performance.py presenter -o FOLDER

writes performance.safetensors and speech.wav. A packaged voice speaks the script; its phones, with their times, become
mouth shapes by coarticulation. After the speech the person is silent for a while. Nothing has a seam: after the last
frame the speech can begin again, and so can the silence.

Frame t is at t / frame_rate seconds from the start of the audio. The head moves as in `head.rigidly_moved`: rotated
about `head.NECK_PIVOT` by the intrinsic rotations pitch (x, positive nods), yaw (y, positive turns to the presenter's
own left) and roll (z, positive tilts to the presenter's own right), then shifted; the torso likewise about
`torso.TORSO_PIVOT`. Axes: x to the presenter's left, y up, z to the camera; centimeters.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from coarticulation import BILABIALS, BREATH, VOWELS, Phone, articulate
from eyes import EyeGeometry, gaze_angles, gaze_weights, load_eyes
from lips import MIDDLE, LipGeometry, lip_gaps, lip_points, load_lips
from looks import LOOKS
from motion import (
    Rounds,
    blink_times,
    blinks,
    bump,
    eased,
    held,
    lung_volume,
    saccades,
    stepped,
    wander_in_rounds,
)
from numpy.typing import NDArray
from tongue import MOVEMENTS
from torso import on_torso
from voice import LEAD_S, MAN, TRAIL_S, WOMAN, Voice, breath_noise, limited, speak_line

from talkinghead.files import save_arrays
from talkinghead.media.audio_writer import write_audio
from talkinghead.metrics import find_bursts
from talkinghead.speech.loudness import integrated_lufs
from talkinghead.structures import Audio, FloatArray
from talkinghead.text_to_speech import PAUSE

Array = NDArray[np.float64]

FRAME_RATE = 25
"""Frames per second."""
LOUDNESS_LUFS = -20.0
"""Integrated loudness of the audio."""
ROOM_DB = -72.0
"""Level of the room's noise, dB of full scale, so that pauses are not digital silence."""
IDLE_S = 4.0
"""Length of the silence after the speech."""

BREATH_S, BREATH_SHARE = (0.24, 0.6), 0.75
"""Shortest and longest breath before a sentence, and its share of the pause; speech begins at its end."""
LEAST_REST_S = 0.05
"""Least time from the end of speech to a breath."""
RELEASE_S = {"p": 0.025, "b": 0.025, "m": 0.0}
"""How long before the end of such a phone the lips part, where no burst is found in the audio."""
AFTER_BURST_S = 0.011
"""How long after the burst the lips part. Between two frames at 25 a second, from pressed to wide open, a straight line
starts to rise before the lips do: `metrics.plosive_offset` then reads some 5 ms."""
EARLIEST_S = 0.02
"""A burst is no earlier than this after the begin of its phone, and at most so much after its end."""

PRESSED_CM = 0.05
"""How far soft lips can be pressed into each other."""
BARELY_CM = 0.15
"""Gap below which the middle of the lips makes up for the columns beside it, so that they touch too."""
SOFTNESS_CM = 0.04
"""Distance over which one of jaw and lips takes over from the other."""
BITE_CM = 0.03
"""How far above the edge of the upper teeth the lower lip goes for f and v."""
DECIBELS_TO_EFFORT = 0.022
"""Change of a vowel's effort for each dB of its level."""
EFFORT = (0.84, 1.16)
"""Least and largest effort of a vowel."""

SMILE = (0.28, 0.25)
"""Weight of the smile at rest: left, right."""
LAST_SMILE = 0.30
"""What is added after the last sentence."""
LEFT_OVER_RIGHT = 0.06
"""Asymmetry of the face: the left side moves by this fraction more, the right by this fraction less."""
BLINK_SINKS_RAD = np.radians(1.5)
"""How far the eyes rotate downwards in a blink."""
SQUINT = 0.12
"""Weight of eyeSquint where the eyes are open."""

POSTURE_DEG, POSTURE_CM = (0.5, 1.0, 0.55), (0.25, 0.0, 0.20)
"""Standard deviations of how the torso is held: pitch, yaw, roll, and shift."""
POSTURES = 3
"""How often the posture changes in the speech."""
BREATH_LIFT_CM, BREATH_TILT_DEG = 0.12, 0.35
"""How far a full breath lifts the head and tilts it back."""


@dataclass(frozen=True)
class Script:
    """Sentences and voice of a performance."""

    lines: tuple[tuple[float, str], ...]
    """Silence before each sentence in seconds, and the sentence."""
    last_pause_s: float
    """Silence after the last sentence in seconds."""
    seed: int
    """Seed of all random movement."""
    voice: Voice = WOMAN


WOMANS = Script(
    (
        (0.80, "Good morning, and welcome to the program."),
        (0.45, "After a week of storms the harbor is open again, and the first boats went out before five."),
        (0.70, "Fishermen say the bay has never been so calm."),
        (1.20, "Meanwhile, the price of bread and cheese keeps rising."),
        (0.35, "People in these streets pay three percent more than in May."),
        (0.55, "But there is help: from Monday on, every family may apply for a bonus."),
        (1.50, "And now to sports."),
        (0.40, "Our women beat the home team by five points, which was a big surprise."),
        (0.90, "Above the valleys it stays mild and bright, with a few showers over the mountains."),
        (0.30, "By the evening, the wind will drop."),
        (0.50, "Thank you for watching."),
    ),
    last_pause_s=1.4,
    seed=11,
)
MANS = Script(
    (
        (0.90, "Hello, and thanks for joining us."),
        (0.50, "The mayor wants to build a bigger hospital by the old paper mill, and work may begin in April."),
        (0.80, "Both parties have promised money for it."),
        (0.40, "Opponents fear noise, dust, and five years of heavy traffic."),
        (1.00, "Business was weak: most shops sold a bit less than before."),
        (1.30, "In the park, a bear cub climbed a maple tree and would not move."),
        (0.35, "Firemen brought it down with a bucket of apples."),
        (0.60, "Nobody was hurt, and the bear was free to go back to its mother."),
        (1.10, "Tomorrow we shall see warm air from the south, above all in the valleys."),
        (0.45, "Temperatures reach seventy five degrees."),
        (0.70, "Have a peaceful evening."),
    ),
    last_pause_s=1.4,
    seed=23,
    voice=MAN,
)
SCRIPTS = {
    name: script
    for name, script in {"maya": WOMANS, "presenter": WOMANS, "henrik": MANS, "second": MANS}.items()
    if name in LOOKS
}
"""What each of the people says."""


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
    """(T, 3) pitch, yaw, roll of the head, what the torso does to it included."""
    translation_cm: FloatArray
    """(T, 3) of the head."""
    torso_rotation_rad: FloatArray
    """(T, 3) pitch, yaw, roll of the torso about `torso.TORSO_PIVOT`."""
    torso_translation_cm: FloatArray
    """(T, 3) of the torso."""
    breath: FloatArray
    """(T,) how full the lungs are, 0 to 1."""
    tongue: FloatArray
    """(T, 3) movements of the tongue, `tongue.MOVEMENTS`, 0 to 1."""
    blink: FloatArray
    """(T,) how far a blink has closed the lids, 0 to 1."""
    gaze_rad: FloatArray
    """(T, 2) pitch and yaw from the direction of the lens to where the eyes look."""
    samples: FloatArray
    """(N,) mono, N = T / frame_rate * sample_rate exactly."""
    sample_rate: int
    """Samples per second."""
    phones: tuple[Phone, ...]
    """Phones without gaps from 0 to T / frame_rate, pauses and breaths included."""
    lips_cm: FloatArray
    """(T, 20, 3) lip points in the head's own frame, without the rigid pose."""
    idle_frames: tuple[int, int]
    """First frame of the silence, and the end of it: these frames repeat by themselves."""

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
    identity = LOOKS[name].identity()
    geometry, eyes = load_lips(identity, model), load_eyes(identity, model)
    audio, phones = speak(script, random)
    rounds = Rounds(audio.duration_s - IDLE_S, IDLE_S)
    times_s = np.arange(round(audio.duration_s * FRAME_RATE)) / FRAME_RATE
    moments = Moments.of(phones)

    breath = lung_volume(times_s, rounds, moments.breaths_s, random)
    torso = posture(times_s, rounds, moments, random)
    rotation, translation = on_torso(head_motion(times_s, rounds, moments, breath, random), torso)
    shut = blinks(times_s, blink_times(rounds, moments.borders_s, random), rounds.period_s, random)
    gaze = saccades(times_s, rounds, random)
    positions = articulate(phones, times_s, rounds.period_s)
    weights = mouth(positions, geometry, times_s, rounds, moments, random)
    weights |= upper_face(times_s, rounds, moments, shut, eyes.resting_blink(SQUINT), random)
    weights |= eye_movement(eyes, rotation, translation, gaze, shut)
    expression = np.stack([weights.get(shape, np.zeros_like(times_s)) for shape in geometry.names], 1)
    frames = len(times_s)
    return Performance(
        frame_rate=FRAME_RATE,
        expression=expression.astype(np.float32),
        expression_names=geometry.names,
        rotation_rad=rotation.astype(np.float32),
        translation_cm=translation.astype(np.float32),
        torso_rotation_rad=torso[0].astype(np.float32),
        torso_translation_cm=torso[1].astype(np.float32),
        breath=breath.astype(np.float32),
        tongue=np.stack([positions[name] for name in MOVEMENTS], 1).clip(0, 1).astype(np.float32),
        blink=shut.astype(np.float32),
        gaze_rad=gaze.astype(np.float32),
        samples=audio.samples,
        sample_rate=audio.rate_hz,
        phones=tuple(phones),
        lips_cm=lip_points(geometry, expression).astype(np.float32),
        idle_frames=(frames - round(IDLE_S * FRAME_RATE), frames),
    )


# Audio and phones


def speak(script: Script, random: np.random.Generator) -> tuple[Audio, list[Phone]]:
    """The script and the silence after it as audio of a whole number of frames, and its phones from the first sample to
    the last."""
    pieces: list[FloatArray] = []
    phones: list[Phone] = []
    length, rate = 0, 0
    for pause_s, sentence in script.lines:
        line, spoken = speak_line(script.voice, sentence)
        rate = line.rate_hz
        # What is silent of the sentences themselves, before and after their phones, is part of the pause.
        silent_s = LEAD_S + (TRAIL_S if pieces else 0.0)
        pause = np.zeros(round((pause_s - silent_s) * rate), np.float32)
        offset_s = (length + len(pause)) / rate
        phones += [replace(phone, start_s=phone.start_s + offset_s, end_s=phone.end_s + offset_s) for phone in spoken]
        pieces += [pause, line.samples]
        length += len(pause) + len(line.samples)
    per_frame = rate // FRAME_RATE
    frames = -(-(length + round((script.last_pause_s - TRAIL_S) * rate)) // per_frame) + round(IDLE_S * FRAME_RATE)
    samples = np.concatenate([*pieces, np.zeros(frames * per_frame - length, np.float32)])
    filled = with_pauses(phones, len(samples) / rate)
    samples = at_loudness(samples, rate)
    for phone in filled:
        if phone.symbol == BREATH:
            begin = round(phone.start_s * rate)
            noise = breath_noise(phone.end_s - phone.start_s, rate, random)
            samples[begin : begin + len(noise)] += noise
    samples += (10 ** (ROOM_DB / 20) * random.standard_normal(len(samples))).astype(np.float32)
    audio = Audio(limited(at_loudness(samples, rate), rate), rate)
    return audio, with_releases(with_effort(filled, audio.samples, rate), audio)


def with_releases(phones: Sequence[Phone], audio: Audio) -> list[Phone]:
    """Phones with the moment at which the lips part of each p, b and m: the burst in the audio where there is one."""
    plosives = [phone for phone in phones if phone.symbol in "pb"]
    bursts_s = find_bursts(audio, np.array([[phone.start_s, phone.end_s] for phone in plosives]).reshape(-1, 2))
    bursts = dict(zip(plosives, bursts_s.tolist(), strict=True))
    released = []
    for phone in phones:
        if phone.symbol not in BILABIALS:
            released.append(phone)
            continue
        burst_s = bursts.get(phone, np.nan)
        is_heard = phone.start_s + EARLIEST_S <= burst_s <= phone.end_s + EARLIEST_S
        usual_s = max(phone.end_s - RELEASE_S[phone.symbol], phone.start_s + EARLIEST_S)
        released.append(replace(phone, release_s=(burst_s if is_heard else usual_s) + AFTER_BURST_S))
    return released


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
        breath_s = phone.start_s - min(max(BREATH_SHARE * gap_s, BREATH_S[0]), BREATH_S[1])
        if breath_s >= last_s + LEAST_REST_S:
            filled += [Phone(PAUSE, last_s, breath_s), Phone(BREATH, breath_s, phone.start_s)]
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


@dataclass(frozen=True)
class Moments:
    """What the rest of the body does something at."""

    accents_s: tuple[float, ...]
    """Middles of the accented vowels: stressed, with effort, and not too near to each other."""
    borders_s: tuple[float, ...]
    """When a phrase has just ended: at a breath, or at a pause of the voice's own."""
    sentences_s: tuple[tuple[float, float], ...]
    """Begin and end of each sentence."""
    breaths_s: tuple[tuple[float, float], ...]
    """Begin and end of each breath."""

    @classmethod
    def of(cls, phones: Sequence[Phone]) -> Moments:
        """Of phones with pauses and breaths."""
        breaths = tuple((phone.start_s, phone.end_s) for phone in phones if phone.symbol == BREATH)
        ends = tuple(phone.start_s for phone in phones[1:] if phone.symbol == PAUSE)
        begins = [end for _, end in breaths]
        limits = [*(begin for begin, _ in breaths[1:]), np.inf]
        spans = tuple(
            (begin, max(e for e in ends if e < limit + 1e-6)) for begin, limit in zip(begins, limits, strict=True)
        )
        return cls(accents(phones), ends, spans, breaths)


def accents(phones: Sequence[Phone]) -> tuple[float, ...]:
    """Middles of the accented vowels."""
    stressed = [phone for phone in phones if phone.stress == 2]
    moments: list[float] = []
    for phone in sorted(stressed, key=lambda phone: phone.effort * (phone.end_s - phone.start_s) ** 0.3, reverse=True):
        middle_s = (phone.start_s + phone.end_s) / 2
        if all(abs(middle_s - other) > 0.8 for other in moments):
            moments.append(middle_s)
    return tuple(sorted(moments))


# Movement


def posture(times_s: Array, rounds: Rounds, moments: Moments, random: np.random.Generator) -> tuple[Array, Array]:
    """How the torso is held: (T, 3) rotation in radians and (T, 3) translation in centimeters.

    It changes at the beginning of some sentences, and goes back before the last one.
    """
    begins = [begin for begin, _ in moments.sentences_s]
    chosen = [*sorted(random.choice(begins[1:-1], POSTURES - 1, replace=False).tolist()), begins[-1]]
    levels = random.standard_normal((POSTURES, 6)).clip(-1.6, 1.6) * (*POSTURE_DEG, *POSTURE_CM)
    levels[-1] = 0
    moved = stepped(times_s, [moment - 0.3 for moment in chosen], 1.3, levels)
    sway = np.stack([wander_in_rounds(times_s, rounds, (0.05, 0.25), random, calm=0.4) for _ in range(6)], 1)
    moved += sway * (0.10, 0.18, 0.12, 0.05, 0.0, 0.05)
    return np.radians(moved[:, :3]), moved[:, 3:]


def head_motion(
    times_s: Array, rounds: Rounds, moments: Moments, breath: Array, random: np.random.Generator
) -> tuple[Array, Array]:
    """Motion of the head on the torso: (T, 3) rotation in radians and (T, 3) translation in centimeters."""
    period_s = rounds.period_s
    degrees = np.stack([wander_in_rounds(times_s, rounds, (0.08, 0.5), random) for _ in range(3)], 1) * (0.6, 1.1, 0.7)
    # Each sentence has a direction of its own; the head has come back to the middle after the last.
    begins = [begin for begin, _ in moments.sentences_s]
    held_deg = random.standard_normal((len(begins) + 1, 3)).clip(-1.7, 1.7) * (1.1, 2.0, 1.6)
    held_deg[-1] = 0
    turns_s = [*(begin - 0.15 for begin in begins), moments.sentences_s[-1][1] + 0.45]
    degrees += stepped(times_s, turns_s, 0.8, held_deg)
    for moment in moments.accents_s:
        # A nod goes down with the syllable and returns slower; some accents rotate the head instead.
        depth, yaw, tilt = random.uniform(0.5, 1.6), random.normal(0, 0.6), random.normal(0, 0.4)
        nod = bump(times_s, moment + 0.02, 0.13, period_s) - 0.45 * bump(times_s, moment - 0.28, 0.16, period_s)
        degrees += np.outer(nod, (depth, 0, 0)) + np.outer(bump(times_s, moment, 0.3, period_s), (0, yaw, tilt))
    for _, end in moments.sentences_s:
        # The head sinks with the voice, and rises for the next sentence.
        sunk = held(times_s, (end - 0.1, end + 0.12), rise_s=0.6, fall_s=0.65)
        degrees += np.outer(sunk, (random.uniform(0.8, 1.8), 0, random.normal(0, 0.4)))
    shift = np.stack([wander_in_rounds(times_s, rounds, (0.08, 0.4), random) for _ in range(3)], 1)
    shift *= (0.12, 0.04, 0.12)
    degrees[:, 0] -= BREATH_TILT_DEG * breath
    shift[:, 1] += BREATH_LIFT_CM * breath
    return np.radians(degrees), shift


def clamped(values: Array, softness: float) -> Array:
    """Values where they are positive and 0 where negative, with a smooth bend of width 2 softness in between."""
    bend = np.square(np.clip(values + softness, 0, 2 * softness)) / (4 * softness)
    return np.where(values > softness, values, bend)


def mouth(
    positions: dict[str, Array],
    geometry: LipGeometry,
    times_s: Array,
    rounds: Rounds,
    moments: Moments,
    random: np.random.Generator,
) -> dict[str, Array]:
    """Weights of jaw and mouth shapes from articulator positions: {name: (T,)}.

    The gap between the lips is met exactly: where the jaw opens too far the lips compensate (mouthClose), and where it
    opens too little it opens more. Lips that touch are pressed and move no further.
    """

    def slowly(band_hz: tuple[float, float]) -> Array:
        return wander_in_rounds(times_s, rounds, band_hz, random)

    slow = [1 + 0.08 * slowly((0.05, 0.3)) for _ in range(4)]
    sides = {"L": 1 + LEFT_OVER_RIGHT, "R": 1 - LEFT_OVER_RIGHT}
    relaxed = 1 - 0.85 * np.clip(positions["round"] + positions["funnel"], 0, 1)
    done_s = moments.sentences_s[-1][1]
    smile = LAST_SMILE * held(times_s, (done_s + 0.55, done_s + 0.8), rise_s=0.5, fall_s=0.55)
    weights = {
        "jawOpen": positions["jaw"],
        "mouthPucker": positions["round"],
        "mouthFunnel": positions["funnel"],
        "mouthRollLower": 0.42 * positions["tuck"] + 0.12 * positions["press"],
        "mouthRollUpper": 0.10 * positions["press"],
        **sided("mouthLeft", "mouthRight", 0.03 * slowly((0.05, 0.3))),
        **sided("jawLeft", "jawRight", 0.02 * slowly((0.05, 0.4))),
    }
    for number, (side, more) in enumerate(sides.items()):
        weights |= {
            f"mouthSmile_{side}": SMILE[number] * slow[number] * relaxed + 0.20 * more * positions["spread"] + smile,
            f"mouthStretch_{side}": 0.34 * more * slow[number] * positions["spread"],
            f"mouthDimple_{side}": 0.10 * slow[number] * relaxed + 0.2 * smile,
            f"mouthLowerDown_{side}": more * slow[2 + number] * positions["lower"],
            f"mouthUpperUp_{side}": more * slow[2 + number] * positions["upper"],
            f"mouthPress_{side}": 0.06 + 0.24 * more * positions["press"],
            f"cheekSquint_{side}": 0.06 * slow[number] * relaxed + 0.5 * smile,
        }
    meet_gap(weights, to_the_teeth(positions, weights, geometry), geometry)
    return {name: np.clip(weight, 0, 1) for name, weight in weights.items()}


def to_the_teeth(positions: dict[str, Array], weights: dict[str, Array], geometry: LipGeometry) -> Array:
    """(T,) gap at which the lips aim: the articulators', or for f and v that which takes the lower lip to the teeth."""
    upper = geometry.upper_heights(weights)
    biting = upper - (geometry.upper_teeth_cm[1] + BITE_CM)
    # Where lips close at the same time, as in "of bread", that goes first.
    share = eased((positions["tuck"] - 0.35) / 0.4) * (1 - eased(2 * positions["closing"]))
    return (1 - share) * positions["gap"] + share * biting


def pressed(aim_cm: Array) -> Array:
    """The gap between lips that aim at a gap: beyond contact they are pressed together, less and less."""
    return np.where(aim_cm > 0, aim_cm, -PRESSED_CM * -np.expm1(np.minimum(aim_cm, 0) / PRESSED_CM))


def meet_gap(weights: dict[str, Array], aim_cm: Array, geometry: LipGeometry) -> None:
    """Set mouthClose, or open the jaw more, so that the middle of the lips has the gap of lips that aim at one."""
    per_weight = dict(zip(geometry.names, lip_gaps(geometry.expression), strict=True))
    resting = lip_gaps(geometry.neutral[None])[0]
    free = resting[MIDDLE] + sum(weight * per_weight[name][MIDDLE] for name, weight in weights.items())
    # Where the columns beside the middle rest further apart, the middle presses until they touch too.
    apart = max(resting.max() - resting[MIDDLE], 0)
    too_far = free - pressed(aim_cm) + apart * np.clip(1 - aim_cm / BARELY_CM, 0, 1)
    weights["mouthClose"] = clamped(too_far, SOFTNESS_CM) / -per_weight["mouthClose"][MIDDLE]
    weights["jawOpen"] = weights["jawOpen"] + clamped(-too_far, SOFTNESS_CM) / per_weight["jawOpen"][MIDDLE]


def sided(positive: str, negative: str, values: Array) -> dict[str, Array]:
    """One signed movement as the weights of its two shapes."""
    return {positive: np.maximum(values, 0), negative: np.maximum(-values, 0)}


def upper_face(
    times_s: Array,
    rounds: Rounds,
    moments: Moments,
    shut: Array,
    resting_blink: Array,
    random: np.random.Generator,
) -> dict[str, Array]:
    """Weights of brow and lid shapes: {name: (T,)}.

    Args:
        times_s, rounds, moments: of the performance.
        shut: (T,) closure by blinks, 0 to 1.
        resting_blink: (2,) weights of eyeBlink, L and R, where the eyes are open.
        random: of brows and lids.
    """
    raised = np.zeros_like(times_s)
    for moment in moments.accents_s:
        height, width_s = max(random.uniform(-0.15, 0.32), 0.0), random.uniform(0.14, 0.24)
        raised += height * bump(times_s, moment - 0.06, width_s, rounds.period_s)
    for begin, _ in moments.sentences_s:
        raised += max(random.uniform(-0.1, 0.2), 0.0) * held(times_s, (begin, begin + 0.25), rise_s=0.3, fall_s=0.7)
    weights = {}
    asymmetry = (("L", 1 + LEFT_OVER_RIGHT), ("R", 1 - LEFT_OVER_RIGHT))
    for (side, more), least in zip(asymmetry, resting_blink.tolist(), strict=True):
        slow = wander_in_rounds(times_s, rounds, (0.05, 0.3), random)
        lowered = np.clip(least + 0.01 * slow, 0, 1)
        weights |= {
            f"browInnerUp_{side}": np.clip(0.04 + 0.018 * slow + 0.9 * more * raised, 0, 1),
            f"browOuterUp_{side}": np.clip(0.03 + 0.018 * slow + 0.7 * more * raised, 0, 1),
            f"browDown_{side}": 0.05 * shut,
            f"eyeBlink_{side}": lowered + (1 - lowered) * shut,
            # A blink closes the upper lid to a slit; the lower one rises to meet it.
            f"eyeSquint_{side}": np.clip(SQUINT + 0.015 * slow + 0.46 * shut, 0, 1),
            f"eyeWide_{side}": np.clip(0.20 * more * raised * (1 - shut), 0, 1),
        }
    return weights


def eye_movement(
    eyes: EyeGeometry, rotation: Array, translation: Array, gaze_rad: Array, shut: Array
) -> dict[str, Array]:
    """Weights of eyeLook*: the eyes follow the lens, look beside it, and sink a little in a blink."""
    sinking = np.outer(np.minimum(shut, 1), (BLINK_SINKS_RAD, 0))
    return gaze_weights(gaze_angles(eyes, rotation, translation, gaze_rad + sinking))


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
        "torso_rotation_rad": performance.torso_rotation_rad,
        "torso_translation_cm": performance.torso_translation_cm,
        "breath": performance.breath,
        "tongue": performance.tongue,
        "blink": performance.blink,
        "gaze_rad": performance.gaze_rad,
        "phone_times_s": np.array([[phone.start_s, phone.end_s] for phone in phones]),
        "release_s": np.array([np.nan if phone.release_s is None else phone.release_s for phone in phones]),
    }
    about = {
        "frame_rate": performance.frame_rate,
        "expression_names": performance.expression_names,
        "phones": [phone.symbol for phone in phones],
        "stress": [phone.stress for phone in phones],
        "idle_frames": performance.idle_frames,
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
