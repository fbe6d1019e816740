"""Pseudo-labels: by whom they are made, and their scale."""

from __future__ import annotations

import numpy as np
from training_tools import ConstantExtractor, features_and_mouth, tracked_clip

from talkinghead.training.speech.clips import Example
from talkinghead.training.speech.predictor_config import PredictorTrainingConfig
from talkinghead.training.speech.pseudo_labels import EncodedRecording, PseudoLabeler


def test_labels_are_by_a_predictor_without_the_speaker_left_out() -> None:
    """One speaker's mouth does the contrary of the other's, and has more clips: whoever is trained on, shows."""
    clips = [tracked_clip("a", 0, noise=0.1), tracked_clip("b", 1, noise=0.1)]
    clips += [tracked_clip("contrary", 2 + number, sign=-1.0, noise=0.1) for number in range(5)]
    known = [features_and_mouth(20 + number, noise=0.1) for number in range(3)]
    times_s = np.arange(400) / 50
    recordings = [EncodedRecording(features, times_s, features, times_s, None) for features, _ in known]
    extractor = ConstantExtractor(layer_count=1, width=8)
    training = PredictorTrainingConfig(steps=10, batch=4, frames=50, learning_rate=6e-3)
    labeler = PseudoLabeler(clips, extractor, recordings, training, components=8, width=16)

    def agreement(labeled: list[Example]) -> float:
        pairs = zip(labeled, known, strict=True)
        return min(float(np.corrcoef(one.expression[:, 0], true[:, 0])[0, 1]) for one, (_, true) in pairs)

    assert agreement(labeler.labels_without({"contrary"})) > 0.8
    assert agreement(labeler.labels_without({"a"})) < 0
    labeled = labeler.labels_without()
    assert all(bool(one.valid.all()) for one in labeled)
    for one in labeled:
        np.testing.assert_allclose(one.expression.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([one.expression for one in labeled]).std(0), 1, rtol=0.02)


def test_labels_are_sampled_at_the_times_of_the_features() -> None:
    """Features at 25 a second, labeled by a predictor at 50 a second: every second label."""
    features, _ = features_and_mouth(20, noise=0.1)
    times_s = np.arange(400) / 50
    half = EncodedRecording(features[::2], times_s[::2], features, times_s, None)
    full = EncodedRecording(features, times_s, features, times_s, None)
    extractor = ConstantExtractor(layer_count=1, width=8)
    training = PredictorTrainingConfig(steps=2, batch=2, frames=50)
    labeler = PseudoLabeler([tracked_clip("a", 0)], extractor, [half, full], training, components=8, width=16)
    halves, whole = labeler.labels_without()
    np.testing.assert_allclose(halves.expression, whole.expression[::2], atol=1e-6)
    assert halves.features is half.features
