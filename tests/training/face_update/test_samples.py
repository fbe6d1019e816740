"""Training samples: the jitter of their coefficients, the split of held-out frames, and batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from talkinghead.network.local_modeller import LocalCoefficients
from talkinghead.training.face_update.samples import Samples, coefficient_jitter, held_out_frames


def test_jitter_stays_within_its_range_and_fills_it() -> None:
    """Claim 8: the value adjustment of a sample's coefficients lies within a preset range."""
    draw = np.random.default_rng(0)
    exact = LocalCoefficients(
        *(torch.from_numpy(draw.normal(size=shape).astype(np.float32)) for shape in ((500, 4), (500, 3, 3), (500, 2))),
        torch.ones(500),
    )
    std = torch.tensor([0.5, 1.0, 2.0, 0.0])
    moved = coefficient_jitter(exact, std, 0.15, 0.5, draw)
    share = (moved.expression - exact.expression).abs().amax(0)
    assert (share <= 0.15 * std + 1e-6).all()
    assert (share >= 0.95 * 0.15 * std).all()
    shift = (moved.translation - exact.translation).abs()
    assert 0.45 < shift.max() <= 0.5 + 1e-6
    torch.testing.assert_close(moved.rotation, exact.rotation, rtol=0, atol=0)
    torch.testing.assert_close(moved.scale, exact.scale, rtol=0, atol=0)


@pytest.mark.parametrize(("count", "share"), [(12, 0.02), (100, 0.02), (3000, 0.02), (200, 0.1)])
def test_held_out_frames_are_runs_of_the_share_asked_for(count: int, share: float) -> None:
    training, held_out = held_out_frames(count, share)
    assert np.array_equal(np.sort(np.concatenate([training, held_out])), np.arange(count))
    run = min(5, max(1, count // 20))
    assert abs(len(held_out) - count * share) <= run
    runs = np.split(held_out, np.flatnonzero(np.diff(held_out) > 1) + 1)
    assert {len(one) for one in runs} == {run}


def test_a_batch_holds_the_chosen_samples() -> None:
    draw = np.random.default_rng(0)
    coefficients = LocalCoefficients(torch.arange(4.0)[:, None], torch.zeros(4, 3, 3), torch.zeros(4, 2), torch.ones(4))
    crops = draw.integers(0, 256, (4, 6, 8, 3), np.uint8)
    holes = draw.integers(0, 2, (4, 6, 8), np.uint8)
    feathers = draw.integers(0, 256, (4, 6, 8), np.uint8)
    mouth_px = np.arange(16, dtype=np.float32).reshape(4, 4)
    samples = Samples(crops, holes, feathers, coefficients, mouth_px, np.arange(4))
    batch = samples.batch(np.array([2, 0]), torch.device("cpu"))
    np.testing.assert_allclose(batch.image.permute(0, 2, 3, 1), crops[[2, 0]] / np.float32(255))
    np.testing.assert_array_equal(batch.hole[:, 0], holes[[2, 0]])
    np.testing.assert_allclose(batch.feather[:, 0], feathers[[2, 0]] / np.float32(255))
    np.testing.assert_allclose(
        batch.filled.permute(0, 2, 3, 1), crops[[2, 0]] * (1 - holes[[2, 0]][..., None]) / np.float32(255)
    )
    assert batch.coefficients.expression[:, 0].tolist() == [2, 0]
    assert batch.mouth_px[:, 0].tolist() == [8, 0]
