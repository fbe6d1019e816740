"""An adaptation is a change of the predictor's networks: applied in shares, written, read, refused where damaged."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from talkinghead.errors import CheckpointError
from talkinghead.files import load_arrays, save_arrays
from talkinghead.speech.adaptation import (
    OTHER_VOICE,
    OWN_VOICE,
    AdaptedPredictor,
    SpeechAdaptation,
    load_adaptation,
    save_adaptation,
)
from talkinghead.speech.model import SpeechModel


@pytest.fixture
def adaptation(speech_model: SpeechModel) -> SpeechAdaptation:
    """A random change of every parameter."""
    draw = np.random.default_rng(0)
    expressions = speech_model.predictor.config.expressions
    return SpeechAdaptation(
        changes={
            name: draw.normal(0, 0.1, tuple(parameter.shape)).astype(np.float16)
            for name, parameter in speech_model.predictor.networks.named_parameters()
        },
        matrix=draw.normal(size=(2 * expressions, expressions)).astype(np.float32),
        offset=np.arange(expressions, dtype=np.float32),
        held_out_r=0.8,
        calibrated_r=0.7,
        encoder_sha256=speech_model.encoder.sha256,
        predictor_sha256=speech_model.predictor.sha256(),
    )


@pytest.mark.parametrize("share", [0.0, OTHER_VOICE, OWN_VOICE])
def test_a_share_of_the_change_is_applied_to_a_copy(
    speech_model: SpeechModel, adaptation: SpeechAdaptation, share: float
) -> None:
    before = {name: value.detach().clone() for name, value in speech_model.predictor.networks.named_parameters()}
    adapted = adaptation.applied(speech_model, share).predictor
    assert isinstance(adapted, AdaptedPredictor)
    for name, value in adapted.adapted.named_parameters():
        expected = before[name] + share * torch.from_numpy(adaptation.changes[name].astype(np.float32))
        torch.testing.assert_close(value, expected)
        assert torch.equal(dict(speech_model.predictor.networks.named_parameters())[name], before[name])


@torch.inference_mode()
def test_adapted_networks_and_the_predictor_as_it_was_are_side_by_side(
    speech_model: SpeechModel, adaptation: SpeechAdaptation
) -> None:
    base, predictor = speech_model.predictor, adaptation.applied(speech_model, OWN_VOICE).predictor
    assert isinstance(predictor, AdaptedPredictor) and predictor.outputs == 2 * base.outputs
    inputs = torch.randn(1, 50, predictor.config.inputs, generator=torch.Generator().manual_seed(0))
    adapted, as_it_was = predictor.expression(inputs).split(base.outputs, 2)
    torch.testing.assert_close(as_it_was, base.expression(inputs))
    networks = torch.stack([network(base.joined(inputs)) for network in predictor.adapted]).mean(0)
    torch.testing.assert_close(adapted, networks)
    torch.testing.assert_close(predictor.closure(inputs), base.closure(inputs))


def test_it_is_for_the_speech_model_that_it_was_made_with(
    speech_model: SpeechModel, adaptation: SpeechAdaptation
) -> None:
    assert adaptation.is_for(speech_model)
    assert not dataclasses.replace(adaptation, predictor_sha256="0" * 64).is_for(speech_model)
    assert not dataclasses.replace(adaptation, encoder_sha256="0" * 64).is_for(speech_model)


def test_predictions_are_mapped_to_the_persons_expression(adaptation: SpeechAdaptation) -> None:
    predicted = np.random.default_rng(0).normal(size=(3, len(adaptation.matrix))).astype(np.float32)
    expected = predicted @ adaptation.matrix + adaptation.offset
    np.testing.assert_allclose(adaptation.apply(predicted), expected, rtol=1e-6)


def test_what_is_written_is_read(adaptation: SpeechAdaptation, tmp_path: Path) -> None:
    save_adaptation(tmp_path / "a.safetensors", adaptation)
    found = load_adaptation(tmp_path / "a.safetensors", len(adaptation.offset))
    assert found.describe() == {"held_out_r": 0.8, "calibrated_r": 0.7}
    assert found.changes.keys() == adaptation.changes.keys()
    for name, change in adaptation.changes.items():
        np.testing.assert_array_equal(found.changes[name], change)
    np.testing.assert_array_equal(found.matrix, adaptation.matrix)
    np.testing.assert_array_equal(found.offset, adaptation.offset)
    assert found.closing == adaptation.closing


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("offset", np.full(4, np.nan, np.float32)),
        ("offset", np.zeros(5, np.float32)),
        ("matrix", np.zeros((8, 4))),
        ("matrix", np.zeros((4, 4), np.float32)),
        ("changes.0.leave.bias", np.full(4, np.inf, np.float16)),
        ("changes.0.leave.bias", np.zeros(4, np.float32)),
    ],
)
def test_a_damaged_file_is_refused(adaptation: SpeechAdaptation, tmp_path: Path, name: str, value: np.ndarray) -> None:
    path = tmp_path / "a.safetensors"
    save_adaptation(path, adaptation)
    arrays, metadata = load_arrays(path)
    assert name in arrays
    save_arrays(path, {**arrays, name: value}, metadata)
    with pytest.raises(CheckpointError, match="speech adaptation"):
        load_adaptation(path, 4)


def test_changes_of_other_networks_are_refused(speech_model: SpeechModel, adaptation: SpeechAdaptation) -> None:
    other = dataclasses.replace(adaptation, changes=dict(list(adaptation.changes.items())[1:]))
    with pytest.raises(CheckpointError, match="does not fit"):
        other.applied(speech_model, OWN_VOICE)
