"""Training of the speech encoder on a small Whisper: it learns, can be resumed, and its export is an encoder."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from speech_models import babble
from training_tools import LevelBands, small_whisper, write_ctranslate2

from talkinghead.media.audio_writer import write_audio
from talkinghead.speech.encoder import SpeechEncoder
from talkinghead.training.speech import encoder as encoder_module
from talkinghead.training.speech.augmentation import Recordings, find_recordings
from talkinghead.training.speech.encoder import EncoderTrainer
from talkinghead.training.speech.student import EncoderTrainingConfig
from talkinghead.training.speech.whisper import WhisperTeacher

CONFIG = EncoderTrainingConfig(
    reaches=(8, 12),
    frames=50,
    batch=2,
    stem_batch=2,
    stem_minutes=0.3,
    warmup_steps=4,
    projection_rates=(1e-3, 5e-4),
    stem_rates=(2e-3, 5e-4),
    layer_rates=(0.0, 1e-3),
    phoneme_rate=1e-2,
    phoneme_every=1,
    stream_weights=(0.5, 1.0),
    average_decay=0.8,
    save_every_s=10.0,
)
MINUTES = 0.7
"""With a clock that ticks once a step: 42 steps, 18 of them in stage 1."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step takes a second."""
    seconds = itertools.count()
    monkeypatch.setattr(encoder_module, "time", SimpleNamespace(monotonic=lambda: float(next(seconds))))


@pytest.fixture
def recordings(tmp_path: Path) -> tuple[Recordings, Recordings]:
    """Three to train on and one that is held out."""
    for number in range(4):
        folder = tmp_path / "audio" / ("voice" if number else "kept")
        folder.mkdir(parents=True, exist_ok=True)
        write_audio(folder / f"{number}.wav", [babble(3, number)])
    training, kept = find_recordings([tmp_path / "audio"], ["kept"])
    assert (len(training), len(kept)) == (3, 1)
    return training, kept


@pytest.fixture
def teacher(tmp_path: Path) -> WhisperTeacher:
    write_ctranslate2(tmp_path / "model.bin", small_whisper())
    return WhisperTeacher(tmp_path / "model.bin", CONFIG.reaches)


@torch.no_grad()
def disturb(trainer: EncoderTrainer) -> None:
    """Change the initial weights at random: the transplant of so small a Whisper leaves little to learn."""
    draw = torch.Generator().manual_seed(0)
    for ours, average in zip(trainer.student.parameters(), trainer.averaged.parameters(), strict=True):
        ours.mul_(1 + 0.2 * torch.randn(ours.shape, generator=draw))
        average.copy_(ours)


@pytest.mark.usefixtures("clock")
def test_encoder_training_learns_resumes_and_exports(
    recordings: tuple[Recordings, Recordings], teacher: WhisperTeacher, tmp_path: Path
) -> None:
    training, kept = recordings
    trainer = EncoderTrainer(CONFIG, teacher, LevelBands(), training)
    disturb(trainer)
    before = trainer.explained(kept)
    steps = list(trainer.run(MINUTES, tmp_path / "state.safetensors"))
    after = trainer.explained(kept)
    assert [step for step, _, _ in steps] == list(range(1, 43)) and trainer.stage == 1
    losses = [loss for _, _, loss in steps]
    for stage in (losses[:18], losses[18:]):  # the batches differ, so the means of some are compared
        assert np.mean(stage[-4:]) < 0.8 * np.mean(stage[:3])
    assert set(after) == {"stem", "layer 1", "layer 2", "phonemes"}
    for layer in ("layer 1", "layer 2"):
        assert after[layer] > before[layer] + 0.02

    resumed = EncoderTrainer(CONFIG, teacher, LevelBands(), training)
    resumed.load(tmp_path / "state.safetensors")
    assert (resumed.step, resumed.stage, resumed.trained_s) == (trainer.step, trainer.stage, trainer.trained_s)
    assert resumed.explained(kept) == after
    for name, value in trainer.student.state_dict().items():
        torch.testing.assert_close(resumed.student.state_dict()[name], value, rtol=0, atol=0)

    resumed.export(tmp_path / "made")
    encoder = SpeechEncoder.load(tmp_path / "made")
    assert encoder.encode(babble(1), (1, 2)).values.shape == (50, 2, 64)
    assert encoder.model.config.attention_reach_frames == [8, 12]
    assert encoder.layer_count == 2

    further = EncoderTrainer(CONFIG, teacher, LevelBands(), training, tmp_path / "made")
    for ours, theirs in zip(further.early_units, resumed.early_units, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert further.train_step(MINUTES) > 0 and further.stage == 1
