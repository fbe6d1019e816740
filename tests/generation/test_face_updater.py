"""The face updater works on a copy of the anchor's network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from talkinghead.anchor import Anchor
from talkinghead.generation.face_updater import FaceUpdater
from talkinghead.network.face_update_network import FaceUpdateNetwork
from talkinghead.structures import Picture

pytestmark = pytest.mark.usefixtures("own_caches")

CPU = torch.device("cpu")


def storage_of(network: FaceUpdateNetwork) -> dict[str, Any]:
    """Where and how each weight lies in memory."""
    return {
        name: (value.data_ptr(), value.device, value.dtype, value.shape, value.stride())
        for name, value in network.state_dict().items()
    }


def test_the_anchors_network_stays_as_it_was(anchor: Anchor) -> None:
    network = anchor.network
    places = storage_of(network)
    values = {name: value.clone() for name, value in network.state_dict().items()}
    updater = FaceUpdater(anchor, anchor.reconstruction, CPU)
    frames = np.arange(2)
    images = [np.full((256, 256, 3), 128, np.uint8)] * len(frames)
    updated = updater.update(images, frames, anchor.reconstruction.expression[frames])
    assert (updated[0] != images[0]).any()
    assert anchor.network is network and storage_of(network) == places and not network.training
    for name, value in network.state_dict().items():
        assert torch.equal(value, values[name])


def test_its_own_copy_has_the_same_weights_in_the_quicker_layout(anchor: Anchor) -> None:
    updater = FaceUpdater(anchor, anchor.reconstruction, CPU)
    theirs, own = anchor.network.state_dict(), updater.network.state_dict()
    assert theirs.keys() == own.keys()
    assert not {value.data_ptr() for value in theirs.values()} & {value.data_ptr() for value in own.values()}
    for name, value in own.items():
        assert torch.equal(value, theirs[name])
    convolutions = [m.weight for m in updater.network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) > 3
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in convolutions)


def test_what_waits_to_be_pasted_has_no_images_for_the_network(anchor: Anchor) -> None:
    updater, frames = FaceUpdater(anchor, anchor.reconstruction, CPU), np.arange(3)
    pictures = [Picture.of(np.full((256, 256, 3), 128, np.uint8)) for _ in frames]
    prepared = updater.prepare(pictures, frames, anchor.reconstruction.expression[frames])
    assert prepared.filled.any() and prepared.holes.any()
    rendered, updated = updater.render(prepared)
    assert not rendered.filled.size and rendered.filled.base is None and not rendered.holes.size
    assert len(updated) == len(rendered.usable) == len(rendered.feathers) == 3
