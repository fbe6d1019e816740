"""What `talkinghead doctor` examines: what is installed, which device is used, what is missing and how to get it."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import talkinghead
from talkinghead.errors import CheckpointError, ModelUnavailableError, TalkingHeadError, VoiceUnavailableError
from talkinghead.speech.voice_activity import REQUIREMENT, detector_file
from talkinghead.weights import registry
from talkinghead.weights.bundled import checkpoint_path

_REQUIRED = {
    "torch": "torch",
    "transformers": "transformers",
    "safetensors": "safetensors",
    "numpy": "numpy",
    "scipy": "scipy",
    "scikit-image": "skimage",
    "numba": "numba",
    "opencv-python-headless": "cv2",
    "av": "av",
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "soundfile": "soundfile",
}
"""Name of a required package -> the module that it is imported as."""
_CHECKPOINTS = (
    "face_model.safetensors",
    "speech_encoder/model.safetensors",
    "expression_predictor.safetensors",
    "presenter/network.safetensors",
)
_ENCODERS = ("libx264", "aac")
WARM_UP_RATE_HZ = 16000
WARM_UP_SAMPLES = 4800
"""Length of the silence that the first frame is made with."""


class State(StrEnum):
    """State of what was examined."""

    OK = "ok"
    NOTE = "note"
    """Not there, and the commands work without it; the detail says what is lost, or when it is downloaded."""
    MISSING = "missing"
    """Not there, and some command fails without it."""


@dataclass(frozen=True)
class Finding:
    """The result for one thing that was examined."""

    subject: str
    state: State
    detail: str
    remedy: str = ""
    """What to do; empty where nothing is to be done."""


def examine() -> list[Finding]:
    """Examine everything that the commands need; takes seconds, because it is imported. Downloads nothing."""
    return [
        Finding("talkinghead", State.OK, talkinghead.__version__),
        Finding("Python", State.OK, f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        *(_package(distribution, module) for distribution, module in _REQUIRED.items()),
        *_devices(),
        *_rasterizers(),
        *_encoders(),
        *_text_to_speech(),
        _voice_activity(),
        *(_checkpoint(name) for name in _CHECKPOINTS),
        *(_third_party(weight) for weight in registry.WEIGHTS.values()),
    ]


def warm_up() -> Finding:
    """Make one frame of the built-in anchor, in memory, and so compile and keep what the first video would compile."""
    import numpy as np

    from talkinghead.generation.config import GenerationConfig
    from talkinghead.generation.pipeline import stream_frames
    from talkinghead.media.audio_writer import write_audio
    from talkinghead.network.compiled import compilation
    from talkinghead.structures import Audio

    started_s = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as folder:
            recording = Path(folder) / "speech.wav"
            write_audio(recording, [Audio(np.zeros(WARM_UP_SAMPLES, np.float32), WARM_UP_RATE_HZ)])
            with stream_frames(checkpoint_path("presenter"), recording, GenerationConfig()) as frames:
                _ = next(iter(frames)).picture.planes  # as a file is written
    except TalkingHeadError as error:
        return Finding("first frame", State.MISSING, str(error))
    made = compilation()
    what = f"{made.compiled} kernels were compiled for it and are" if made.compiled else "its compiled kernels are"
    return Finding("first frame", State.OK, f"{time.monotonic() - started_s:.1f} s; {what} kept in {made.folder}")


def _failure(module: str) -> str:
    """Why a module cannot be imported; empty where it can."""
    try:
        importlib.import_module(module)
    except (ImportError, OSError, RuntimeError) as error:  # a wheel that does not fit raises any of the three
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return ""


def _package(distribution: str, module: str) -> Finding:
    failure = _failure(module)
    if failure:
        return Finding(distribution, State.MISSING, failure, f"pip install {distribution}")
    try:
        return Finding(distribution, State.OK, importlib.metadata.version(distribution))
    except importlib.metadata.PackageNotFoundError:
        return Finding(distribution, State.OK, f"provided by another package as {module}")


def _devices() -> Iterator[Finding]:
    if _failure("torch"):
        return
    import torch

    from talkinghead.device import has_fast_bfloat16

    number_format = "bfloat16" if has_fast_bfloat16(torch.device("cpu")) else "float32"
    threads = f"{torch.get_num_threads()} threads on {os.cpu_count()} logical cores"
    yield Finding("CPU", State.OK, f"{threads}, networks run in {number_format}")
    if torch.cuda.is_available():
        yield Finding("CUDA", State.OK, torch.cuda.get_device_name())
    else:
        yield Finding("CUDA", State.NOTE, "no GPU; everything runs on the CPU")


def _rasterizers() -> Iterator[Finding]:
    failure = _failure("numba")
    yield Finding("rasterizer numba", State.MISSING if failure else State.OK, failure or "used on the CPU")
    failure = _failure("pytorch3d.renderer")
    if failure:
        remedy = "on Linux x86-64 with a GPU: pip install 'talkinghead[cuda]'"
        yield Finding("rasterizer pytorch3d", State.NOTE, f"{failure}; the numba one is used", remedy)
    else:
        yield Finding("rasterizer pytorch3d", State.OK, "used on CUDA and for gradients to geometry")


def _encoders() -> Iterator[Finding]:
    if _failure("av"):
        return
    from av.codec import Codec
    from av.codec.codec import UnknownCodecError

    for name in _ENCODERS:
        try:
            yield Finding(f"encoder {name}", State.OK, Codec(name, "w").long_name)
        except UnknownCodecError:
            remedy = "pip install --force-reinstall --only-binary av av"
            yield Finding(f"encoder {name}", State.MISSING, "this build of PyAV cannot write it", remedy)


def _text_to_speech() -> Iterator[Finding]:
    from talkinghead.text_to_speech import engines

    try:
        known = engines()
    except VoiceUnavailableError as error:
        yield Finding("text to speech", State.MISSING, str(error))
        return
    for engine in known:
        count = len(engine.voices())
        state = State.NOTE if engine.missing() else State.OK
        detail = f"{engine.version}, {count} {'voice' if count == 1 else 'voices'}" if count else "not installed"
        yield Finding(f"text to speech {engine.name}", state, detail, engine.missing())


def _voice_activity() -> Finding:
    try:
        return Finding("voice activity", State.OK, str(detector_file()))
    except ModelUnavailableError as error:
        return Finding("voice activity", State.MISSING, str(error), f"pip install {REQUIREMENT}")


def _checkpoint(name: str) -> Finding:
    try:
        path = checkpoint_path(name)
    except CheckpointError as error:
        return Finding(f"checkpoint {name}", State.MISSING, str(error), "install talkinghead again")
    return Finding(f"checkpoint {name}", State.OK, str(path))


def _third_party(weight: registry.Weight) -> Finding:
    subject, path = f"weights {weight.name}", registry.folder() / weight.file_name
    if registry.is_intact(path, weight):
        return Finding(subject, State.OK, str(path))
    if os.environ.get(registry.MODELS_VARIABLE):
        state = State.NOTE if weight.is_optional else State.MISSING
        return Finding(subject, state, f"not in {path.parent}", f"put {weight.file_name} there")
    return Finding(subject, State.NOTE, "downloaded when needed", "talkinghead models --fetch")
