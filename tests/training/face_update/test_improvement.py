"""When a training stands still, on made-up courses of PSNR whose further gain is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from talkinghead.training.face_update.improvement import FEWEST_STEPS, LEAST_GAIN_DB, Improvement

Course = Callable[[float], float]


def saturating(step: float) -> float:
    """Rises to 33 dB and stays there."""
    return 33 - 6 * float(np.exp(-step / 400))


def logarithmic(step: float) -> float:
    """Half a dB for twice the steps, as on real clips."""
    return 27 + 0.5 * float(np.log2(step))


def slow(step: float) -> float:
    """A little more than the limit for twice the steps."""
    return 27 + 1.3 * LEAST_GAIN_DB * float(np.log2(step))


def linear(step: float) -> float:
    return 27 + step / 1000


def overfitting(step: float) -> float:
    """Best at 600 steps."""
    return 33 - abs(float(np.log2(step / 600)))


def ends_at(course: Course, noise_db: float = 0.0, seed: int = 0, last: int = 20000, every: int = 40) -> int | None:
    """The first measurement after which a training stands still."""
    draw, improvement = np.random.default_rng(seed), Improvement()
    for step in range(every, last + 1, every):
        improvement.add(step, course(step) + noise_db * draw.standard_normal())
        if improvement.stands_still():
            return step
    return None


@pytest.mark.parametrize("noise_db", [0.0, 0.03, 0.1])
@pytest.mark.parametrize("seed", range(5))
def test_a_course_that_saturates_stands_still_when_nothing_is_left(noise_db: float, seed: int) -> None:
    found = ends_at(saturating, noise_db, seed)
    assert found is not None and saturating(2 * found) - saturating(found) < LEAST_GAIN_DB


@pytest.mark.parametrize("noise_db", [0.0, 0.02])
@pytest.mark.parametrize("course", [logarithmic, linear, slow])
def test_a_course_that_rises_does_not(course: Course, noise_db: float) -> None:
    assert ends_at(course, noise_db) is None


@pytest.mark.parametrize("seed", range(20))
def test_noise_does_not_end_a_training_that_gains(seed: int) -> None:
    assert ends_at(logarithmic, 0.1, seed) is None
    assert ends_at(logarithmic, 0.3, seed, last=4000) is None


def test_a_course_that_falls_stands_still() -> None:
    found = ends_at(overfitting)
    assert found is not None and 600 <= found <= 1200


def test_a_single_good_or_bad_measurement_decides_nothing() -> None:
    improvement = Improvement()
    for step in range(40, 1201, 40):
        improvement.add(step, logarithmic(step) + (1.0 if step == 640 else -1.0 if step == 1160 else 0.0))
        assert not improvement.stands_still()


def test_too_little_is_known_at_first() -> None:
    few_steps, few_measurements = Improvement(), Improvement()
    for step in range(10, FEWEST_STEPS, 10):
        few_steps.add(step, 33.0)
    for step in range(500, 4001, 500):
        few_measurements.add(step, 33.0)
    assert few_steps.gain_db() is None and not few_steps.stands_still()
    assert few_measurements.gain_db() is None and not few_measurements.stands_still()
    assert not Improvement().stands_still()


def test_the_gain_of_twice_the_steps_is_measured() -> None:
    improvement = Improvement()
    for step in range(100, 2001, 50):
        improvement.add(step, logarithmic(step))
        improvement.add(step, float("nan"))  # of a network that diverged; left out
    gain = improvement.gain_db()
    assert gain is not None and gain == pytest.approx((0.5, 0.0), abs=1e-6)


def test_a_course_survives_its_file() -> None:
    improvement = Improvement()
    for step in range(50, 2001, 50):
        improvement.add(step, saturating(step) + 0.001 * (step % 3))
    assert Improvement.from_text(improvement.as_text()).gain_db() == improvement.gain_db()


@pytest.mark.parametrize(
    "text", ["", "1", "null", "[1, 2]", "[[1], [2, 3]]", '[["a"], [1]]', "[[[1]], [1]]", "[" * 9999]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a course of PSNR"):
        Improvement.from_text(text)
