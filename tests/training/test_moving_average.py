"""The moving average of weights: its decay, by hand."""

from __future__ import annotations

import torch
from torch import nn

from talkinghead.training.moving_average import moving_average, resume_average


class One(nn.Module):
    """One parameter, and a buffer of whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))


def stepped(network: One, value: float) -> One:
    with torch.no_grad():
        network.weight.fill_(value)
        network.count.fill_(int(value))
    return network


def test_the_decay_rises_with_the_steps_up_to_its_largest() -> None:
    network = One()
    averaged = moving_average(network, 0.25)
    expected = 0.0
    for step, decay in ((1, 2 / 11), (2, 3 / 12), (3, 0.25), (4, 0.25)):
        averaged.update_parameters(stepped(network, step))
        expected = decay * expected + (1 - decay) * step
        torch.testing.assert_close(averaged.module.weight, torch.full((3,), expected))
        assert int(averaged.module.count) == step
    assert not averaged.module.weight.is_set_to(network.weight)


def test_a_resumed_average_continues() -> None:
    network, again = One(), One()
    averaged = moving_average(network, 0.9)
    for step in range(1, 6):
        averaged.update_parameters(stepped(network, step))
    resumed = moving_average(again, 0.9)
    resumed.module.load_state_dict(averaged.module.state_dict())
    resume_average(resumed, 5)
    for one in (averaged, resumed):
        one.update_parameters(stepped(network, 6))
    torch.testing.assert_close(resumed.module.weight, averaged.module.weight, rtol=0, atol=0)
