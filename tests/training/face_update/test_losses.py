"""Training losses, on images whose losses are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from talkinghead.training.face_update.losses import laplacian_l1, pixel_weight, weighted_l1


@pytest.fixture
def grain() -> torch.Tensor:
    return torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4


def everywhere(image: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(image[:, :1])


def test_a_constant_shift_costs_its_size_and_has_no_fine_bands(grain: torch.Tensor) -> None:
    weight = everywhere(grain)
    assert float(weighted_l1(grain + 0.1, grain, weight)) == pytest.approx(0.1, abs=1e-6)
    assert float(laplacian_l1(grain + 0.1, grain, weight)) == pytest.approx(0, abs=1e-6)


def test_a_fine_pattern_costs_more_than_a_coarse_one_of_the_same_size(grain: torch.Tensor) -> None:
    """A checkerboard lies in the finest band alone; a constant shift of its size lies in none."""
    board = 0.1 * ((torch.arange(48)[:, None] + torch.arange(64)) % 2 * 2 - 1)
    weight = everywhere(grain)
    assert float(weighted_l1(grain + board, grain, weight)) == pytest.approx(0.1, abs=1e-6)
    assert float(laplacian_l1(grain + board, grain, weight)) == pytest.approx(0.1, abs=1e-5)


def test_only_weighted_pixels_cost(grain: torch.Tensor) -> None:
    weight = everywhere(grain)
    weight[..., :32] = 0
    wrong = grain.clone()
    wrong[..., :32] += 0.3
    assert float(weighted_l1(wrong, grain, weight)) == 0
    wrong[..., 32:] += 0.1
    assert float(weighted_l1(wrong, grain, weight)) == pytest.approx(0.1, abs=1e-6)


def test_pixels_weigh_most_in_the_middle_of_the_mouth() -> None:
    feather = torch.ones(1, 1, 48, 64)
    feather[..., 40:, :] = 0
    weight = pixel_weight(feather, np.array([[32.5, 20.5, 10, 5]], np.float32), 4.0)[0, 0]
    assert weight.shape == (48, 64)
    assert float(weight[20, 32]) == 4 == float(weight.max())
    assert float(weight[20, 42]) == pytest.approx(1 + 3 * np.exp(-1), abs=1e-5)  # one half axis away
    assert float(weight[25, 32]) == pytest.approx(1 + 3 * np.exp(-1), abs=1e-5)
    assert float(weight[20, 0]) == 1 and float(weight[40:].max()) == 0
