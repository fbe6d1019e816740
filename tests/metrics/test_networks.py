"""Metric networks: their shapes, their inputs, loading and the safe reading of their weights."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import pytest
import torch

from talkinghead.cli.evaluate import convert as convert_command
from talkinghead.errors import CheckpointError
from talkinghead.files import sha256_of
from talkinghead.metrics import syncnet
from talkinghead.metrics.fid import FidInception, frechet_distance
from talkinghead.metrics.lpips import Lpips
from talkinghead.metrics.networks import (
    FID,
    LPIPS,
    METRIC_NETWORKS,
    ST_LPIPS,
    SYNCNET,
    convert,
    load_metric_network,
    load_metric_networks,
)
from talkinghead.metrics.st_lpips import WEIGHTS_SHA256
from talkinghead.metrics.syncnet import Embeddings, SyncNet, lip_sync, mfcc, offset_distances
from talkinghead.structures import Frame
from talkinghead.weights import registry


class TestSyncNet:
    def test_it_has_the_published_number_of_parameters(self) -> None:
        assert sum(value.numel() for value in SyncNet().parameters()) == 13_631_616

    def test_windows_in_a_run_are_windows_alone(self) -> None:
        torch.manual_seed(0)
        network, faces = SyncNet().eval(), torch.rand(1, 3, 7, 224, 224) * 255
        with torch.inference_mode():
            together = network.lips(faces)
            alone = torch.cat([network.lips(faces[:, :, start : start + 5]) for start in range(3)])
        assert together.shape == (3, 1024)
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)

    def test_cepstra_are_those_of_python_speech_features(self) -> None:
        """Values of version 0.6 for this audio, at windows 0, 50 and the last."""
        rng = np.random.default_rng(0)
        time_s = np.arange(17003) / 16000
        audio = 0.3 * np.sin(2 * np.pi * 300 * time_s * (1 + time_s)) + 0.05 * rng.standard_normal(len(time_s))
        found = mfcc(audio.astype(np.float32))
        assert found.shape == (13, 105)
        np.testing.assert_allclose(found[[0, 1, 2, 12], 0], [20.8922, -20.1239, 10.4339, 1.4137], atol=1e-3)
        np.testing.assert_allclose(found[[0, 1, 2, 12], 50], [21.1033, -16.997, 1.3461, -15.698], atol=1e-3)
        np.testing.assert_allclose(found[[0, 1, 2, 12], -1], [21.376, -19.5485, -10.7926, 11.8996], atol=1e-3)

    @pytest.mark.parametrize("late", [-4, 0, 3])
    def test_the_offset_is_how_late_the_video_is(self, late: int) -> None:
        audio = torch.randn(80, 1024, generator=torch.Generator().manual_seed(0))
        found = lip_sync(Embeddings(torch.roll(audio, late, 0), audio))
        assert found.offset == late
        assert found.confidence == pytest.approx(
            float(offset_distances(torch.roll(audio, late, 0), audio).median()) - found.distance
        )

    def test_distances_are_those_of_the_definition(self) -> None:
        lips, audio = torch.randn(2, 6, 1024, generator=torch.Generator().manual_seed(1))
        at_rest = np.linalg.norm(lips.numpy() - audio.numpy() + 1e-6, axis=1).mean()
        assert float(offset_distances(lips, audio)[15]) == pytest.approx(at_rest, rel=1e-5)
        beyond = np.linalg.norm(lips.numpy() + 1e-6, axis=1).mean()  # all of the audio is shifted out
        assert float(offset_distances(lips, audio)[0]) == pytest.approx(beyond, rel=1e-5)

    def test_other_rates_are_resampled_to_25_frames_a_second(self) -> None:
        image = np.zeros((2, 2, 3), np.uint8)
        found = list(syncnet.at_frame_rate(Frame(image, number / 50) for number in range(100)))
        assert [number for number, _ in found] == list(range(0, 100, 2))

    def test_weights_are_converted_once_and_loaded(self, tmp_path: Path) -> None:
        """Batch norms as torch wrote them before they counted batches."""
        network = SyncNet()
        state = {name: value for name, value in network.state_dict().items() if "num_batches" not in name}
        torch.save(state, tmp_path / "syncnet_v2.model", _use_new_zipfile_serialization=False)
        path = convert(SYNCNET, [tmp_path / "syncnet_v2.model"], tmp_path / "syncnet_v2.safetensors")
        loaded = load_metric_network(SYNCNET, path).state_dict()
        assert all(torch.equal(loaded[name], value) for name, value in state.items())

    def test_other_weights_are_refused(self, tmp_path: Path) -> None:
        torch.save({"a": torch.zeros(3)}, tmp_path / "a.pth")
        with pytest.raises(CheckpointError, match="not the weights of syncnet_v2"):
            convert(SYNCNET, [tmp_path / "a.pth"], tmp_path / "a.safetensors")


class TestLpips:
    def test_two_files_become_one(self, tmp_path: Path) -> None:
        state = Lpips().state_dict()
        backbone = {name: value for name, value in state.items() if name.startswith("features.")}
        torch.save({**backbone, "classifier.1.weight": torch.zeros(2)}, tmp_path / "alexnet.pth")
        torch.save({name: abs(v) for name, v in state.items() if name.startswith("lin")}, tmp_path / "alex.pth")
        path = convert(LPIPS, [tmp_path / "alexnet.pth", tmp_path / "alex.pth"], tmp_path / "lpips.safetensors")
        network = load_metric_network(LPIPS, path)
        image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
        assert network.distance(image, image) == 0
        assert network.distance(image, image[::-1].copy()) > 0


class TestFid:
    def test_the_network_has_inceptions_parameters(self) -> None:
        assert sum(value.numel() for value in FidInception().parameters()) == 21_785_568

    def test_distance_of_known_distributions(self) -> None:
        """Equal covariances: the square of the distance of the means. One twice as wide: the sum over axes of 1."""
        points = np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32)
        assert frechet_distance(list(points), list(points)) == pytest.approx(0, abs=1e-4)
        assert frechet_distance(list(points + 2), list(points)) == pytest.approx(20, rel=1e-4)
        spread = np.square(points - points.mean(0)).sum() / 199
        mean = np.square(points.mean(0)).sum()
        assert frechet_distance(list(2 * points), list(points)) == pytest.approx(spread + mean, rel=1e-3)


class TestLoading:
    def test_without_weights_every_network_says_how_to_get_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(registry.MODELS_VARIABLE, str(tmp_path))
        found = load_metric_networks()
        assert found.syncnet is found.lpips is found.inception is None
        for name, network in METRIC_NETWORKS.items():
            assert name in found.missing[name] and all(source in found.missing[name] for source in network.sources)
        assert not found.installed & METRIC_NETWORKS.keys()

    def test_converted_weights_are_found(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(registry.MODELS_VARIABLE, str(tmp_path))
        torch.save(Lpips().state_dict(), tmp_path / "lpips.pth")
        path = convert(LPIPS, [tmp_path / "lpips.pth"])
        found = load_metric_networks()
        assert found.lpips is not None and LPIPS.name in found.installed and LPIPS.name not in found.missing
        assert found.sha256 == {LPIPS.name: sha256_of(path), ST_LPIPS: WEIGHTS_SHA256}

    def test_a_file_of_another_network_is_refused(self, tmp_path: Path) -> None:
        torch.save(Lpips().state_dict(), tmp_path / "lpips.pth")
        path = convert(LPIPS, [tmp_path / "lpips.pth"], tmp_path / "lpips.safetensors")
        with pytest.raises(CheckpointError, match="does not hold fid_inception: its format is not"):
            load_metric_network(FID, path)

    def test_the_command_converts_every_network(self) -> None:
        (name,) = (parameter for parameter in convert_command.params if parameter.name == "name")
        assert isinstance(name.type, click.Choice) and list(name.type.choices) == list(METRIC_NETWORKS)
