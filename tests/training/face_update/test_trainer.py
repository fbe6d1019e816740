"""The options of a training, its schedule, and the numbers that its evaluation gives."""

from __future__ import annotations

from typing import get_type_hints

import numpy as np
import pytest
import torch

from talkinghead.errors import OptionError
from talkinghead.media.images import GAP_PX
from talkinghead.network.local_modeller import LocalCoefficients
from talkinghead.training.face_update.config import DEFAULT_MINUTES, LoopConfig, TrainingConfig, TrainingOptions
from talkinghead.training.face_update.evaluation import HeldOutBatch, evaluate
from talkinghead.training.face_update.samples import SampleBatch
from talkinghead.training.face_update.trainer import learning_rate


def test_keyword_options_are_the_fields_of_the_config() -> None:
    assert get_type_hints(TrainingOptions) == get_type_hints(TrainingConfig)


@pytest.mark.parametrize(
    "values", [{"minutes": 0.0}, {"steps": 0}, {"steps": 2.5}, {"face": "middle"}, {"resume": 1}, {"minutes": "15"}]
)
def test_options_out_of_range_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(values))):
        TrainingConfig(**values)  # type: ignore[arg-type]


def test_loop_settings_out_of_range_are_refused() -> None:
    with pytest.raises(OptionError, match="batch"):
        LoopConfig(batch=0)


def test_length_of_a_training() -> None:
    assert TrainingConfig().loop_minutes == DEFAULT_MINUTES
    assert TrainingConfig(steps=5).loop_minutes is None
    assert TrainingConfig(steps=5, minutes=2.0).loop_minutes == 2.0


def test_the_learning_rate_warms_up_and_falls_along_a_cosine() -> None:
    config = LoopConfig(learning_rate=1e-2, final_learning_rate=1e-4, warmup_steps=10)
    assert learning_rate(config, 0, 0.0) == pytest.approx(1e-3)
    assert learning_rate(config, 9, 0.0) == pytest.approx(1e-2)
    assert learning_rate(config, 500, 0.5) == pytest.approx((1e-2 + 1e-4) / 2)
    assert learning_rate(config, 1000, 1.0) == pytest.approx(1e-4)


def held_out_batch(start: int, count: int) -> HeldOutBatch:
    """Samples of gray value number / 100, cut out everywhere, that are updated 0.1 too bright."""
    gray = torch.arange(start, start + count)[:, None, None, None].expand(count, 3, 16, 24) / 100
    feather = torch.zeros(count, 1, 16, 24)
    feather[..., :8] = 1
    ones = torch.ones(count, 1, 16, 24)
    zeros = torch.zeros(count, 1)
    coefficients = LocalCoefficients(zeros, zeros, zeros, zeros)
    batch = SampleBatch(gray, ones, feather, coefficients, np.ones((count, 4), np.float32))
    wrong_outside = torch.where(feather > 0, gray + 0.1, gray + 0.5)  # is not to count
    return HeldOutBatch(np.arange(start, start + count), batch, wrong_outside)


def test_evaluation_measures_inside_the_region_and_shows_samples_spread_over_all() -> None:
    psnr_db, sheet = evaluate([held_out_batch(0, 4), held_out_batch(4, 4), held_out_batch(8, 2)], 10)
    assert psnr_db == pytest.approx(20, abs=1e-4)
    height, width = 16 + GAP_PX, 24 + GAP_PX
    assert sheet.shape == (4 * height + GAP_PX, 6 * width + GAP_PX, 3)
    shown = [0, 1, 2, 3, 5, 6, 7, 9]
    for place, number in enumerate(shown):
        top = place // 2 * height + GAP_PX
        lefts = [(place % 2 * 3 + part) * width + GAP_PX for part in range(3)]
        truth, cut, updated = (sheet[top, left, 0] for left in lefts)
        assert (truth, cut, updated) == (round(2.55 * number), 0, round(2.55 * (number + 10)))
