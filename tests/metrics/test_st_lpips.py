"""Shift-tolerant LPIPS against its authors' own code, and what it sees."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from talkinghead.errors import ModelUnavailableError
from talkinghead.metrics import st_lpips
from talkinghead.metrics.st_lpips import ShiftTolerantLpips


@pytest.fixture(scope="module")
def network() -> ShiftTolerantLpips:
    return ShiftTolerantLpips.load()


def images(height: int = 64, width: int = 80) -> Tensor:
    """Smooth patterns with fine detail, (2, 3, H, W)."""
    draw = torch.Generator().manual_seed(0)
    coarse = functional.interpolate(torch.rand(2, 3, 8, 8, generator=draw), size=(height, width), mode="bicubic")
    return (coarse + 0.1 * torch.randn(2, 3, height, width, generator=draw)).clamp(0, 1)


@pytest.mark.parametrize("size", [(64, 80), (33, 47), (128, 96)])
def test_it_is_its_authors_distance(
    network: ShiftTolerantLpips, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, attribute in (("IPython", "embed"), ("torchsummary", "summary"), ("torchvision", "models")):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(**{attribute: None}))  # imported there, not needed
    from stlpips_pytorch import stlpips

    theirs = stlpips.LPIPS(net="alex", variant="shift_tolerant", verbose=False)
    ours = images(*size)
    others = (ours + 0.2 * torch.randn(ours.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    with torch.no_grad():
        expected = theirs(ours, others, normalize=True).flatten()
    torch.testing.assert_close(network(ours, others), expected, atol=1e-6, rtol=1e-4)


def test_it_sees_blur_and_hardly_a_shift(network: ShiftTolerantLpips) -> None:
    whole = images(80, 96)
    one, shifted = whole[..., 8:72, 8:88], whole[..., 9:73, 8:88]
    blurred = functional.avg_pool2d(whole, 5, stride=1, padding=2)[..., 8:72, 8:88]
    same, far, near = (float(network(one, other).mean()) for other in (one, blurred, shifted))
    assert same == 0 and far > 5 * near > 0
    # Pixel by pixel it is the other way round.
    assert (one - shifted).abs().mean() > (one - blurred).abs().mean()


def test_the_quick_way_is_the_first_layers_and_differs_at_the_edges_only(network: ShiftTolerantLpips) -> None:
    ours = images(96, 112)
    others = functional.avg_pool2d(ours, 3, stride=1, padding=1)
    quick, whole = network(ours, others, quick=True), network(ours, others)
    assert (0.1 * whole < quick).all() and (quick < whole).all()
    one = ours * 2 - 1
    quick = network._first_halved(one)
    exact = network._halved(network.convolutions[0](one))
    assert quick.shape == exact.shape
    torch.testing.assert_close(quick[..., 2:-2, 2:-2], exact[..., 2:-2, 2:-2], atol=1e-4, rtol=1e-4)


def test_gradients_reach_the_image_and_not_the_weights(network: ShiftTolerantLpips) -> None:
    image = images().requires_grad_()
    network(image, images() * 0.9).sum().backward()
    assert image.grad is not None and image.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in network.parameters())


def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(st_lpips, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(ModelUnavailableError, match="stlpips-pytorch==0.0.2"):
        st_lpips._loaded.__wrapped__()
