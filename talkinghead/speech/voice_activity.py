"""Voice activity: stretches of speech in a recording, and the gate that brings the mouth to rest between them.

Speech is distinguished from noise, music and breath by Silero's voice activity detector (MIT license; its weights are
a file of the package silero-vad, whose code is not run). The detector has steps of 32 ms, and detects the soft
beginning of a word a step late; begin and end of speech are therefore refined by the level of the audio near its
detections.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkinghead.structures import BoolArray, FloatArray, Recording
from talkinghead.weights.registry import packaged_file

RATE_HZ = 16000
"""Sample rate of the detector."""
STEP = 512
"""Samples of a step of the detector, 32 ms."""
BEFORE = 64
"""Samples before each step that are input of the detector too."""
MOST_STEPS = 512
"""Steps that the detector takes at a time, 16 s."""
HOP = 160
"""Samples from one measurement of the level to the next."""
HOP_S = HOP / RATE_HZ
"""Time from one measurement of the level to the next, 10 ms."""
WINDOW_HOPS = 3
"""Hops over which the level is averaged."""
COMMON = int(np.lcm(STEP, HOP))
"""Samples of the shortest time that is a whole number of steps and of hops, 160 ms."""
COMMON_S = COMMON / RATE_HZ
QUIETEST_DB = -90.0
"""Level of digital silence, dB of full scale."""

LATE_ATTACK_S = 0.16
"""Longest time in which the mouth starts to move where speech was noticed too late for the configured one."""

MODEL_FILE = Path("data/silero_vad_16k_sequence.onnx")
"""The detector's weights inside the package silero-vad."""
MODEL_SHA256 = "9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85"
"""Hash of the detector's weights."""
REQUIREMENT = "silero-vad==6.2.3"
"""Package that has these weights, for pip."""


@dataclass(frozen=True)
class VoiceActivityConfig:
    """Thresholds of speech and pauses, and the times in which the mouth comes to rest and moves again."""

    attack_ms: float = 140.0
    """Time from rest to full movement, which is reached `lead_ms` before speech begins."""
    release_ms: float = 180.0
    """Time from full movement to rest, which begins where speech ends."""
    lead_ms: float = 80.0
    """Time by which the mouth moves before speech begins, since lips open before they are audible."""
    shortest_pause_ms: float = 250.0
    """Least length of a pause; shorter silence, such as the closure of a plosive, is part of the speech."""
    begin_probability: float = 0.5
    """Probability of the detector from which a stretch of speech is accepted."""
    end_probability: float = 0.35
    """Probability of the detector below which a stretch of speech ends."""
    reach_before_ms: float = 160.0
    """Time before detected speech in which audible hops belong to it: the soft beginning of a word."""
    reach_after_ms: float = 60.0
    """Time after detected speech in which audible hops belong to it."""
    below_speech_db: float = 36.0
    """Distance below the level of the recording's speech at which hops are silent, dB."""
    above_noise_db: float = 3.0
    """Least distance above the noise level at which hops next to detected speech are audible, dB."""


def voice_activity(
    recording: Recording, times_s: NDArray[np.float64], config: VoiceActivityConfig | None = None
) -> FloatArray:
    """Weight of the predicted movement at each time: (T,) float32, 0 in pauses, 1 in speech.

    Args:
        recording: at 16 kHz; it is read once, in constant memory.
        times_s: (T,) seconds.
        config: thresholds and times; None for the default.

    Raises:
        ModelUnavailableError: the detector's weights are not installed, or damaged.
        ValueError: the recording is not at 16 kHz.
    """
    config = config or VoiceActivityConfig()
    return gate(speech_stretches(recording, config), times_s, config)


def gate(stretches: NDArray[np.float64], times_s: NDArray[np.float64], config: VoiceActivityConfig) -> FloatArray:
    """Weight of the predicted movement at each time, by the stretches of speech.

    Args:
        stretches: (R, 2) begin and end of each in seconds, in order.
        times_s: (T,) seconds.
        config: attack, release and lead.

    Returns:
        (T,) float32, 0 in pauses, 1 in speech, with cosine ramps between them.
    """
    return _eased(_nearness(stretches, times_s, config))


def _nearness(
    stretches: NDArray[np.float64], times_s: NDArray[np.float64], config: VoiceActivityConfig
) -> NDArray[np.float64]:
    """Position on the ramps of the gate at each time: (T,) from 0 in pauses to 1 in speech."""
    if not len(stretches):
        return np.zeros(len(times_s))
    begins_s, ends_s = stretches.T
    # For each time, the first stretch that has not ended: how long until it begins (with its lead), and how long since
    # the one before it ended. Within a stretch, the former is negative and the weight is 1.
    following = np.searchsorted(ends_s, times_s, side="left")
    until_s = np.append(begins_s, np.inf)[following] - times_s - config.lead_ms / 1000
    since_s = times_s - np.append(-np.inf, ends_s)[following]
    # The nearer of the two decides; it is 1 at the edge of speech and 0 at the length of the ramp from it.
    return np.maximum(1 - until_s * 1000 / config.attack_ms, 1 - since_s * 1000 / config.release_ms).clip(0, 1)


def _eased(nearness: NDArray[np.float64]) -> FloatArray:
    """Cosine ramps from linear ones: (T,) -> (T,) float32."""
    return (0.5 - 0.5 * np.cos(np.pi * nearness)).astype(np.float32)


class PauseGate:
    """The gate for speech of which the future is not known: the weight of the predicted movement, part by part.

    Until more is known, the last pause counts as one once it has lasted `assumed_pause_s`, and the weight moves to
    where the stretches would have it no faster than on the gate's ramps. Where everything is known in time, its
    weights are those of `gate` for the joined stretches.
    """

    def __init__(self, config: VoiceActivityConfig, shortest_pause_s: float, assumed_pause_s: float) -> None:
        """Begin at rest.

        Args:
            config: attack, release and lead.
            shortest_pause_s: least length of a pause between two stretches, see `join_stretches`.
            assumed_pause_s: length from which a pause of unknown length is taken for one of at least that length.
        """
        self._config = config
        self._shortest_pause_s, self._assumed_pause_s = shortest_pause_s, assumed_pause_s
        self._last_s, self._last = -np.inf, 0.0
        """Time of the last weight, and its position on the ramps."""

    def weights(
        self, stretches: NDArray[np.float64], times_s: NDArray[np.float64], known_s: float = np.inf
    ) -> FloatArray:
        """Weight of the predicted movement at each time: (T,) float32, 0 in pauses, 1 in speech.

        Args:
            stretches: (R, 2) begin and end of each in seconds, in order, as far as they are known.
            times_s: (T,) seconds, rising, after those of the call before.
            known_s: time until which the stretches are known; inf where all of them are.
        """
        joined = join_stretches(stretches, self._shortest_pause_s)
        if len(joined) and known_s - joined[-1, 1] < self._assumed_pause_s:
            joined[-1, 1] = np.inf  # it may go on
        attack_s = min(self._config.attack_ms / 1000, LATE_ATTACK_S)
        release_s = self._config.release_ms / 1000
        positions = _nearness(joined, times_s, self._config)
        if self._last_s == -np.inf and known_s == np.inf:  # a whole recording, which is never late
            return _eased(positions)
        for number, (time_s, position) in enumerate(zip(times_s, positions, strict=True)):
            passed_s = time_s - self._last_s
            self._last = float(np.clip(position, self._last - passed_s / release_s, self._last + passed_s / attack_s))
            self._last_s, positions[number] = time_s, self._last
        return _eased(positions)


def join_stretches(stretches: NDArray[np.float64], shortest_pause_s: float) -> NDArray[np.float64]:
    """Stretches of speech with the pauses between them closed that are shorter than `shortest_pause_s`.

    Args:
        stretches: (R, 2) begin and end of each in seconds, in order.
        shortest_pause_s: least length of a pause that stays.

    Returns:
        (R', 2), in order.
    """
    long = stretches[1:, 0] - stretches[:-1, 1] >= shortest_pause_s
    begins, ends = np.append(True, long)[: len(stretches)], np.append(long, True)[: len(stretches)]
    return np.stack([stretches[begins, 0], stretches[ends, 1]], 1)


def speech_stretches(recording: Recording, config: VoiceActivityConfig) -> NDArray[np.float64]:
    """Detect the stretches of speech in a recording: (R, 2), begin and end of each in seconds, in order.

    Args:
        recording: at 16 kHz; it is read once, in constant memory.
        config: thresholds and times.

    Raises:
        ModelUnavailableError: the detector's weights are not installed, or damaged.
        ValueError: the recording is not at 16 kHz.
    """
    if recording.rate_hz != RATE_HZ:
        raise ValueError(f"voice activity is detected at {RATE_HZ} Hz, not at {recording.rate_hz} Hz")
    detection = SpeechDetection(config)
    for block in recording.blocks():
        detection.push(block)
    return detection.finish()


class SpeechDetection:
    """Detects stretches of speech in a recording that is pushed block by block, at 16 kHz.

    Raises:
        ModelUnavailableError: the detector's weights are not installed, or damaged.
    """

    def __init__(self, config: VoiceActivityConfig, history_s: float = np.inf) -> None:
        """Args: thresholds and times; seconds before the newest sample that are regarded."""
        self._config, self._history_s = config, history_s
        self._detector, self._meter = _Detector(), _LevelMeter()
        self._dropped = 0
        """Number of samples at the beginning that are not regarded any more."""

    def push(self, block: FloatArray) -> None:
        """Take the next samples, (N,) float32."""
        self._detector.push(block)
        self._meter.push(block)

    def finish(self) -> NDArray[np.float64]:
        """Stretches of speech of the whole recording: (R, 2) begin and end of each in seconds, in order."""
        return self._stretches(self._detector.finish(), self._meter.finish())

    def so_far(self) -> tuple[NDArray[np.float64], float]:
        """Stretches of speech so far, as in `finish`, and the time in seconds until which they are known.

        A stretch that goes on ends at that time. More may be pushed afterwards.
        """
        probability, level_db = self._detector.so_far(), self._meter.so_far()
        hops = min(len(level_db), len(probability) * STEP // HOP)
        known_s = (self._dropped + hops * HOP) / RATE_HZ
        stretches = self._stretches(probability, level_db[:hops])
        if hops * HOP_S > self._history_s + COMMON_S:
            # Steps and hops are dropped together, in the shortest time that is a whole number of both.
            units = int((hops * HOP_S - self._history_s) / COMMON_S)
            self._detector.drop(units * COMMON // STEP)
            self._meter.drop(units * COMMON // HOP)
            self._dropped += units * COMMON
        return stretches, known_s

    def _stretches(self, probability: FloatArray, level_db: NDArray[np.float64]) -> NDArray[np.float64]:
        """Stretches of speech, (R, 2) seconds, by the probability of each step and the level of each hop."""
        hops = np.arange(len(level_db))
        # Steps of the detector, 32 ms, are refined to hops of the level, 10 ms.
        detected = _lasting(probability, self._config)[hops * HOP // STEP]
        if not detected.any():
            return np.zeros((0, 2))
        active = _audible(level_db, detected, self._config)
        # Every change of `active` is an edge; begins and ends alternate. Gaps that are too short are no pauses, and the
        # stretches on both sides of them are joined.
        edges = np.flatnonzero(np.diff(active.astype(np.int8), prepend=0, append=0)).reshape(-1, 2) * HOP_S
        pauses = edges[1:, 0] - edges[:-1, 1] >= self._config.shortest_pause_ms / 1000
        joined = np.stack([edges[np.append(True, pauses), 0], edges[np.append(pauses, True), 1]], 1)
        return joined + self._dropped / RATE_HZ


def _lasting(probability: FloatArray, config: VoiceActivityConfig) -> BoolArray:
    """Steps of speech by hysteresis: runs above the lower threshold that reach the upper one; (steps,) bool."""
    possible = probability >= config.end_probability
    run = np.cumsum(np.diff(possible, prepend=False))  # number of the run of equal values that a step belongs to
    reaches = np.zeros(len(probability) + 1, bool)
    reaches[run[probability >= config.begin_probability]] = True
    return possible & reaches[run]


def _audible(level_db: NDArray[np.float64], detected: BoolArray, config: VoiceActivityConfig) -> BoolArray:
    """Hops of speech: detected ones that are not silent, and audible ones next to detected ones; (hops,) bool."""
    near = _spread(detected, config.reach_before_ms, config.reach_after_ms)
    # Speech and noise are both represented by nearly their loudest hops, since either is interrupted by silence.
    speech_db = _nearly_loudest(level_db[detected])
    noise_db = _nearly_loudest(level_db[~near]) if not near.all() else QUIETEST_DB
    least_db = max(speech_db - config.below_speech_db, QUIETEST_DB)
    audible_db = max(least_db, noise_db + config.above_noise_db)
    # The noise level is no criterion for detected speech, which may be quieter than noise elsewhere.
    return (detected & (level_db > least_db)) | (near & (level_db > audible_db))


def _nearly_loudest(level_db: NDArray[np.float64]) -> float:
    """The quantile 0.9 of (n,) levels: `np.quantile` in a third of its time, which each step of a stream takes."""
    place = 0.9 * (len(level_db) - 1)
    below = int(place)
    above, share = min(below + 1, len(level_db) - 1), place - below
    low, high = np.partition(level_db, (below, above))[[below, above]]
    return float(high - (high - low) * (1 - share)) if share >= 0.5 else float(low + (high - low) * share)


def _spread(active: BoolArray, before_ms: float, after_ms: float) -> BoolArray:
    """Widen every run of True by `before_ms` to the left and by `after_ms` to the right: (hops,) bool."""
    before, after = (round(value / 1000 / HOP_S) for value in (before_ms, after_ms))
    # A hop is near when any hop from `after` before it to `before` after it is active: a difference of cumulative
    # counts.
    count = np.concatenate([[0], np.cumsum(active)])
    position = np.arange(len(active))
    first = np.maximum(position - after, 0)
    last = np.minimum(position + before + 1, len(active))
    return np.asarray(count[last] > count[first])


class _Blocks:
    """Divides samples that are pushed in pieces of any length into blocks of one length."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._rest = np.zeros(0, np.float32)

    def push(self, samples: FloatArray) -> FloatArray:
        """Append samples (N,) and return the complete blocks, (blocks, length); the rest waits for the next call."""
        joined = np.concatenate([self._rest, samples])
        whole = len(joined) // self._length * self._length
        self._rest = joined[whole:]
        return joined[:whole].reshape(-1, self._length)

    def finish(self) -> FloatArray:
        """The rest, padded with silence: (0 or 1, length)."""
        return self.push(np.zeros(-len(self._rest) % self._length, np.float32))


class _Detector:
    """Silero's detector: the probability of speech in every step of `STEP` samples."""

    def __init__(self) -> None:
        self._session = _session()
        self._blocks = _Blocks(STEP)
        self._waiting: list[FloatArray] = []
        self._before = np.zeros(BEFORE, np.float32)
        self._state = [np.zeros((1, 1, 128), np.float32), np.zeros((1, 1, 128), np.float32)]
        self._probabilities: list[FloatArray] = []

    def push(self, samples: FloatArray) -> None:
        """Take the next samples, (N,) float32."""
        self._waiting.append(self._blocks.push(samples))
        if sum(map(len, self._waiting)) >= MOST_STEPS:
            self._run()

    def finish(self) -> FloatArray:
        """Probabilities of the whole recording: (steps,) float32 in [0, 1]."""
        self._waiting.append(self._blocks.finish())
        return self.so_far()

    def so_far(self) -> FloatArray:
        """Probabilities of all complete steps that were not dropped: (steps,) float32 in [0, 1]."""
        self._run()
        self._probabilities = [np.concatenate([np.zeros(0, np.float32), *self._probabilities])]
        return self._probabilities[0]

    def drop(self, steps: int) -> None:
        """Drop the first steps of those that `so_far` has given."""
        self._probabilities = [self._probabilities[0][steps:]]

    def _run(self) -> None:
        """Run the detector on the steps that wait."""
        steps = np.concatenate([np.zeros((0, STEP), np.float32), *self._waiting])
        self._waiting = []
        for start in range(0, len(steps), MOST_STEPS):
            part = steps[start : start + MOST_STEPS]
            # Each step comes with the last samples of the step before. The detector is recurrent: its state goes on.
            before = np.concatenate([self._before[None], part[:-1, -BEFORE:]])
            self._before = part[-1, -BEFORE:]
            inputs = {"input": np.concatenate([before, part], 1), "h": self._state[0], "c": self._state[1]}
            probabilities, *self._state = self._session.run(["speech_probs", "hn", "cn"], inputs)
            self._probabilities.append(probabilities.reshape(-1))


class _LevelMeter:
    """Root mean square level of every hop, without the hop's mean, in dB of full scale."""

    def __init__(self) -> None:
        self._blocks = _Blocks(HOP)
        self._power = np.zeros(0)
        """Power of the newest hops, from the one before the first whose level is not final."""
        self._level_db = np.zeros(0)
        """Levels of the hops before the newest one; that is averaged with the next."""
        self._passed = 0
        """Number of hops before those of `_power`."""
        self._dropped = 0

    def push(self, samples: FloatArray) -> None:
        """Take the next samples, (N,) float32."""
        self._power = np.concatenate([self._power, self._blocks.push(samples).var(1, dtype=np.float64)])

    def finish(self) -> NDArray[np.float64]:
        """Levels of the whole recording: (hops,) float64, dB."""
        self._power = np.concatenate([self._power, self._blocks.finish().var(1, dtype=np.float64)])
        return self.so_far()

    def drop(self, hops: int) -> None:
        """Drop the first hops of those that `so_far` has given."""
        self._level_db, self._dropped = self._level_db[hops:], self._dropped + hops

    def so_far(self) -> NDArray[np.float64]:
        """Levels of all complete hops that were not dropped: (hops,) float64, dB."""
        power, side = self._power, WINDOW_HOPS // 2
        if not len(power):
            return power
        # Averaged over neighboring hops, whose ends are repeated; the added power keeps the logarithm finite.
        smooth = np.convolve(np.pad(power, side, mode="edge"), np.ones(WINDOW_HOPS) / WINDOW_HOPS, "valid")
        newest_db = 10 * np.log10(smooth + 10 ** (QUIETEST_DB / 10))
        known = self._passed + len(power) - side  # hops whose neighbors are known
        before = self._dropped + len(self._level_db)
        self._level_db = np.concatenate([self._level_db, newest_db[before - self._passed : known - self._passed]])
        done = max(0, known - side - self._passed)
        self._power, self._passed = power[done:], self._passed + done
        return np.asarray(np.concatenate([self._level_db, newest_db[len(newest_db) - side :]]))


@functools.cache
def _session() -> Any:
    """The detector in onnxruntime, on one thread; loaded once."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(detector_file().read_bytes(), options, providers=["CPUExecutionProvider"])


def detector_file() -> Path:
    """Find the detector's weights inside the installed package silero-vad, which is not imported.

    Raises:
        ModelUnavailableError: the package is not installed, or of another version.
    """
    return packaged_file("silero_vad", MODEL_FILE, MODEL_SHA256, REQUIREMENT)
