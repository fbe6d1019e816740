"""Third-party metric networks: which there are, how a user gets their weights, loading and converting those.

None of the weights is part of this package. Without a network's weights its metrics are not measured; no other network
is used in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import nn

from talkinghead.errors import CheckpointError, MissingFileError, ModelUnavailableError
from talkinghead.files import load_arrays, save_arrays, sha256_of
from talkinghead.metrics.cvvdp import ColorVideoVdp
from talkinghead.metrics.fid import FidInception
from talkinghead.metrics.identity import FaceIdentity
from talkinghead.metrics.lpips import Lpips
from talkinghead.metrics.st_lpips import WEIGHTS_SHA256, ShiftTolerantLpips
from talkinghead.metrics.syncnet import SyncNet
from talkinghead.weights import registry
from talkinghead.weights.torch_files import read_tensors

Network = TypeVar("Network", bound=nn.Module)
Packaged = TypeVar("Packaged")

IDENTITY = "identity"
"""Name of dlib's face recognition network among the metric networks; pip installs its weights (metrics/identity.py)."""
ST_LPIPS = "st_lpips"
"""Name of shift-tolerant LPIPS among them; its weights are a dependency (metrics/st_lpips.py)."""
CVVDP = "cvvdp"
"""Name of ColorVideoVDP among them, which pip installs (metrics/cvvdp.py)."""


@dataclass(frozen=True)
class MetricNetwork(Generic[Network]):
    """A metric network whose published weights a user fetches and converts."""

    name: str
    network: type[Network]
    format: str
    """Format name in the metadata of the converted file."""
    sources: tuple[str, ...]
    """Addresses of the published files."""
    license: str
    unused: tuple[str, ...] = ()
    """Prefixes of tensor names in the published files that this package does not need."""

    @property
    def file_name(self) -> str:
        """Name of the converted file in the folder of third-party weights."""
        return f"{self.name}.safetensors"

    @property
    def how_to_get(self) -> str:
        """Reason why its metrics are not measured without it, and what to do."""
        return f"needs {self.name}: `talkinghead convert {self.name} FILE` after fetching {' and '.join(self.sources)}"


SYNCNET = MetricNetwork(
    "syncnet_v2",
    SyncNet,
    format="talkinghead/syncnet/1",
    sources=("https://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",),
    license="MIT, by its repository",
)
LPIPS = MetricNetwork(
    "lpips_alex",
    Lpips,
    format="talkinghead/lpips/1",
    sources=(
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        "https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/v0.1/alex.pth",
    ),
    license="BSD-3-Clause and BSD-2-Clause, by their repositories",
    unused=("classifier.",),
)
FID = MetricNetwork(
    "fid_inception",
    FidInception,
    format="talkinghead/fid-inception/1",
    sources=(
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
    ),
    license="Apache-2.0, by its repository",
    unused=("fc.", "AuxLogits."),
)
METRIC_NETWORKS: Mapping[str, MetricNetwork[Any]] = MappingProxyType(
    {network.name: network for network in (SYNCNET, LPIPS, FID)}
)


@dataclass(frozen=True)
class MetricNetworks:
    """The metric networks that are installed; None for one that is not."""

    syncnet: SyncNet | None = None
    lpips: Lpips | None = None
    inception: FidInception | None = None
    identity: FaceIdentity | None = None
    st_lpips: ShiftTolerantLpips | None = None
    cvvdp: ColorVideoVdp | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    """Name of each network that is not installed -> how to get it."""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Name of each loaded network -> hash of its file of weights."""

    @property
    def installed(self) -> frozenset[str]:
        """Names of the networks that are installed."""
        loaded = {
            SYNCNET.name: self.syncnet,
            LPIPS.name: self.lpips,
            FID.name: self.inception,
            IDENTITY: self.identity,
            ST_LPIPS: self.st_lpips,
            CVVDP: self.cvvdp,
        }
        return frozenset(name for name, network in loaded.items() if network is not None)


def load_metric_networks() -> MetricNetworks:
    """Load every metric network whose weights are installed.

    Raises:
        CheckpointError: a file of the right name does not hold that network.
    """
    missing: dict[str, str] = {}
    hashes: dict[str, str] = {}

    def load(which: MetricNetwork[Network]) -> Network | None:
        path = registry.folder() / which.file_name
        try:
            network = load_metric_network(which, path)
        except MissingFileError:
            missing[which.name] = which.how_to_get
            return None
        hashes[which.name] = sha256_of(path)
        return network

    def packaged(name: str, make: Callable[[], Packaged]) -> Packaged | None:
        try:
            return make()
        except ModelUnavailableError as error:
            missing[name] = str(error)
            return None

    identity, st_lpips = packaged(IDENTITY, FaceIdentity), packaged(ST_LPIPS, ShiftTolerantLpips.load)
    if st_lpips is not None:
        hashes[ST_LPIPS] = WEIGHTS_SHA256
    cvvdp = packaged(CVVDP, ColorVideoVdp)
    return MetricNetworks(load(SYNCNET), load(LPIPS), load(FID), identity, st_lpips, cvvdp, missing, hashes)


def load_metric_network(which: MetricNetwork[Network], path: Path) -> Network:
    """A metric network, in evaluation mode, with the weights that `convert` wrote.

    Args:
        which: SYNCNET, LPIPS or FID.
        path: file that `convert` wrote.

    Raises:
        MissingFileError: there is no such file.
        CheckpointError: the file does not hold this network.
    """
    arrays, metadata = load_arrays(path)
    network = which.network()
    try:
        if metadata.get("format") != which.format:
            raise RuntimeError(f"its format is not {which.format}")
        network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    except RuntimeError as error:
        raise CheckpointError(f"{path} does not hold {which.name}: {error}") from error
    return network.eval()


def convert(which: MetricNetwork[Any], sources: Sequence[Path], output: Path | None = None) -> Path:
    """Convert the published files of a metric network into one safetensors file; no code in them is run.

    Args:
        which: network to convert.
        sources: its published files, in any order.
        output: file to write; None writes to the folder in which `load_metric_networks` looks.

    Returns:
        Path of the file written.

    Raises:
        MissingFileError: a source is missing.
        CheckpointError: the sources do not hold this network.
        OutputError: the result cannot be written.
    """
    tensors: dict[str, torch.Tensor] = {}
    for source in sources:
        for name, array in read_tensors(source).items():
            if not name.startswith(which.unused):
                tensors[name] = torch.from_numpy(np.ascontiguousarray(array))
    network = which.network()
    # Batch norms saved by torch before 0.4.1 have no count of batches; evaluation does not use the count.
    counters = {name: value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")}
    try:
        network.load_state_dict({**counters, **tensors})
    except RuntimeError as error:
        first = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{', '.join(map(str, sources))}: not the weights of {which.name}: {first}") from error
    path = output or registry.folder() / which.file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    origin = {f"sha256 of {source.name}": sha256_of(source) for source in sources}
    arrays = {name: value.numpy() for name, value in network.state_dict().items()}
    save_arrays(path, arrays, {"format": which.format, **origin})
    return path
