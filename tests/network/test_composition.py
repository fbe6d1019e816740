"""The fused passes over the pixels give what the modules' own tensor operations give."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from talkinghead.network.composition import can_be_fused, channels_last, local_images
from talkinghead.network.compositor import Compositor
from talkinghead.network.texture_decoder import TextureDecoder


def inputs(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Local image, image to be filled, hole and feather of two crops."""
    draw = torch.Generator().manual_seed(seed)
    local, filled = (torch.rand(2, 3, 48, 32, generator=draw) for _ in range(2))
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(32.0), indexing="ij")
    feather = (1.6 - 0.08 * torch.hypot(y - 20, x - 15)).clamp(0, 1).expand(2, 1, -1, -1)
    hole = (feather == 1).float()
    return local, filled * (1 - hole), hole, feather.clone()


@pytest.mark.parametrize("sharpening", [0.0, 0.6])
def test_composing_without_gradients_gives_the_same(sharpening: float) -> None:
    torch.manual_seed(1)
    compositor = Compositor(sharpening=sharpening)
    with torch.no_grad():
        for layer in compositor.layers.parameters():
            layer.mul_(3)  # so that exponent and correction matter
    given = inputs()
    expected = compositor(*given)
    assert expected.requires_grad
    with torch.inference_mode():
        found = compositor(*given)
    np.testing.assert_allclose(found.numpy(), expected.detach().numpy(), atol=2e-6)
    plain = given[1] + (given[0] - given[1]) * given[3]
    assert (found - plain).abs().max() > 0.05
    beyond = (given[3] == 0).expand_as(found)
    assert beyond.any() and torch.equal(found[beyond], given[1][beyond])


def test_local_images_without_gradients_are_the_same() -> None:
    torch.manual_seed(2)
    decoder = TextureDecoder(16, (4, 6, 8))
    rendered = torch.rand(2, 16, 32, 48).contiguous(memory_format=torch.channels_last)
    expected = decoder(rendered) + rendered[:, :3]
    with torch.inference_mode():
        found = local_images(channels_last(decoder.blocks(rendered)), channels_last(rendered))
    np.testing.assert_allclose(found, expected.detach().numpy(), atol=1e-6)


def test_what_needs_gradients_is_not_fused() -> None:
    weight, plain = torch.zeros(2, requires_grad=True), torch.zeros(2)
    assert can_be_fused(plain) and not can_be_fused(plain, weight)
    with torch.no_grad():
        assert can_be_fused(plain, weight)
    assert not can_be_fused(torch.zeros(2, device="meta"))
