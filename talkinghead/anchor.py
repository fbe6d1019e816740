"""The ANCHOR: one portable folder with everything that generating needs.

anchor.json                 versions, sizes, hashes; made to be read
clip.*                      the reference clip, byte for byte
track.safetensors           landmarks of every frame
face_model.safetensors      the face model that the coefficients belong to
reconstruction.safetensors  identity, expression and pose of every frame
network.safetensors         weights of the face update network
appearance.safetensors      what the person's crops usually look like (anchors of older versions have none)
training.png                truth, cut and result of held-out frames at the end of training
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import CheckpointError, MissingFileError
from talkinghead.face.appearance import Appearance, load_appearance
from talkinghead.face.face_model import FaceModel, load_face_model
from talkinghead.face.reconstruction import load_reconstruction
from talkinghead.face.region_removal import LocalRegion, local_region
from talkinghead.files import replacing, sha256_of
from talkinghead.network.checkpoint import load_network
from talkinghead.network.face_update_network import FaceUpdateNetwork
from talkinghead.structures import FloatArray, Reconstruction

FORMAT = "talkinghead/anchor/1"
REST_QUANTILE = 0.15
"""The share of least open frames that shows the anchor's mouth at rest."""
LARGEST_DESCRIPTION_BYTES = 1 << 20
HASHED = ("track.safetensors", "face_model.safetensors", "reconstruction.safetensors", "network.safetensors")
APPEARANCE_FILE = "appearance.safetensors"


@dataclass(frozen=True)
class Anchor:
    """A trained anchor, in memory."""

    folder: Path
    clip: Path
    model: FaceModel
    face_model_sha256: str
    reconstruction: Reconstruction
    """Of the anchor's own clip."""
    times_s: NDArray[np.float64]
    """(T,) presentation times of that clip's frames."""
    region: LocalRegion
    network: FaceUpdateNetwork
    """On the CPU, in evaluation mode."""
    network_sha256: str
    consent: str | None
    """Who agreed to be animated, in the words given to `train`; None where nobody was named."""
    appearance: Appearance | None
    """None where the anchor was trained before this was kept."""

    def expression_statistics(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of the anchor's own expression over the clip's valid frames, (K,) each."""
        own = self.reconstruction.expression[self.reconstruction.valid]
        return own.mean(0), own.std(0)

    def rest_expression(self) -> FloatArray:
        """The anchor's own closed mouth: median expression over the least open frames of the clip, (K,)."""
        own = self.reconstruction.expression[self.reconstruction.valid]
        opening = self.model.opening(self.reconstruction.identity, own)
        return np.median(own[opening <= np.quantile(opening, REST_QUANTILE)], axis=0)


def load_anchor(folder: Path) -> Anchor:
    """Read an ANCHOR folder; every file is checked against its hash.

    Raises:
        MissingFileError: no such folder.
        CheckpointError: it is no ANCHOR, one of another version, or damaged.
    """
    description = read_description(folder)
    has_appearance = APPEARANCE_FILE in description["sha256"]
    for name in (*HASHED, APPEARANCE_FILE) if has_appearance else HASHED:
        if not (folder / name).is_file() or sha256_of(folder / name) != description["sha256"].get(name):
            raise CheckpointError(f"{folder / name} is missing or damaged; train the anchor again.")
    clip = folder / Path(description["clip"]["file"]).name
    if not clip.is_file() or sha256_of(clip) != description["clip"]["sha256"]:
        raise CheckpointError(f"{clip} is missing or not the clip that the anchor was trained on.")
    model = load_face_model(folder / "face_model.safetensors")
    reconstruction, times_s = load_reconstruction(folder / "reconstruction.safetensors", model)
    return Anchor(
        folder=folder,
        clip=clip,
        model=model,
        face_model_sha256=description["sha256"]["face_model.safetensors"],
        reconstruction=reconstruction,
        times_s=times_s,
        region=local_region(model, reconstruction.identity),
        network=load_network(folder / "network.safetensors", model, reconstruction.identity),
        network_sha256=description["sha256"]["network.safetensors"],
        consent=description["consent"],
        appearance=load_appearance(folder / APPEARANCE_FILE) if has_appearance else None,
    )


def read_description(folder: Path) -> dict[str, Any]:
    """What anchor.json says, without a look at the other files; `consent` is None where it names nobody.

    Raises:
        MissingFileError: no such folder.
        CheckpointError: it is no ANCHOR, or one of another version.
    """
    if not os.path.isdir(folder):  # unlike Path's, it is False for a name that cannot be
        raise MissingFileError(f"There is no ANCHOR folder {folder}; `talkinghead train` makes one.")
    path = folder / "anchor.json"
    try:
        if path.stat().st_size > LARGEST_DESCRIPTION_BYTES:
            raise ValueError("too large")
        description = dict(json.loads(path.read_text("utf-8")))
        hashes, clip = description["sha256"], description["clip"]
        texts = [*hashes.values(), clip["file"], clip["sha256"], description.setdefault("consent", None) or ""]
        valid = all(isinstance(text, str) for text in texts) and clip["file"].isprintable()
        found = str(description["format"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{folder} is no ANCHOR folder: {path.name} is missing or damaged.") from error
    if found != FORMAT or not valid:
        raise CheckpointError(f"{folder} is of format {found[:80]!r}, this version reads {FORMAT!r}; train it again.")
    return description


def write_description(folder: Path, description: dict[str, Any]) -> None:
    """Write anchor.json; the hashes of the other files are added here, so write it last."""
    hashes = {name: sha256_of(folder / name) for name in (*HASHED, APPEARANCE_FILE)}
    text = json.dumps({"format": FORMAT, **description, "sha256": hashes}, indent=2, ensure_ascii=False)
    with replacing(folder / "anchor.json") as temporary:
        temporary.write_text(text + "\n", "utf-8")
