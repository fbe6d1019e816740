"""What an encoder's weights become in streams: the file, and its effect."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from speech_models import babble

from talkinghead.errors import CheckpointError
from talkinghead.speech.encoder import SpeechEncoder
from talkinghead.speech.encoder_stream import open_encoder_stream
from talkinghead.speech.stream_weights import FILE, FORMAT, StreamWeights, load_stream_weights, save_stream_weights

MAP, NORM = "encoder.layers.1.ffn2.output_dense.weight", "encoder.layers.0.final_layer_norm.bias"


@pytest.fixture
def weights(encoder: SpeechEncoder) -> StreamWeights:
    draw = torch.Generator().manual_seed(0)
    sizes = {MAP + ".down": (2, 32), MAP + ".up": (32, 2), NORM + ".change": (32,)}
    changes = {name: torch.randn(size, generator=draw).half().float() for name, size in sizes.items()}
    return StreamWeights(changes, torch.zeros(15, 32), encoder.sha256, 0.24)


def test_a_file_keeps_them(weights: StreamWeights, tmp_path: Path) -> None:
    save_stream_weights(tmp_path / FILE, weights)
    loaded = load_stream_weights(tmp_path / FILE)
    assert (loaded.encoder_sha256, loaded.look_ahead_s) == (weights.encoder_sha256, 0.24)
    assert loaded.changes.keys() == weights.changes.keys()
    for name, change in weights.changes.items():
        torch.testing.assert_close(loaded.changes[name], change, atol=0, rtol=0)
    torch.testing.assert_close(loaded.edge, weights.edge)


def test_maps_change_by_a_product_and_the_model_stays(encoder: SpeechEncoder, weights: StreamWeights) -> None:
    before = {name: value.clone() for name, value in encoder.model.named_parameters()}
    changed = dict(weights.applied(encoder.model).named_parameters())
    torch.testing.assert_close(
        changed[MAP], before[MAP] + weights.changes[MAP + ".up"] @ weights.changes[MAP + ".down"]
    )
    torch.testing.assert_close(changed[NORM], before[NORM] + weights.changes[NORM + ".change"])
    for name, value in encoder.model.named_parameters():
        assert torch.equal(value, before[name])
        assert name in (MAP, NORM) or torch.equal(changed[name], value)


def test_weights_of_another_shape_are_refused(encoder: SpeechEncoder, weights: StreamWeights) -> None:
    other = StreamWeights({NORM + ".change": torch.zeros(7)}, weights.edge, encoder.sha256, 0.24)
    with pytest.raises(CheckpointError, match="do not fit"):
        other.applied(encoder.model)


@pytest.mark.parametrize("fault", ["format", "nan", "edge", "look ahead"])
def test_damaged_files_are_refused(weights: StreamWeights, tmp_path: Path, fault: str) -> None:
    save_stream_weights(tmp_path / FILE, weights)
    arrays = load_file(tmp_path / FILE)
    metadata = {"format": FORMAT, "encoder_sha256": weights.encoder_sha256, "look_ahead_s": "0.24"}
    if fault == "format":
        metadata["format"] = "another"
    elif fault == "nan":
        arrays["edge"] = np.full_like(arrays["edge"], np.nan)
    elif fault == "edge":
        del arrays["edge"]
    else:
        metadata["look_ahead_s"] = "soon"
    save_file(arrays, tmp_path / FILE, metadata)
    with pytest.raises(CheckpointError, match="fetch it again"):
        load_stream_weights(tmp_path / FILE)


def test_an_encoder_takes_them_from_its_folder_for_short_look_aheads(
    encoder: SpeechEncoder, encoder_folder: Path, weights: StreamWeights, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(encoder_folder, tmp_path / "encoder"))
    save_stream_weights(folder / FILE, weights)
    tuned = SpeechEncoder.load(folder)
    assert tuned.sha256 == encoder.sha256  # predictors and anchors fit it as before
    samples = babble(1).samples

    def streamed(one: SpeechEncoder, look_ahead_s: float) -> torch.Tensor:
        return open_encoder_stream(one, (1, 2), look_ahead_s).push(samples, 1.0).values

    assert torch.equal(streamed(tuned, 2.0), streamed(encoder, 2.0))
    assert not torch.allclose(streamed(tuned, 0.24), streamed(encoder, 0.24), atol=1e-3)
    np.testing.assert_array_equal(
        tuned.encode(babble(1)).values, encoder.encode(babble(1)).values
    )  # of whole recordings, nothing changes


def test_weights_of_another_encoder_are_refused(encoder_folder: Path, weights: StreamWeights, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(encoder_folder, tmp_path / "encoder"))
    other = StreamWeights(weights.changes, weights.edge, "0" * 64, 0.24)
    save_stream_weights(folder / FILE, other)
    loaded = SpeechEncoder.load(folder)  # files are encoded without them
    with pytest.raises(CheckpointError, match="another speech encoder"):
        open_encoder_stream(loaded, (1, 2), 0.24)
