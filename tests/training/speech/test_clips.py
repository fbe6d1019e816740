"""Lists of clips and texts, and clips and utterances prepared for training."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from speech_models import babble
from training_tools import ConstantExtractor

from talkinghead.errors import CheckpointError, MissingFileError
from talkinghead.face.face_model import load_face_model
from talkinghead.media.audio_writer import write_audio
from talkinghead.text_to_speech import PAUSE, Phone, Script, Utterance
from talkinghead.training.speech import clips as clips_module
from talkinghead.training.speech.clips import SPEEDS, ClipEntry, prepare_clip, read_clip_list
from talkinghead.training.speech.utterances import prepare_utterances, read_scripts
from talkinghead.weights.bundled import checkpoint_folder


def test_list_of_clips(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    path = tmp_path / "clips.tsv"
    path.write_text("clip\tsound\tlag_ms\tspeaker\tend_s\na.mp4\t\t-120\tanna\t56\n")
    assert read_clip_list(path) == [ClipEntry(tmp_path / "a.mp4", tmp_path / "a.mp4", -0.12, "anna", 56.0)]
    path.write_text("clip\tsound\tlag_ms\tspeaker\tend_s\nb.mp4\t\t0\tb\t\n")
    with pytest.raises(MissingFileError, match=r"b\.mp4"):
        read_clip_list(path)
    path.write_text("clip\tsound\na.mp4\t\n")
    with pytest.raises(CheckpointError):
        read_clip_list(path)


def test_list_of_texts(tmp_path: Path) -> None:
    path = tmp_path / "texts.tsv"
    path.write_text("voice\ttext\nhibari\tGood evening.\n")
    assert read_scripts(path) == [Script("Good evening.", "hibari")]
    path.write_text("voice\ttext\nhibari\t\n")
    with pytest.raises(CheckpointError, match="voice and text"):
        read_scripts(path)
    with pytest.raises(MissingFileError):
        read_scripts(tmp_path / "none.tsv")


def test_expression_is_sampled_at_the_times_of_the_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mouth that opens in a straight line is on that line at each feature's time, at any speed and lag."""
    model = load_face_model(checkpoint_folder() / "face_model.safetensors")
    write_audio(tmp_path / "a.wav", [babble(3)])
    times_s = np.arange(75) / 25
    line = np.tile(times_s[:, None].astype(np.float32), (1, model.expressions))
    solved = SimpleNamespace(expression=line, valid=np.ones(75, np.bool_))
    monkeypatch.setattr(clips_module, "track_file", lambda path: SimpleNamespace(times_s=times_s))
    monkeypatch.setattr(clips_module, "reconstruct", lambda track, model: solved)
    monkeypatch.setattr(clips_module.metrics, "opening", lambda track: times_s)
    monkeypatch.setattr(clips_module.metrics, "mouth_width", lambda track: times_s)
    entry = ClipEntry(tmp_path / "a.wav", tmp_path / "a.wav", -0.12, "anna", 2.4)
    clip = prepare_clip(entry, ConstantExtractor(150), model, (1, 2))
    used_s = times_s[times_s < 2.4]
    assert clip.valid.sum() == len(used_s)
    np.testing.assert_allclose(clip.times_s, times_s + 0.12)
    for example, speed in zip(clip.examples, SPEEDS, strict=True):
        features_s = np.arange(150) / 50 * speed
        expected = (features_s - 0.12 - used_s.mean()) / used_s.std()
        valid = example.valid.numpy()
        assert (features_s[valid] >= 0.12).all() and (features_s[valid] <= used_s[-1] + 0.13).all()
        assert valid.sum() == pytest.approx(used_s[-1] * 50 / speed, abs=2)
        np.testing.assert_allclose(example.expression[valid, 0], expected[valid], atol=1e-5)
        normalized = (np.tile(((times_s - used_s.mean()) / used_s.std())[:, None], model.expressions))[clip.valid]
        np.testing.assert_allclose((normalized @ example.shape_map.numpy()).std(0), 1, rtol=1e-4)


def test_utterances_say_when_lips_are_closed_and_how_far_the_mouth_is_open() -> None:
    phones = (Phone("m", 0.0, 0.3), Phone("a", 0.3, 0.8), Phone(PAUSE, 0.8, 1.0))
    utterance = Utterance(babble(1), phones)
    prepared = prepare_utterances([utterance], ConstantExtractor(50), (1, 2))
    assert len(prepared.features) == len(SPEEDS)
    for number, speed in enumerate(SPEEDS):
        times_s = np.arange(50) / 50 * speed
        np.testing.assert_array_equal(prepared.closed[number], times_s < 0.3)
        np.testing.assert_array_equal(prepared.spoken[number], times_s < 0.8)
        openness = prepared.openness[number].numpy()
        assert openness[np.abs(times_s - 0.15).argmin()] == pytest.approx(0, abs=1e-6)
        assert openness[np.abs(times_s - 0.55).argmin()] == pytest.approx(1, abs=1e-6)
