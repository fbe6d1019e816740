"""The networks of others that judge an output: which are here, how to get the rest, and their safe conversion.

None is part of this package, and none is replaced by something else: without its weights a number is not measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn

from talkinghead.errors import CheckpointError, MissingFileError, ModelUnavailableError
from talkinghead.files import save_arrays, sha256_of
from talkinghead.metrics import fid as inception
from talkinghead.metrics import lpips as perceptual
from talkinghead.metrics import syncnet
from talkinghead.metrics.fid import FidInception
from talkinghead.metrics.identity import FaceIdentity
from talkinghead.metrics.lpips import Lpips
from talkinghead.metrics.syncnet import SyncNet
from talkinghead.weights import registry as weights
from talkinghead.weights.torch_files import read_tensors


@dataclass(frozen=True)
class Judge:
    """Weights that a user puts in place."""

    name: str
    file_name: str
    """Under which `load_judges` looks for the converted weights, in the folder of third-party weights."""
    format: str
    network: type[nn.Module]
    sources: tuple[str, ...]
    """Addresses of the published files."""
    license: str
    numbers: tuple[str, ...]
    """Fields of `Scores` that need it."""
    unused: tuple[str, ...] = ()
    """Beginnings of names in the published files that are of no use here."""

    @property
    def missing(self) -> str:
        """What to do about its absence."""
        return f"needs {self.name}: `talkinghead convert {self.name} FILE` after fetching {' and '.join(self.sources)}"


SYNCNET = Judge(
    "syncnet_v2",
    "syncnet_v2.safetensors",
    syncnet.FORMAT,
    SyncNet,
    ("https://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",),
    "MIT, by its repository",
    ("lse_d", "lse_c", "lse_offset"),
)
LPIPS = Judge(
    "lpips_alex",
    "lpips_alex.safetensors",
    perceptual.FORMAT,
    Lpips,
    (
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        "https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/v0.1/alex.pth",
    ),
    "BSD-3-Clause and BSD-2-Clause, by their repositories",
    ("lpips_full", "lpips_mouth"),
    ("classifier.",),
)
FID = Judge(
    "fid_inception",
    "fid_inception.safetensors",
    inception.FORMAT,
    FidInception,
    ("https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",),
    "Apache-2.0, by its repository",
    ("fid",),
    ("fc.", "AuxLogits."),
)
JUDGES: Mapping[str, Judge] = MappingProxyType({judge.name: judge for judge in (SYNCNET, LPIPS, FID)})


@dataclass(frozen=True)
class Judges:
    """What is here; None where it is not, and `missing` says why by the number that needs it."""

    syncnet: SyncNet | None = None
    lpips: Lpips | None = None
    inception: FidInception | None = None
    identity: FaceIdentity | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Of the weights' files, by the judge's name."""


def load_judges() -> Judges:
    """Every judge whose weights are in place.

    Raises:
        CheckpointError: a file is there under the right name, and is something else.
    """
    found: dict[str, Any] = {}
    missing: dict[str, str] = {}
    hashes: dict[str, str] = {}
    loaders = {
        SYNCNET: ("syncnet", syncnet.load_syncnet),
        LPIPS: ("lpips", perceptual.load_lpips),
        FID: ("inception", inception.load_inception),
    }
    for judge, (place, load) in loaders.items():
        path = weights.folder() / judge.file_name
        try:
            found[place] = load(path)
            hashes[judge.name] = sha256_of(path)
        except MissingFileError:
            missing |= dict.fromkeys(judge.numbers, judge.missing)
    try:
        found["identity"] = FaceIdentity()
    except ModelUnavailableError as error:
        missing["identity_similarity"] = str(error)
    return Judges(**found, missing=missing, sha256=hashes)


def convert(judge: Judge, sources: Sequence[Path], output: Path | None = None) -> Path:
    """Turn the published files of a judge into one safetensors file; nothing that they hold is run.

    Args:
        judge: which.
        sources: the published files, in any order.
        output: where to; None is the folder in which `load_judges` looks.

    Returns:
        Path of the file written.

    Raises:
        MissingFileError, CheckpointError: a file is not there, or does not hold this network.
        OutputError: the result cannot be written.
    """
    tensors: dict[str, torch.Tensor] = {}
    for source in sources:
        for name, array in read_tensors(source).items():
            if not name.startswith(judge.unused or "\0"):
                tensors[name] = torch.from_numpy(np.ascontiguousarray(array))
    network = judge.network()
    # Batch norms that torch wrote before 0.4.1 did not count their batches; nothing here depends on the count.
    counters = {name: value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")}
    try:
        network.load_state_dict({**counters, **tensors})
    except RuntimeError as error:
        first = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{', '.join(map(str, sources))}: not the weights of {judge.name}: {first}") from error
    path = output or weights.folder() / judge.file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    origin = {f"sha256 of {source.name}": sha256_of(source) for source in sources}
    arrays = {name: value.numpy() for name, value in network.state_dict().items()}
    save_arrays(path, arrays, {"format": judge.format, **origin})
    return path
