"""The patch discriminator and the windows that it sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from talkinghead.network.compositor import fine_detail
from talkinghead.training.face_update.discriminator import DiscriminatorTrainer, mouth_windows


@pytest.fixture
def grain() -> torch.Tensor:
    return torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4


def test_the_window_shows_the_mouth_even_at_the_crops_edge() -> None:
    image = torch.zeros(2, 3, 96, 128)
    centers = np.array([[64, 60, 20, 10], [120, 90, 20, 10]], np.float32)
    for one, (x, y, *_) in zip(image, centers.astype(int), strict=True):
        one[:, y, x] = 1
    windows = mouth_windows(image, centers)
    assert windows.shape == (2, 3, 48, 64)
    assert windows.sum((1, 2, 3)).tolist() == [3, 3]
    assert windows[0, 0, 24, 32] == 1  # in the middle where there is room


def test_the_discriminator_learns_what_is_real(grain: torch.Tensor) -> None:
    torch.manual_seed(0)
    trainer = DiscriminatorTrainer(torch.device("cpu"), 1e-3)
    blurred = grain - fine_detail(grain)
    before = trainer.generator_loss(grain, blurred, 0.0).item()
    for _ in range(40):
        trainer.train_step(grain, blurred)
    real, generated = (trainer.discriminator(image)[0].mean().item() for image in (grain, blurred))
    assert real > 0.5 and generated < -0.5
    assert trainer.generator_loss(grain, blurred, 0.0).item() > max(before, 0.4)
    assert all(parameter.requires_grad for parameter in trainer.discriminator.parameters())
