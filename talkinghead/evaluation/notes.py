"""Notes on a pair: what a reader has to know before the scores, as far as the files themselves tell."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from talkinghead import metrics
from talkinghead.evaluation.audio_lag import LEAST_LAG_S, SAME_AUDIO_R, AudioLag, same_recording_r
from talkinghead.evaluation.clip import Clip
from talkinghead.evaluation.landmark_pair import LandmarkPair
from talkinghead.speech.calibration import FEWEST_FRAMES, LEAST_R
from talkinghead.structures import Audio, BoolArray

NO_MEANING = "if it says other words, no score against this reference means anything; leave --reference out"


@dataclass(frozen=True)
class Words:
    """What tells whether an output and its reference say the same words."""

    driven_by_reference: bool
    """Whether no other audio was named that drove the output."""
    same_audio_r: float
    """Correlation of the levels of the reference's audio and the output's, or the audio that was named; NaN where
    either is missing."""
    audio_lag: AudioLag
    mouth_r: float
    """Correlation of the openings at the best lag; NaN where too few frames tell."""

    @classmethod
    def of(
        cls, *, driving: Audio | None, output: Audio | None, reference: Audio | None, lag: AudioLag, pair: LandmarkPair
    ) -> Words:
        """Compare recordings and mouths.

        Args:
            driving: the audio that was named; None for none.
            output: the output's own audio; None for none.
            reference: the reference's own audio; None for none.
            lag: of the driving audio against the reference's mouth.
            pair: landmarks of both.
        """
        other = driving or output
        same_r = math.nan if other is None or reference is None else same_recording_r(other, reference)
        mouth_r = pair.lag.r if pair.output.valid.sum() >= FEWEST_FRAMES else math.nan
        return cls(driving is None, same_r, lag, mouth_r)


def words_note(words: Words) -> Iterator[str]:
    """A note where output and reference seem to say different words."""
    lag, is_other = words.audio_lag, words.same_audio_r < SAME_AUDIO_R  # NaN is neither
    if words.driven_by_reference and is_other:
        yield f"the output's audio is not the reference's (r of their levels {words.same_audio_r:.2f}): {NO_MEANING}"
    elif not words.driven_by_reference and is_other and not lag.fits:
        yield (
            f"the driving audio is not the reference's (r of their levels {words.same_audio_r:.2f}), and nothing shows "
            f"that its mouth fits it: {NO_MEANING}"
        )
    elif lag.fits is False:
        yield (
            f"the reference's mouth does not fit the audio at any lag up to {metrics.LAG_RANGE_MS} ms (r {lag.r:.2f} "
            "at best): if it says other words or is dubbed, no score against it means anything"
        )
    elif math.isnan(words.same_audio_r) and words.mouth_r < LEAST_R:
        yield (
            f"the output's mouth follows the reference's at no lag up to {metrics.LAG_RANGE_MS} ms "
            f"(r {words.mouth_r:.2f} at best): {NO_MEANING}"
        )


def lag_note(lag: AudioLag, taken_out_s: float) -> Iterator[str]:
    """What was done about the lag of the reference's audio; nothing where that is too small to matter."""
    if lag.lag_s is None or abs(lag.lag_s) < LEAST_LAG_S:
        return
    found = f"the reference's audio is {_ms(lag.lag_s)} {'behind' if lag.lag_s > 0 else 'ahead of'} its mouth"
    if taken_out_s:
        when = "later" if taken_out_s > 0 else "earlier"
        yield f"{found}; the output follows the audio, so it was compared {_ms(taken_out_s)} {when}"
    else:
        yield f"{found}; the output follows the reference's mouth instead, so it was compared at equal times"


def start_note(start_s: float) -> Iterator[str]:
    """That the output's mouth is compared at the times of its speech, where that begins later or earlier."""
    if start_s:
        when, how = ("after", "later") if start_s > 0 else ("before", "earlier")
        yield f"the output's speech begins {_ms(start_s)} {when} the reference's: compared that much {how}"


def difference_notes(output: Clip, reference: Clip) -> Iterator[str]:
    """Differences in frame rate, size and length, and frames without a face."""
    one, other = output.track, reference.track
    yield from treatment_notes(output, "output")
    yield from treatment_notes(reference, "reference")
    if output.frame_rate != reference.frame_rate:
        yield (
            f"{_fps(output.frame_rate)} frames a second against {_fps(reference.frame_rate)}: "
            "compared at the reference's times"
        )
    if (one.width, one.height) != (other.width, other.height):
        yield f"{one.width}x{one.height} px against {other.width}x{other.height}: the output was scaled"
    partners = metrics.nearest_frames(one.times_s, other.times_s)
    yield from counted(np.asarray(partners < 0), "of the reference come when the output has none")
    surplus = metrics.nearest_frames(other.times_s, one.times_s) < 0
    yield from counted(np.asarray(surplus), "of the output come when the reference has none")
    yield from counted(~other.valid, "of the reference show no face")
    yield from counted(~one.valid, "of the output show no face")


def treatment_notes(clip: Clip, what: str) -> Iterator[str]:
    """What reading a clip did to its pictures, if anything."""
    if clip.treatment:
        yield f"pictures of the {what}: {clip.treatment}"


def counted(chosen: BoolArray, what: str) -> Iterator[str]:
    """How many of the frames are meant; nothing where none is."""
    if chosen.any():
        yield f"{int(chosen.sum())} of {len(chosen)} frames {what}"


def _ms(seconds: float) -> str:
    return f"{abs(seconds) * 1000:.0f} ms"


def _fps(rate: Fraction) -> str:
    return f"{float(rate):.3f}"
