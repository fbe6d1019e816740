"""The predictor over features that arrive step by step, against the predictor on all of them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from talkinghead.speech.adaptation import AdaptedPredictor
from talkinghead.speech.member_stream import MemberStream
from talkinghead.speech.model import SpeechModel
from talkinghead.speech.predictor import ExpressionPredictor

FRAMES = 90


@pytest.fixture(scope="module")
def adapted(speech_model: SpeechModel) -> AdaptedPredictor:
    base = speech_model.predictor
    networks = copy.deepcopy(base.networks)
    with torch.no_grad():
        for parameter in networks.parameters():
            parameter.mul_(1.1)
    return AdaptedPredictor(base, networks).eval()


def features(predictor: ExpressionPredictor) -> Tensor:
    config = predictor.config
    drawn = torch.randn(FRAMES, len(config.layers), config.features, generator=torch.Generator().manual_seed(0))
    return drawn + predictor.feature_mean


@torch.inference_mode()
def one_by_one(predictor: ExpressionPredictor, values: Tensor) -> Tensor:
    """(S, outputs + 1) by the networks themselves."""
    inputs = predictor.components(values[None])
    return torch.cat([predictor.expression(inputs), predictor.closure(inputs)[..., None]], 2)[0]


def streamed(predictor: ExpressionPredictor, values: Tensor, step: int, ahead: int) -> Tensor:
    """The same, in steps of so many frames, of which the newest are provisional."""
    stream, parts, final = MemberStream(predictor), [], 0
    for count in range(step, FRAMES + step, step):
        now = FRAMES if count >= FRAMES else max(final, count - ahead)
        parts.append(stream.push(values[final:count], final, now, is_end=count >= FRAMES))
        assert parts[-1].shape == (now - final, stream.outputs)
        final = now
    return torch.cat(parts)


@pytest.mark.parametrize(("step", "ahead"), [(4, 26), (1, 30), (7, 40), (FRAMES, 0), (4, 100)])
def test_with_its_reach_awaited_it_is_what_the_networks_give(adapted: AdaptedPredictor, step: int, ahead: int) -> None:
    assert adapted.config.reach <= 26
    values = features(adapted)
    torch.testing.assert_close(streamed(adapted, values, step, ahead), one_by_one(adapted, values), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("step", "ahead"), [(4, 11), (3, 0), (1, 5)])
def test_what_is_not_known_is_taken_for_the_mean(adapted: AdaptedPredictor, step: int, ahead: int) -> None:
    values, reach = features(adapted), adapted.config.reach
    given = streamed(adapted, values, step, ahead)
    for count in range(step, FRAMES - reach, step):
        known = torch.cat([values[:count], adapted.feature_mean.expand(2 * reach, -1, -1)])
        wanted = one_by_one(adapted, known)
        final = slice(max(0, count - step - ahead), max(0, count - ahead))
        torch.testing.assert_close(given[final], wanted[final], atol=1e-4, rtol=0)


def test_what_is_kept_does_not_grow(adapted: AdaptedPredictor) -> None:
    values, stream = features(adapted), MemberStream(adapted)
    for final in range(0, FRAMES - 8, 4):
        stream.push(values[final : final + 8], final, final + 4)
    assert max(level.shape[2] for level in stream._kept) <= adapted.config.reach
