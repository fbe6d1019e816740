"""Training of an encoder's weights for streams: it sees what a stream sees, learns, and can be resumed."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import torch
from speech_models import babble, make_predictor, other_encoders, tiny_bert, write_encoder

from talkinghead.errors import CheckpointError, ModelUnavailableError
from talkinghead.media.audio_writer import write_audio
from talkinghead.speech.conformer import Conformer
from talkinghead.speech.encoder import SpeechEncoder
from talkinghead.speech.encoder_stream import open_encoder_stream
from talkinghead.speech.front_ends import LogMelFrontEnd
from talkinghead.speech.model import SpeechModel
from talkinghead.training.speech.augmentation import Recordings, find_recordings
from talkinghead.training.speech.chunked_conformer import ChunkedConformer, ChunkLayout, newest_frames
from talkinghead.training.speech.stream_trainer import StreamTrainer, StreamTrainingConfig

CONFIG = StreamTrainingConfig(rank=4, frames=120, rate=3e-3, warmup_steps=2, augmented_share=0.2, average_decay=0.8)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SpeechModel:
    encoder = SpeechEncoder.load(write_encoder(tmp_path_factory.mktemp("encoder"), tiny_bert(), "LogMelFrontEnd"))
    return SpeechModel(encoder, make_predictor(encoder))


@pytest.fixture
def recordings(tmp_path: Path) -> Recordings:
    (tmp_path / "audio").mkdir()
    for number in range(3):
        write_audio(tmp_path / "audio" / f"{number}.wav", [babble(4, number)])
    return find_recordings([tmp_path / "audio"], [])[0]


@pytest.mark.parametrize("look_ahead_s", [0.08, 0.24, 0.3])
def test_chunks_are_the_steps_of_a_stream(model: SpeechModel, look_ahead_s: float) -> None:
    encoder, layout = model.encoder, ChunkLayout.of(look_ahead_s, 0.08)
    student = ChunkedConformer(cast(Conformer, encoder.model), layout, rank=4)
    with torch.no_grad():  # changes of all kinds
        for parameter in student.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    weights = StreamTrainer(CONFIG, model, torch.ones(4), Recordings([])).result()
    tuned = SpeechEncoder(encoder.model, encoder.front_end, encoder.name, encoder.sha256)
    tuned.stream_weights = type(weights)(student.named_changes(), student.edge.detach(), encoder.sha256, look_ahead_s)

    samples = torch.from_numpy(babble(3).samples)[: 37 * 1280]
    front_end = cast(LogMelFrontEnd, encoder.front_end)
    with torch.inference_mode():
        states = student(front_end(samples[None]), newest_frames(front_end, samples[None], layout))
    chunks = states[2][0]
    assert len(chunks) == layout.count(len(samples) // 320)
    stream, found = open_encoder_stream(tuned, (2,), look_ahead_s), []
    for start in range(0, len(samples), 1280):
        step = stream.push(samples[start : start + 1280].numpy(), 1.0)
        if step.final > step.first:
            found.append(step.values[:, 0])
    assert len(found) == len(chunks)
    for ours, theirs in zip(chunks, found, strict=True):
        torch.testing.assert_close(ours[-len(theirs) :], theirs, atol=1e-4, rtol=0)


@torch.no_grad()
def disturb(trainer: StreamTrainer) -> None:
    """Change the initial weights at random: of so small an encoder, the future hardly matters."""
    draw = torch.Generator().manual_seed(0)
    for ours, average in zip(trainer.student.parameters(), trainer.averaged.parameters(), strict=True):
        ours.add_(0.2 * torch.randn(ours.shape, generator=draw))
        average.copy_(ours)


def test_it_learns_what_the_whole_recording_would_give(
    model: SpeechModel, recordings: Recordings, tmp_path: Path
) -> None:
    trainer = StreamTrainer(CONFIG, model, torch.ones(4), recordings)
    disturb(trainer)
    before = trainer.agreement(recordings)
    steps = list(trainer.run(40, tmp_path / "state.safetensors"))
    after = trainer.agreement(recordings)
    assert [step for step, _ in steps] == list(range(1, 41))
    assert after["features"] > before["features"] and after["provisional"] > before["provisional"]
    assert all(not parameter.requires_grad for parameter in model.predictor.parameters())


def test_a_training_goes_on_where_it_was_interrupted(
    model: SpeechModel, recordings: Recordings, tmp_path: Path
) -> None:
    state = tmp_path / "state.safetensors"
    trainer = StreamTrainer(CONFIG, model, torch.ones(4), recordings)
    assert len(list(trainer.run(3, state))) == 3
    resumed = StreamTrainer(CONFIG, model, torch.ones(4), recordings)
    resumed.load(state)
    for ours, theirs in ((trainer.student, resumed.student), (trainer.averaged, resumed.averaged)):
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(one, other)
    assert [step for step, _ in resumed.run(5, state)] == [4, 5]
    other = StreamTrainer(StreamTrainingConfig(rank=3), model, torch.ones(4), recordings)
    with pytest.raises(CheckpointError, match="does not fit"):
        other.load(state)


def test_encoders_of_another_kind_are_refused(tmp_path: Path) -> None:
    encoder = SpeechEncoder.load(write_encoder(tmp_path / "hubert", *other_encoders()["hubert"]))
    with pytest.raises(ModelUnavailableError, match="default one's kind"):
        StreamTrainer(CONFIG, SpeechModel(encoder, make_predictor(encoder)), torch.ones(4), Recordings([]))
