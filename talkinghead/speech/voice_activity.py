"""Voice activity: where nobody speaks, the mouth comes to rest.

What is speech, and what is noise, music or a breath, is told by Silero's voice activity detector (MIT; its weights
come inside the package silero-vad, and nothing of that package is run). It hears steps of 32 ms and is a step late at
the soft beginning of a word; where exactly speech begins and ends is therefore read off the level of the sound,
near to where the detector hears it.
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
"""Samples to a step of the detector."""
BEFORE = 64
"""Samples before its step that the detector sees too."""
MOST_STEPS = 512
"""So many, 16 s, are heard at once."""
HOP = 160
"""Samples, 10 ms: the level is taken this often,"""
HOP_S = HOP / RATE_HZ
WINDOW_HOPS = 3
"""over so many hops."""
QUIETEST_DB = -90.0

MODEL_FILE = Path("data/silero_vad_16k_sequence.onnx")
MODEL_SHA256 = "9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85"
REQUIREMENT = "silero-vad==6.2.3"


@dataclass(frozen=True)
class VoiceActivityConfig:
    """When a pause is a pause, and how the mouth comes to rest in it."""

    attack_ms: float = 140.0
    """Time from rest to free movement; it is over `lead_ms` before the sound begins."""
    release_ms: float = 180.0
    """Time from free movement to rest, counted from where the sound ends."""
    lead_ms: float = 80.0
    """Lips open before they are heard."""
    shortest_pause_ms: float = 250.0
    """Less silence than this is part of the speech: the closure of a plosive."""
    begin_probability: float = 0.5
    """Speech begins where the detector is this sure of it,"""
    end_probability: float = 0.35
    """and lasts for as long as it stays this sure."""
    reach_before_ms: float = 160.0
    """Sound so long before what the detector hears belongs to it: the soft beginning of a word."""
    reach_after_ms: float = 60.0
    """Sound so long after it does too."""
    below_speech_db: float = 36.0
    """Sound this far below the recording's speech level is silence."""
    above_noise_db: float = 3.0
    """Beside what the detector hears, so is sound less than this above the level where nobody speaks."""


def voice_activity(
    recording: Recording, times_s: NDArray[np.float64], config: VoiceActivityConfig | None = None
) -> FloatArray:
    """How much of the driven movement is let through at each time: (T,) float32, 0 in silence, 1 in speech.

    Args:
        recording: at 16 kHz; it is read once, in constant memory.
        times_s: (T,) seconds.
        config: thresholds and times.

    Raises:
        ModelUnavailableError: the detector's weights are not installed, or damaged.
    """
    config = config or VoiceActivityConfig()
    return gate(speech_stretches(recording, config), times_s, config)


def gate(stretches: NDArray[np.float64], times_s: NDArray[np.float64], config: VoiceActivityConfig) -> FloatArray:
    """Stretches of speech (R, 2), in seconds, to how much is let through at each time: (T,)."""
    if not len(stretches):
        return np.zeros(len(times_s), np.float32)
    begins_s, ends_s = stretches.T
    following = np.searchsorted(ends_s, times_s, side="left")
    until_s = np.append(begins_s, np.inf)[following] - times_s - config.lead_ms / 1000
    since_s = times_s - np.append(-np.inf, ends_s)[following]
    nearness = np.maximum(1 - until_s * 1000 / config.attack_ms, 1 - since_s * 1000 / config.release_ms).clip(0, 1)
    return (0.5 - 0.5 * np.cos(np.pi * nearness)).astype(np.float32)


def speech_stretches(recording: Recording, config: VoiceActivityConfig) -> NDArray[np.float64]:
    """Where in a recording somebody speaks: (R, 2), begin and end of each stretch in seconds, in order.

    Args:
        recording: at 16 kHz; it is read once, in constant memory.
        config: thresholds and times.

    Raises:
        ModelUnavailableError: the detector's weights are not installed, or damaged.
    """
    if recording.rate_hz != RATE_HZ:
        raise ValueError(f"voice activity is detected at {RATE_HZ} Hz, not at {recording.rate_hz} Hz")
    detection = SpeechDetection(config)
    for block in recording.blocks():
        detection.push(block)
    return detection.finish()


class SpeechDetection:
    """Finds stretches of speech in a recording that is handed over block by block, at 16 kHz.

    Raises:
        ModelUnavailableError: the detector's weights are not installed, or damaged.
    """

    def __init__(self, config: VoiceActivityConfig) -> None:
        self._config = config
        self._detector, self._meter = _Detector(), _LevelMeter()

    def push(self, block: FloatArray) -> None:
        """Take the next samples, (N,) float32."""
        self._detector.push(block)
        self._meter.push(block)

    def finish(self) -> NDArray[np.float64]:
        """(R, 2) begin and end of each stretch of speech in seconds, in order."""
        probability, level_db = self._detector.finish(), self._meter.finish()
        hops = np.arange(len(level_db))
        detected = _lasting(probability, self._config)[hops * HOP // STEP]
        if not detected.any():
            return np.zeros((0, 2))
        active = _audible(level_db, detected, self._config)
        edges = np.flatnonzero(np.diff(active.astype(np.int8), prepend=0, append=0)).reshape(-1, 2) * HOP_S
        pauses = edges[1:, 0] - edges[:-1, 1] >= self._config.shortest_pause_ms / 1000
        return np.stack([edges[np.append(True, pauses), 0], edges[np.append(pauses, True), 1]], 1)


def _lasting(probability: FloatArray, config: VoiceActivityConfig) -> BoolArray:
    """Steps of speech: from one that is surely speech for as long as it may be."""
    may = probability >= config.end_probability
    run = np.cumsum(np.diff(may, prepend=False))  # the same for the steps of a run
    return may & np.isin(run, run[probability >= config.begin_probability])


def _audible(level_db: NDArray[np.float64], detected: BoolArray, config: VoiceActivityConfig) -> BoolArray:
    """Hops of speech: those detected as speech but for silence at their ends, and audible ones next to them."""
    near = _spread(detected, config.reach_before_ms, config.reach_after_ms)
    speech_db = float(np.quantile(level_db[detected], 0.9))
    noise_db = float(np.quantile(level_db[~near], 0.9)) if (~near).any() else QUIETEST_DB
    least_db = max(speech_db - config.below_speech_db, QUIETEST_DB)
    audible_db = max(least_db, noise_db + config.above_noise_db)
    # Detected speech stays, however loud the noise is.
    return (detected & (level_db > least_db)) | (near & (level_db > audible_db))


def _spread(active: BoolArray, before_ms: float, after_ms: float) -> BoolArray:
    """Widen every run of True to the left and to the right."""
    before, after = (round(value / 1000 / HOP_S) for value in (before_ms, after_ms))
    edges = np.concatenate([[0], np.cumsum(active)])
    position = np.arange(len(active))
    first = np.maximum(position - after, 0)
    last = np.minimum(position + before + 1, len(active))
    return np.asarray(edges[last] > edges[first])


class _Blocks:
    """Cuts what comes in pieces of any length into blocks of one length."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._rest = np.zeros(0, np.float32)

    def push(self, samples: FloatArray) -> FloatArray:
        """(N,) -> (blocks, length); what remains is kept for the next."""
        joined = np.concatenate([self._rest, samples])
        whole = len(joined) // self._length * self._length
        self._rest = joined[whole:]
        return joined[:whole].reshape(-1, self._length)

    def finish(self) -> FloatArray:
        """(0 or 1, length): the rest, filled up with silence."""
        return self.push(np.zeros(-len(self._rest) % self._length, np.float32))


class _Detector:
    """Probability of speech in every step of `STEP` samples."""

    def __init__(self) -> None:
        self._session = _session()
        self._blocks = _Blocks(STEP)
        self._waiting: list[FloatArray] = []
        self._before = np.zeros(BEFORE, np.float32)
        self._state = [np.zeros((1, 1, 128), np.float32), np.zeros((1, 1, 128), np.float32)]
        self._probabilities: list[FloatArray] = []

    def push(self, samples: FloatArray) -> None:
        self._waiting.append(self._blocks.push(samples))
        if sum(map(len, self._waiting)) >= MOST_STEPS:
            self._run()

    def finish(self) -> FloatArray:
        """(steps,) in [0, 1]."""
        self._waiting.append(self._blocks.finish())
        self._run()
        return np.concatenate([np.zeros(0, np.float32), *self._probabilities])

    def _run(self) -> None:
        steps = np.concatenate(self._waiting)
        self._waiting = []
        for start in range(0, len(steps), MOST_STEPS):
            part = steps[start : start + MOST_STEPS]
            before = np.concatenate([self._before[None], part[:-1, -BEFORE:]])
            self._before = part[-1, -BEFORE:]
            fed = {"input": np.concatenate([before, part], 1), "h": self._state[0], "c": self._state[1]}
            found, *self._state = self._session.run(["speech_probs", "hn", "cn"], fed)
            self._probabilities.append(found.reshape(-1))


class _LevelMeter:
    """Root mean square level every `HOP_S`, without what is constant, in dB of full scale."""

    def __init__(self) -> None:
        self._blocks = _Blocks(HOP)
        self._powers: list[NDArray[np.float64]] = []

    def push(self, samples: FloatArray) -> None:
        self._powers.append(self._blocks.push(samples).var(1, dtype=np.float64))

    def finish(self) -> NDArray[np.float64]:
        """(hops,)"""
        self._powers.append(self._blocks.finish().var(1, dtype=np.float64))
        power = np.concatenate(self._powers)
        smooth = np.convolve(np.pad(power, WINDOW_HOPS // 2, mode="edge"), np.ones(WINDOW_HOPS) / WINDOW_HOPS, "valid")
        return np.asarray(10 * np.log10(smooth + 10 ** (QUIETEST_DB / 10)))


@functools.cache
def _session() -> Any:
    """The detector in onnxruntime, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(detector_file().read_bytes(), options, providers=["CPUExecutionProvider"])


def detector_file() -> Path:
    """The detector's weights inside the installed package silero-vad, which is not imported.

    Raises:
        ModelUnavailableError: it is not installed, or of another version.
    """
    return packaged_file("silero_vad", MODEL_FILE, MODEL_SHA256, REQUIREMENT)
