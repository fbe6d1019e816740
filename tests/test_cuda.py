"""Results on a GPU against those on the CPU; all of these tests skip where there is no GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_face import DrawnClip

from talkinghead.anchor import Anchor
from talkinghead.device import choose_device, mixed_precision, to_device
from talkinghead.generation.face_updater import FaceUpdater
from talkinghead.generation.pipeline import generate
from talkinghead.media.audio_reader import read_audio
from talkinghead.media.video_reader import VideoReader
from talkinghead.network.rasterize import best_backend, rasterize
from talkinghead.speech.model import SpeechModel
from talkinghead.training.face_update.config import LoopConfig
from talkinghead.training.face_update.train import train
from talkinghead.weights.bundled import checkpoint_folder

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
    pytest.mark.usefixtures("own_caches"),
]

CUDA = torch.device("cuda")
TOLERANCE = 6
"""Of 255; the networks run in bfloat16, which the two devices round differently."""


def test_auto_is_the_gpu() -> None:
    assert choose_device("auto").type == "cuda"


def test_tensors_are_moved_to_the_gpu_unchanged() -> None:
    values = torch.arange(1000.0)
    there = to_device(values, CUDA)
    assert there.is_cuda
    torch.testing.assert_close(there.cpu(), values)
    assert to_device(there, CUDA) is there


def test_mixed_precision_is_on_where_the_gpu_has_bfloat16() -> None:
    with mixed_precision(CUDA):
        made = torch.ones(8, 8, device=CUDA) @ torch.ones(8, 8, device=CUDA)
    expected = torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    assert made.dtype == expected


def test_the_rasterizers_agree() -> None:
    draw = np.random.default_rng(0)
    vertices = torch.from_numpy(draw.uniform(0, 64, (2, 30, 3)).astype(np.float32))
    triangles = torch.from_numpy(draw.integers(0, 30, (20, 3)))
    attributes = torch.from_numpy(draw.normal(size=(30, 4)).astype(np.float32))
    assert best_backend(CUDA) == "pytorch3d"
    values, coverage = rasterize(vertices, triangles, attributes, 48, 64)
    there, covered = rasterize(vertices.to(CUDA), triangles.to(CUDA), attributes.to(CUDA), 48, 64)
    assert there.is_cuda and covered.is_cuda
    same = (coverage == covered.cpu()).float().mean()
    assert same > 0.995  # a pixel center on an edge may fall to either side
    close = (values - there.cpu()).abs().amax(1) < 1e-2
    assert close.float().mean() > 0.99


def test_the_face_update_is_that_of_the_cpu(anchor: Anchor, clip: DrawnClip) -> None:
    with VideoReader(clip.path) as reader:
        images = [frame.image for _, frame in zip(range(8), reader, strict=False)]
    frames = np.arange(8)
    expression = anchor.reconstruction.expression[frames + 20]
    here, there = (
        FaceUpdater(anchor, anchor.reconstruction, device).update(images, frames, expression)
        for device in (torch.device("cpu"), CUDA)
    )
    differences = np.abs(np.stack(here).astype(int) - np.stack(there))
    assert np.quantile(differences, 0.999) <= TOLERANCE


def test_training_and_generating(clip: DrawnClip, expression_file: Path, speech: Path, tmp_path: Path) -> None:
    config = LoopConfig(batch=2, warmup_steps=2)
    report = train(clip.path, tmp_path / "person", steps=8, device="cuda", loop=config)
    assert report["training"]["device"].startswith("cuda") and report["training"]["steps"] == 8
    written = generate(tmp_path / "person", speech, tmp_path / "output.mp4", expression=expression_file, device="cuda")
    with VideoReader(tmp_path / "output.mp4") as reader:
        assert len(list(reader)) == written["frames"]


@pytest.mark.skipif(not (checkpoint_folder() / "speech_encoder" / "model.safetensors").exists(), reason="no weights")
def test_the_speech_model_predicts_as_on_the_cpu(speech: Path) -> None:
    audio, times_s = read_audio(speech), np.arange(25) / 25
    here, there = (SpeechModel.load(device=device).predict(audio, times_s) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(there.values, here.values, atol=0.02)
