"""The losses of benchmarks/losses.py that training does not use, on images whose losses are known."""

from __future__ import annotations

import pytest
import torch
from losses import gradient_l1, temporal_l1


@pytest.fixture
def grain() -> torch.Tensor:
    return torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4


def everywhere(image: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(image[:, :1])


def test_a_ramp_costs_its_slope_in_gradients_and_a_constant_shift_nothing(grain: torch.Tensor) -> None:
    ramp = 0.01 * torch.arange(grain.shape[-1], dtype=torch.float32)
    assert float(gradient_l1(grain + ramp, grain, everywhere(grain))) == pytest.approx(0.01, abs=1e-6)
    assert float(gradient_l1(grain + 0.1, grain, everywhere(grain))) == pytest.approx(0, abs=1e-6)


def test_temporal_loss_measures_changes_of_the_error_within_a_pair(grain: torch.Tensor) -> None:
    """A constant error costs nothing; one that comes with the second frame of a pair costs its size."""
    weight = everywhere(grain)
    assert float(temporal_l1(grain + 0.1, grain, weight)) == pytest.approx(0, abs=1e-6)
    flickering = grain + torch.tensor([0.0, 0.05])[:, None, None, None]
    assert float(temporal_l1(flickering, grain, weight)) == pytest.approx(0.05, abs=1e-6)
