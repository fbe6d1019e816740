"""What training compares pictures by: losses with known values, the discriminator, and the amount of sharpening."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from talkinghead import metrics
from talkinghead.network.compositor import fine_detail
from talkinghead.training.face_update.discriminator import Adversary, mouth_windows
from talkinghead.training.face_update.losses import gradient_l1, laplacian_l1, temporal_l1, weighted_l1
from talkinghead.training.face_update.sharpening import MOST, WANTED, matching_sharpening


@pytest.fixture
def grain() -> torch.Tensor:
    return torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4


def everywhere(image: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(image[:, :1])


def test_a_constant_shift_costs_its_size_and_has_no_gradient_nor_fine_bands(grain: torch.Tensor) -> None:
    weight = everywhere(grain)
    assert float(weighted_l1(grain + 0.1, grain, weight)) == pytest.approx(0.1, abs=1e-6)
    assert float(gradient_l1(grain + 0.1, grain, weight)) == pytest.approx(0, abs=1e-6)
    assert float(laplacian_l1(grain + 0.1, grain, weight)) == pytest.approx(0, abs=1e-6)


def test_a_ramp_costs_its_slope_in_gradients(grain: torch.Tensor) -> None:
    ramp = 0.01 * torch.arange(grain.shape[-1], dtype=torch.float32)
    assert float(gradient_l1(grain + ramp, grain, everywhere(grain))) == pytest.approx(0.01, abs=1e-6)


def test_temporal_loss_sees_changes_of_the_error_within_a_pair_alone(grain: torch.Tensor) -> None:
    """An error that stays is none; one that comes with the second frame of a pair costs its size."""
    weight = everywhere(grain)
    assert float(temporal_l1(grain + 0.1, grain, weight)) == pytest.approx(0, abs=1e-6)
    flickering = grain + torch.tensor([0.0, 0.05])[:, None, None, None]
    assert float(temporal_l1(flickering, grain, weight)) == pytest.approx(0.05, abs=1e-6)


def test_the_window_shows_the_mouth_even_at_the_crops_edge() -> None:
    image = torch.zeros(2, 3, 96, 128)
    centers = np.array([[64, 60, 20, 10], [120, 90, 20, 10]], np.float32)
    for one, (x, y, *_) in zip(image, centers.astype(int), strict=True):
        one[:, y, x] = 1
    windows = mouth_windows(image, centers)
    assert windows.shape == (2, 3, 48, 64)
    assert windows.sum((1, 2, 3)).tolist() == [3, 3]
    assert windows[0, 0, 24, 32] == 1  # in the middle where there is room


def test_the_discriminator_learns_what_is_filmed(grain: torch.Tensor) -> None:
    torch.manual_seed(0)
    adversary = Adversary(torch.device("cpu"), 1e-3)
    blurred = grain - fine_detail(grain)
    before = adversary.generator_loss(grain, blurred, 0.0).item()
    for _ in range(40):
        adversary.learn(grain, blurred)
    filmed, made = (adversary.discriminator(image)[0].mean().item() for image in (grain, blurred))
    assert filmed > 0.5 and made < -0.5
    assert adversary.generator_loss(grain, blurred, 0.0).item() > max(before, 0.4)
    assert all(parameter.requires_grad for parameter in adversary.discriminator.parameters())


def test_sharpening_brings_a_soft_picture_to_the_wanted_share_of_the_truths_sharpness(grain: torch.Tensor) -> None:
    soft = grain - 0.3 * fine_detail(grain)
    amount = matching_sharpening(soft, grain, everywhere(grain))
    assert 0 < amount < MOST
    truth, made = (metrics.sharpness(to_bytes(image)) for image in (grain, soft + amount * fine_detail(soft)))
    assert made / truth == pytest.approx(WANTED, abs=0.03)


def test_sharp_pictures_are_left_and_flat_ones_are_not_pushed_beyond_the_limit(grain: torch.Tensor) -> None:
    assert matching_sharpening(grain, grain, everywhere(grain)) == 0
    faint = 0.5 + 0.01 * (grain - 0.5)
    assert matching_sharpening(faint, grain, everywhere(grain)) == MOST


def to_bytes(image: torch.Tensor) -> np.ndarray:
    return (image[0] * 255).round().byte().permute(1, 2, 0).numpy()
