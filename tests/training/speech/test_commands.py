"""The commands of `python -m talkinghead.training.speech`."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from speech_models import (
    OTHERS,
    babble,
    make_predictor,
    needs_default_weights,
    other_encoders,
    tiny_bert,
    write_encoder,
)

from talkinghead.face.face_model import load_face_model
from talkinghead.media.audio_writer import write_audio
from talkinghead.speech.encoder import SpeechEncoder
from talkinghead.speech.predictor import ExpressionPredictor
from talkinghead.speech.stream_weights import load_stream_weights
from talkinghead.training.speech import clips as clips_module
from talkinghead.training.speech.__main__ import main
from talkinghead.weights.bundled import checkpoint_folder


@pytest.mark.parametrize("name", OTHERS)
def test_one_command_trains_the_predictor_of_any_encoder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is tracked: the coefficients are a random walk."""
    folder = write_encoder(tmp_path / name, *other_encoders()[name])
    model = load_face_model(checkpoint_folder() / "face_model.safetensors")
    times_s = np.arange(75) / 25
    walk = np.random.default_rng(0).standard_normal((75, model.expressions)).cumsum(0).astype(np.float32)
    solved = SimpleNamespace(expression=walk, valid=np.ones(75, np.bool_))
    monkeypatch.setattr(clips_module, "track_file", lambda path: SimpleNamespace(times_s=times_s))
    monkeypatch.setattr(clips_module, "reconstruct", lambda track, model: solved)
    monkeypatch.setattr(
        clips_module.metrics, "opening", lambda track: model.of(np.zeros(model.identities)).opening(walk)
    )
    monkeypatch.setattr(clips_module.metrics, "mouth_width", lambda track: walk[:, 0])
    for speaker in ("anna", "bert"):
        write_audio(tmp_path / f"{speaker}.wav", [babble(3, seed=len(speaker))])
    rows = [f"{speaker}.wav\t\t0\t{speaker}\t" for speaker in ("anna", "bert")]
    (tmp_path / "clips.tsv").write_text("\n".join(["clip\tsound\tlag_ms\tspeaker\tend_s", *rows]))
    output = tmp_path / "predictor.safetensors"
    arguments = ["predictor", str(tmp_path / "clips.tsv"), "--encoder", str(folder)]
    result = CliRunner().invoke(main, [*arguments, "-o", str(output), "--steps", "2", "--overwrite"])
    assert result.exit_code == 0, result.output
    encoder, predictor = SpeechEncoder.load(folder), ExpressionPredictor.load(output)
    assert (predictor.config.encoder, predictor.config.encoder_sha256) == (name, encoder.sha256)
    features = encoder.encode(babble(1), predictor.config.layers)
    with torch.inference_mode():
        assert predictor(torch.from_numpy(features.values)[None]).shape == (1, 50, model.expressions)


@needs_default_weights
def test_one_command_trains_weights_for_streams(tmp_path: Path) -> None:
    for name in ("voice", "kept"):
        (tmp_path / name).mkdir()
        write_audio(tmp_path / name / "a.wav", [babble(9)])
    folders, output = [str(tmp_path / "voice"), str(tmp_path / "kept")], tmp_path / "streaming.safetensors"
    result = CliRunner().invoke(main, ["streaming", *folders, "--held-out", "kept", "--steps", "1", "-o", str(output)])
    assert result.exit_code == 0 and "held-out voices: features 0." in result.output, result.output
    encoder = SpeechEncoder.load(checkpoint_folder() / "speech_encoder")
    weights = load_stream_weights(output)
    assert weights.encoder_sha256 == encoder.sha256 and len(list(tmp_path.glob(".*state*"))) == 0
    weights.applied(encoder.model)


def test_weights_for_streams_need_the_predictors_face_model(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder", tiny_bert(), "LogMelFrontEnd")
    make_predictor(SpeechEncoder.load(folder)).save(folder / "expression_predictor.safetensors")
    write_audio(tmp_path / "a.wav", [babble(1)])
    arguments = ["streaming", str(tmp_path), "--encoder", str(folder), "-o", str(tmp_path / "out.safetensors")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code != 0 and "--face-model" in result.output


def test_an_output_is_not_replaced_unless_asked_for(tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.write_text("here")
    for command in (["predictor", "clips.tsv"], ["encoder", str(tmp_path), "--teacher", "model.bin"]):
        result = CliRunner().invoke(main, [*command, "-o", str(output)])
        assert result.exit_code == 73 and "--overwrite" in result.output
    assert output.read_text() == "here"


def test_errors_are_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["predictor", str(tmp_path / "none.tsv"), "-o", str(tmp_path / "out")])
    assert result.exit_code != 0
    assert result.output.startswith("Error: ") and result.output.count("\n") == 1
