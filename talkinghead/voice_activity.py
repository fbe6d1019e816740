"""Voice activity: where the speech pauses, the mouth comes to rest.

By energy alone: loud against the recording's own speech level, with room before and after, because lips open
before the sound and close after it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talkinghead.structures import FloatArray, Sound

HOP_S = 0.01
WINDOW_S = 0.03
QUIETEST_DB = -90.0


@dataclass(frozen=True)
class VoiceActivityConfig:
    """When a pause is a pause."""

    below_speech_db: float = 32.0
    """Sound this far below the recording's speech level counts as silence."""
    above_noise_db: float = 6.0
    """So does sound less than this above the recording's own noise."""
    lead_s: float = 0.20
    """The mouth is free to move this long before the sound."""
    hold_s: float = 0.30
    """And this long after it."""
    ease_s: float = 0.12
    """Time to come to rest, or to get going."""


def voice_activity(sound: Sound, times_s: NDArray[np.float64], config: VoiceActivityConfig | None = None) -> FloatArray:
    """How much of the driven movement is let through at each time: (T,) float32, 0 in silence, 1 in speech.

    Args:
        sound: the speech.
        times_s: (T,) seconds.
        config: thresholds and times.
    """
    config = config or VoiceActivityConfig()
    level_db = _levels_db(sound)
    speech_db = float(np.quantile(level_db, 0.95))
    noise_db = float(np.quantile(level_db, 0.05))
    # In speech without pauses the quietest part is speech too, so the noise threshold may not rise far.
    threshold_db = max(speech_db - config.below_speech_db, min(noise_db + config.above_noise_db, speech_db - 20.0))
    active = (level_db > threshold_db) & (level_db > QUIETEST_DB)
    free = _spread(active, round(config.lead_s / HOP_S), round(config.hold_s / HOP_S)).astype(np.float64)
    steps = max(1, round(config.ease_s / HOP_S))
    kernel = np.hanning(2 * steps + 1)
    eased = np.convolve(np.pad(free, steps, mode="edge"), kernel / kernel.sum(), mode="valid")
    return np.interp(times_s, (np.arange(len(eased)) + 0.5) * HOP_S, eased).astype(np.float32)


def _levels_db(sound: Sound) -> NDArray[np.float64]:
    """RMS level every HOP_S over WINDOW_S, in dB of full scale."""
    hop = max(1, round(HOP_S * sound.rate_hz))
    whole = len(sound.samples) // hop
    # No copy of the samples is made: there may be hours of them.
    blocks = sound.samples[: whole * hop].reshape(whole, hop)
    power = np.einsum("ij,ij->i", blocks, blocks).astype(np.float64) / hop
    rest = sound.samples[whole * hop :].astype(np.float64)
    if len(rest):
        power = np.append(power, (rest**2).sum() / hop)
    count = len(power)
    width = max(1, round(WINDOW_S / HOP_S))
    power = np.convolve(np.pad(power, width // 2, mode="edge"), np.ones(width) / width, mode="valid")[:count]
    return 10 * np.log10(power + 10 ** (QUIETEST_DB / 10))


def _spread(active: NDArray[np.bool_], before: int, after: int) -> NDArray[np.bool_]:
    """Widen every run of True by `before` steps to the left and `after` to the right."""
    edges = np.concatenate([[0], np.cumsum(active)])
    position = np.arange(len(active))
    first = np.maximum(position - after, 0)
    last = np.minimum(position + before + 1, len(active))
    return np.asarray(edges[last] > edges[first])
