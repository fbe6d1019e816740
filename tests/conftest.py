"""What the end-to-end tests share: a drawn person's clip, an ANCHOR trained on it, and where caches lie meanwhile.

With pytest-xdist every worker is a process with its own session fixtures. What takes long to make is therefore made by
the first worker that asks for it, in the folder of the whole run, while the others wait at a lock.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock
import pytest
import soundfile
import torch
from drawn_face import RATE_HZ, DrawnClip, audio_of, drawn_clip, performance

from talkinghead.anchor import Anchor, load_anchor
from talkinghead.errors import ModelUnavailableError
from talkinghead.face.landmarks import FaceLandmarker
from talkinghead.generation.expression_files import save_expression
from talkinghead.training.face_update.config import LoopConfig
from talkinghead.training.face_update.train import train
from talkinghead.weights import registry

os.environ["LANGUAGE"] = "en"  # messages are tested in the language of the source, whatever the developer's is
SHARED_MODELS = Path(__file__).parents[2] / "shared" / "models"
CLIP_S = 4.0
SPEECH_S = 1.3
STEPS = 180


@pytest.fixture(scope="session")
def run_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A temporary folder that all workers of this run have in common."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if hasattr(request.config, "workerinput") else own) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """A folder that `make` fills, unless another worker has made it already.

    It appears under its name only when `make` has returned, so that a failure is not taken for a result.
    """
    with filelock.FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            partial = folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            make(partial)
            partial.rename(folder)
    return folder


@pytest.fixture(scope="session")
def models_folder() -> Path:
    """The folder of the landmark model: what TALKINGHEAD_MODELS names, ../shared, or the cache, fetched once."""
    beside = SHARED_MODELS / registry.FACE_LANDMARKER.file_name
    try:
        found = beside if registry.is_intact(beside, registry.FACE_LANDMARKER) else registry.locate("face_landmarker")
    except ModelUnavailableError as error:
        pytest.skip(str(error))
    return found.parent


@pytest.fixture(scope="session")
def landmarker(models_folder: Path) -> FaceLandmarker:
    return FaceLandmarker.load(models_folder / registry.FACE_LANDMARKER.file_name)


@pytest.fixture(scope="session")
def _caches(models_folder: Path, run_folder: Path) -> dict[str, str]:
    return {registry.MODELS_VARIABLE: str(models_folder), "XDG_CACHE_HOME": str(run_folder / "cache")}


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
def quick() -> LoopConfig:
    """Settings for a training of seconds."""
    return LoopConfig(batch=2, warmup_steps=10)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> DrawnClip:
    """Four seconds of the first drawn person, with audio."""
    return drawn_clip(tmp_path_factory.mktemp("clip") / "person.mp4", CLIP_S)


@pytest.fixture(scope="session")
def anchor_folder(clip: DrawnClip, quick: LoopConfig, _caches: dict[str, str], run_folder: Path) -> Path:
    """An ANCHOR of the first drawn person, trained for seconds: blurred, but it moves its mouth."""

    def make(folder: Path) -> None:
        threads = torch.get_num_threads()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in _caches.items():
                patch.setenv(name, value)
            torch.set_num_threads(1)
            consent = "The drawn person is nobody."
            train(clip.path, folder / "person", steps=STEPS, device="cpu", loop=quick, consent=consent)
            torch.set_num_threads(threads)

    return made_once(run_folder / "anchors", make) / "person"


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
