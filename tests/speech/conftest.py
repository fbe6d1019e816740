"""What the tests of the speech package share: small encoders on disk and in memory, and a speech model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from speech_models import make_predictor, other_encoders, tiny_bert, write_encoder

from talkinghead.speech.encoder import SpeechEncoder
from talkinghead.speech.model import SpeechModel


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The models are small, and threads of a busy machine wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder"), tiny_bert(), "LogMelFrontEnd")


@pytest.fixture(scope="session")
def encoder(encoder_folder: Path) -> SpeechEncoder:
    return SpeechEncoder.load(encoder_folder)


@pytest.fixture(scope="session")
def speech_model(encoder: SpeechEncoder) -> SpeechModel:
    return SpeechModel(encoder, make_predictor(encoder))


@pytest.fixture(scope="session")
def other_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model folder for each of `speech_models.OTHERS`."""
    root = tmp_path_factory.mktemp("others")
    for name, (model, front_end) in other_encoders().items():
        write_encoder(root / name, model, front_end)
    return root
