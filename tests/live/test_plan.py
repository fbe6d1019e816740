"""How soon the mouth comes to rest after an interrupt, and that it does not jump."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from talkinghead.anchor import Anchor, load_anchor
from talkinghead.live.plan import EASE_S, QUICK_EASE_S, SessionState, plan_tick, quick_ease_s
from talkinghead.live.resident import usual_step
from talkinghead.live.utterance import LiveUtterance
from talkinghead.structures import FloatArray

RATE = Fraction(25)


@pytest.fixture(scope="module")
def presenter() -> Anchor:
    return load_anchor("presenter")


def after_interrupt(
    mouth: FloatArray, pause: FloatArray, usual: float, frame_rate: Fraction = RATE
) -> list[FloatArray]:
    """The mouths of the ticks from that at which a session is interrupted until the one at rest."""
    speaks = replace(SessionState.at_rest(pause), expression=mouth, utterance=LiveUtterance(1, len(pause)))
    state, shown = speaks.interrupted(), [mouth]
    for _ in range(20):
        planned = plan_tick(state, deque(), pause, usual, frame_rate)
        state = planned.after
        shown.append(pause if planned.expression is None else planned.expression)
        if planned.expression is None:
            return shown
    raise AssertionError("It never came to rest.")


def largest_step(shown: list[FloatArray]) -> float:
    return float(np.linalg.norm(np.diff(shown, axis=0), axis=1).max())


@pytest.mark.parametrize("frame_rate", [Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(50)])
def test_the_mouth_rests_as_soon_as_its_usual_steps_allow(frame_rate: Fraction) -> None:
    pause = np.zeros(2, np.float32)
    most_frames = -int(-EASE_S * frame_rate // 1)
    least_frames = -int(-QUICK_EASE_S * frame_rate // 1)
    for length in np.linspace(1.003, 8.1, 40):
        mouth = np.array([length, 0], np.float32)
        shown = after_interrupt(mouth, pause, 1.0, frame_rate)
        frames = len(shown) - 1
        assert least_frames <= frames <= most_frames
        if frames < most_frames:
            assert largest_step(shown) <= 1 + 1e-6
        if frames > least_frames:  # one frame less would be too quick
            share = np.arange(frames) / (frames - 1)
            assert length * np.abs(np.diff(share * share * (3 - 2 * share))).max() > 1


def test_a_mouth_without_usual_steps_takes_its_time() -> None:
    assert quick_ease_s(1.0, 0.0, RATE) == EASE_S
    assert quick_ease_s(0.0, 0.0, RATE) == QUICK_EASE_S


def test_wherever_it_is_interrupted_the_mouth_goes_no_further_than_in_speech(presenter: Anchor) -> None:
    own, pause = presenter.trained, presenter.rest_expression()
    face = presenter.model.of(own.identity)
    usual, gap = usual_step(presenter), face.lip_gap(own.expression)
    in_speech = np.linalg.norm(np.diff(own.expression, axis=0), axis=1)
    assert np.mean(in_speech > usual) == pytest.approx(0.01, abs=0.003)
    eases = [after_interrupt(mouth, pause, usual) for mouth in own.expression]
    assert max(map(largest_step, eases)) <= usual
    assert max(np.abs(np.diff(face.lip_gap(np.stack(shown)))).max() for shown in eases) <= np.abs(np.diff(gap)).max()
    # Nearly always in two frames, never in more than four.
    frames = np.array([len(shown) - 1 for shown in eases])
    assert np.mean(frames == 2) > 0.95 and frames.max() <= 4
