"""Training of an expression predictor on clips whose mouths are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from training_tools import ConstantExtractor, example_of, features_and_mouth, tracked_clip

from talkinghead.speech.predictor import PredictorConfig
from talkinghead.training.speech.leave_one_out import leave_one_out, measure
from talkinghead.training.speech.predictor import train_predictor
from talkinghead.training.speech.predictor_config import PredictorTrainingConfig
from talkinghead.training.speech.predictor_losses import correlation
from talkinghead.training.speech.utterances import Utterances

SMALL = PredictorConfig("", "", "", (1,), 8, 2, components=8, networks=1, width=16, dilations=(1, 2))


def test_speakers_left_out_are_predicted_without_delay() -> None:
    """The features come 60 ms after the mouth; with the stretch found, mouths move as far as they did."""
    clips = [tracked_clip(f"speaker {number}", number, noise=0.3, lag_frames=3) for number in range(3)]
    training = PredictorTrainingConfig(steps=60, batch=8, frames=50, learning_rate=6e-3)
    found = leave_one_out(clips, SMALL, training, ConstantExtractor())
    scores, stretch = found.scores, found.stretch
    assert [score.speaker for score in scores] == ["speaker 0", "speaker 1", "speaker 2"]
    assert 1.0 <= stretch < 1.3
    for score in scores:
        assert score.r > 0.8 and score.width_r > 0.8 and abs(score.lag_ms) <= 20
        assert 0.8 < score.std_ratio < 1.25
        assert score.seconds == 8
    ratios = [score.std_ratio for score in scores]
    assert stretch == 1 or min(ratios) * max(ratios) == pytest.approx(1, abs=0.01)


def test_every_member_learns() -> None:
    """Each network by itself predicts a recording of a new speaker."""
    clips = [tracked_clip(f"speaker {number}", number, noise=0.3) for number in range(3)]
    training = PredictorTrainingConfig(steps=60, batch=8, frames=50, learning_rate=6e-3)
    config = replace(SMALL, networks=2)
    predictor = train_predictor(clips, config, training)
    features, mouth = features_and_mouth(50, noise=0.3)
    with torch.no_grad():
        inputs = predictor.components(features.float()[None])
        members = [network(inputs) for network in predictor.networks]
    assert len(members) == config.networks == 2
    for member in members:
        assert np.corrcoef(member[0, :, 0], mouth[:, 0])[0, 1] > 0.8


def test_pseudo_labels_help_where_clips_are_few() -> None:
    clips = [tracked_clip("a", 0, frames=30), tracked_clip("b", 1, frames=30)]
    pseudo_labeled = [example_of(*features_and_mouth(10 + number)) for number in range(10)]
    training = PredictorTrainingConfig(steps=40, batch=8, frames=50, learning_rate=6e-3)
    unseen = tracked_clip("c", 99, frames=2000)
    alone = measure(train_predictor(clips, SMALL, training), [unseen], ConstantExtractor())
    predictor = train_predictor(clips, SMALL, training, pseudo_labeled=pseudo_labeled)
    helped = measure(predictor, [unseen], ConstantExtractor())
    assert helped.r > alone.r + 0.03


def test_closed_lips_are_detected_where_utterances_close_them() -> None:
    """One feature is above 0 where lips are closed; without utterances nothing is ever closed."""
    draw = np.random.default_rng(0)
    closed = np.convolve(draw.standard_normal(600), np.ones(5), "same") > 2
    features = 0.3 * draw.standard_normal((600, 1, 8)).astype(np.float32)
    features[:, 0, 3] += np.where(closed, 1, -1)
    as_tensor = torch.from_numpy(features).half()
    target = torch.from_numpy(closed.astype(np.float32))
    ones = torch.ones(600)
    no_phones = torch.zeros(300, 0)
    utterances = Utterances([as_tensor[:300]], [target[:300]], [1 - target[:300]], [ones[:300]], [no_phones])
    training = PredictorTrainingConfig(steps=60, batch=8, frames=50, learning_rate=6e-3)
    clips = [tracked_clip("a", 0)]

    def detected(utterances: Utterances | None) -> np.ndarray:
        predictor = train_predictor(clips, SMALL, training, utterances)
        with torch.no_grad():
            return predictor.closure(predictor.components(as_tensor[300:].float()[None]))[0].numpy()

    found = detected(utterances)
    assert found[closed[300:]].mean() > found[~closed[300:]].mean() + 0.5
    assert detected(None).max() < 1e-6


def test_correlation_is_pearsons_over_the_valid_frames() -> None:
    draw = np.random.default_rng(0)
    ours, true = (draw.standard_normal((2, 100, 2)).astype(np.float32) for _ in range(2))
    true += ours
    valid = np.ones((2, 100), np.float32)
    valid[1, 60:] = 0
    found = correlation(*(torch.from_numpy(one) for one in (ours, true, valid)))
    for example, frames in ((0, 100), (1, 60)):
        for curve in range(2):
            expected = np.corrcoef(ours[example, :frames, curve], true[example, :frames, curve])[0, 1]
            assert float(found[example, curve]) == pytest.approx(expected, abs=1e-4)
