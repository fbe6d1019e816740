"""The options of a training, its schedule, and the numbers that its evaluation gives."""

from __future__ import annotations

import copy
from typing import get_type_hints

import numpy as np
import pytest
import torch

from talkinghead.anchor import load_anchor
from talkinghead.errors import OptionError
from talkinghead.network.local_modeller import LocalCoefficients
from talkinghead.training.face_update.config import (
    DEFAULT_MINUTES,
    LoopConfig,
    TrainingConfig,
    TrainingLength,
    TrainingOptions,
)
from talkinghead.training.face_update.evaluation import HeldOutBatch, measure
from talkinghead.training.face_update.quality import (
    GOOD_DB,
    GOOD_DISTANCE,
    USABLE_DB,
    USABLE_DISTANCE,
    HeldOutQuality,
    Word,
)
from talkinghead.training.face_update.samples import SampleBatch
from talkinghead.training.face_update.trainer import learning_rate, optimizer_for


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
    assert TrainingConfig().length == TrainingLength(DEFAULT_MINUTES, None, early_stop=True)
    assert TrainingConfig(steps=5).length == TrainingLength(None, 5, early_stop=False)
    assert TrainingConfig(steps=5, minutes=2.0).length == TrainingLength(2.0, 5, early_stop=True)
    assert TrainingConfig(early_stop=False).length == TrainingLength(DEFAULT_MINUTES, None, early_stop=False)


@pytest.mark.parametrize(
    ("adversarial_from", "perceptual_from", "begins"),
    [(0.4, 0.5, 0.4), (0.6, 0.5, 0.5), (0.0, 0.5, 0.5), (0.0, 0.0, 0.4)],
)
def test_the_final_phase_begins_with_the_first_loss_that_is_added(
    adversarial_from: float, perceptual_from: float, begins: float
) -> None:
    config = LoopConfig(adversarial_from=adversarial_from, perceptual_from=perceptual_from)
    assert config.final_phase_from == begins


@pytest.mark.parametrize(
    ("mouth_psnr_db", "mouth_distance", "word"),
    [
        (GOOD_DB, GOOD_DISTANCE, "good"),
        (GOOD_DB - 0.1, GOOD_DISTANCE, "usable"),
        (GOOD_DB + 9, GOOD_DISTANCE + 0.01, "usable"),  # in its place, but blurred
        (USABLE_DB, USABLE_DISTANCE, "usable"),
        (USABLE_DB - 0.1, 0.0, "rough"),
        (GOOD_DB, USABLE_DISTANCE + 0.01, "rough"),
        (float("nan"), 0.0, "rough"),
        (GOOD_DB, float("nan"), "rough"),
    ],
)
def test_words_need_both_the_place_and_the_look(mouth_psnr_db: float, mouth_distance: float, word: Word) -> None:
    assert HeldOutQuality(0.0, mouth_psnr_db, mouth_distance).word == word


def test_the_learning_rate_warms_up_and_falls_along_a_cosine() -> None:
    config = LoopConfig(learning_rate=1e-2, final_learning_rate=1e-4, warmup_steps=10)
    assert learning_rate(config, 0, 0.0) == pytest.approx(1e-3)
    assert learning_rate(config, 9, 0.0) == pytest.approx(1e-2)
    assert learning_rate(config, 500, 0.5) == pytest.approx((1e-2 + 1e-4) / 2)
    assert learning_rate(config, 1000, 1.0) == pytest.approx(1e-4)


def test_the_texture_learns_by_a_multiple_of_the_rate_and_every_weight_learns() -> None:
    network = copy.deepcopy(load_anchor("presenter").network)
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    for weight in network.parameters():
        weight.grad = torch.ones_like(weight)
    optimizer = optimizer_for(network, LoopConfig(learning_rate=1e-3, texture_rate=7.0))
    for group in optimizer.param_groups:
        group["lr"] = 1e-3 * group["factor"]
    optimizer.step()
    moved = {name: (before[name] - weight.detach()).median() for name, weight in network.named_parameters()}
    # The first step of Adam is as long as the learning rate.
    assert moved.pop("generator.texture_map.base") == pytest.approx(7e-3, rel=1e-2)
    assert [float(way) for way in moved.values()] == pytest.approx([1e-3] * len(moved), rel=1e-2)


HEIGHT, WIDTH, MOUTH_PX = 64, 96, (48.0, 32.0, 10.0, 6.0)


def held_out_batch(start: int, count: int) -> HeldOutBatch:
    """Gray samples, in the region 0.1 too bright, in the window around the mouth 0.01; elsewhere 0.5."""
    gray = torch.full((count, 3, HEIGHT, WIDTH), 0.3)
    feather = torch.zeros(count, 1, HEIGHT, WIDTH)
    feather[..., :8] = 1
    updated = torch.where(feather > 0, gray + 0.1, gray + 0.5)
    updated[..., 16:48, 24:72] = 0.31
    zeros = torch.zeros(count, 1)
    coefficients = LocalCoefficients(zeros, zeros, zeros, zeros)
    mouths = np.tile(np.array(MOUTH_PX, np.float32), (count, 1))
    batch = SampleBatch(gray, torch.ones_like(feather), feather, coefficients, mouths)
    return HeldOutBatch(np.arange(start, start + count), batch, updated)


def test_quality_is_measured_in_the_region_and_at_the_mouth_over_all_samples() -> None:
    def distance(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        assert one.shape[2:] == other.shape[2:] == (32, 48)
        assert (one > other).all()  # results first
        return torch.full((len(one),), 0.2 if len(one) == 4 else 0.8)

    quality = measure([held_out_batch(0, 4), held_out_batch(4, 4), held_out_batch(8, 2)], distance)
    assert quality.psnr_db == pytest.approx(20, abs=1e-4)
    assert quality.mouth_psnr_db == pytest.approx(40, abs=1e-3)
    assert quality.mouth_distance == pytest.approx((8 * 0.2 + 2 * 0.8) / 10)


@pytest.mark.parametrize(("stride", "compared"), [(1, 10), (2, 5), (3, 4), (4, 3), (9, 2), (50, 1)])
def test_of_every_few_samples_one_is_compared_perceptually(stride: int, compared: int) -> None:
    sizes: list[int] = []

    def distance(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        sizes.append(len(one))
        return torch.full((len(one),), 0.5)

    batches = [held_out_batch(0, 4), held_out_batch(4, 4), held_out_batch(8, 2)]
    quality = measure(batches, distance, stride)
    assert sum(sizes) == compared and 0 not in sizes
    assert quality.mouth_psnr_db == pytest.approx(40, abs=1e-3) and quality.mouth_distance == 0.5


def test_equal_images_have_a_finite_psnr() -> None:
    batch = held_out_batch(0, 2)
    equal = HeldOutBatch(batch.chosen, batch.samples, batch.samples.image)
    quality = measure([equal], lambda one, other: (one - other).abs().sum((1, 2, 3)))
    assert quality == HeldOutQuality(100.0, 100.0, 0.0)
