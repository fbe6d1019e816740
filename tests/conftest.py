"""What the end-to-end tests share: drawn people, an ANCHOR trained on one of them, and where caches lie meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
import torch
from drawn_face import RATE_HZ, DrawnClip, audio_of, drawn_clip, performance

from talkinghead.anchor import Anchor, load_anchor
from talkinghead.errors import ModelUnavailableError
from talkinghead.face.landmarks import FaceLandmarker
from talkinghead.generation.expression_files import save_expression
from talkinghead.training.face_update.train import train
from talkinghead.training.face_update.trainer import AnchorTrainingConfig
from talkinghead.weights import registry as weights

SHARED_MODELS = Path(__file__).parents[2] / "shared" / "models"
CLIP_S = 4.0
SPEECH_S = 1.3
STEPS = 180


@pytest.fixture(scope="session")
def models_folder() -> Path:
    """The folder of the landmark model: what TALKINGHEAD_MODELS names, ../shared, or the cache, fetched once."""
    beside = SHARED_MODELS / weights.FACE_LANDMARKER.file_name
    try:
        found = beside if weights.is_intact(beside, weights.FACE_LANDMARKER) else weights.locate("face_landmarker")
    except ModelUnavailableError as error:
        pytest.skip(str(error))
    return found.parent


@pytest.fixture(scope="session")
def landmarker(models_folder: Path) -> FaceLandmarker:
    return FaceLandmarker.load(models_folder / weights.FACE_LANDMARKER.file_name)


@pytest.fixture(scope="session")
def _caches(models_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {weights.MODELS_VARIABLE: str(models_folder), "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}


@pytest.fixture
def own_caches(_caches: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tracks go to a temporary folder that the whole run shares; the landmark model is taken from where it is.

    One thread: the tests' images are small, and on a busy machine two threads wait for each other.
    """
    for name, value in _caches.items():
        monkeypatch.setenv(name, value)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def quick() -> AnchorTrainingConfig:
    """Settings for a training of seconds."""
    return AnchorTrainingConfig(batch=2, warmup_steps=10)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> DrawnClip:
    """Four seconds of the first drawn person, with audio."""
    return drawn_clip(tmp_path_factory.mktemp("clip") / "person.mp4", CLIP_S)


@pytest.fixture(scope="session")
def anchor_folder(
    clip: DrawnClip, quick: AnchorTrainingConfig, _caches: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """An ANCHOR of the first drawn person, trained for seconds: blurred, but it moves its mouth."""
    folder = tmp_path_factory.mktemp("anchors") / "person"
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _caches.items():
            patch.setenv(name, value)
        torch.set_num_threads(1)
        consent = "The drawn person is nobody."
        train(clip.path, folder, steps=STEPS, device="cpu", config=quick, consent=consent)
        torch.set_num_threads(threads)
    return folder


@pytest.fixture(scope="session")
def anchor(anchor_folder: Path) -> Anchor:
    return load_anchor(anchor_folder)


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wav of a whole number of samples that is no whole number of frames at any usual rate."""
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    soundfile.write(path, audio_of(performance(SPEECH_S, 7), SPEECH_S + 0.0101).samples, RATE_HZ)
    return path


@pytest.fixture(scope="session")
def expression_file(anchor: Anchor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Coefficients for a speech of any of these lengths: the anchor's own, at their own times."""
    path = tmp_path_factory.mktemp("expression") / "expression.safetensors"
    save_expression(path, anchor.reconstruction.expression, anchor.reconstruction.times_s)
    return path
