"""The amount of sharpening that is found for an anchor."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from talkinghead import metrics
from talkinghead.network.compositor import fine_detail
from talkinghead.training.face_update.sharpening import LARGEST_AMOUNT, TARGET_SHARE, matching_sharpening


@pytest.fixture
def grain() -> torch.Tensor:
    return torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4


def everywhere(image: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(image[:, :1])


def test_sharpening_brings_a_soft_image_to_the_target_share_of_the_real_ones_sharpness(grain: torch.Tensor) -> None:
    soft = grain - 0.3 * fine_detail(grain)
    amount = matching_sharpening(soft, grain, everywhere(grain))
    assert 0 < amount < LARGEST_AMOUNT
    real, generated = (metrics.sharpness(to_bytes(image)) for image in (grain, soft + amount * fine_detail(soft)))
    assert generated / real == pytest.approx(TARGET_SHARE, abs=0.03)


def test_sharp_images_are_left_and_flat_ones_are_not_pushed_beyond_the_limit(grain: torch.Tensor) -> None:
    assert matching_sharpening(grain, grain, everywhere(grain)) == 0
    faint = 0.5 + 0.01 * (grain - 0.5)
    assert matching_sharpening(faint, grain, everywhere(grain)) == LARGEST_AMOUNT


def to_bytes(image: torch.Tensor) -> np.ndarray:
    return (image[0] * 255).round().byte().permute(1, 2, 0).numpy()
