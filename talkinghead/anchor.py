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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from talkinghead.errors import CheckpointError, MissingFileError
from talkinghead.face.face_model import FaceModel, load_face_model
from talkinghead.face.reconstruction import rotation_matrices
from talkinghead.face.region_removal import Crops, LocalRegion, local_region
from talkinghead.files import load_arrays, replacing, save_arrays, sha256_of
from talkinghead.generation.passthrough import CELLS, Appearance
from talkinghead.network.face_update_network import FaceUpdateConfig, FaceUpdateNetwork
from talkinghead.network.local_modeller import LocalCoefficients
from talkinghead.structures import FloatArray, Reconstruction

FORMAT = "talkinghead/anchor/1"
RECONSTRUCTION_FORMAT = "talkinghead/reconstruction/1"
REST_QUANTILE = 0.15
"""The share of least open frames that shows the anchor's mouth at rest."""
LARGEST_DESCRIPTION_BYTES = 1 << 20
LARGEST_NUMBER = 1e6
"""No coefficient is larger, whether in standard deviations, radians or pixels."""
HASHED = ("track.safetensors", "face_model.safetensors", "reconstruction.safetensors", "network.safetensors")
APPEARANCE_FILE = "appearance.safetensors"
APPEARANCE_FORMAT = "talkinghead/appearance/1"


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


def save_reconstruction(path: Path, reconstruction: Reconstruction, times_s: NDArray[np.float64]) -> None:
    """Write a clip's reconstruction and its frames' times."""
    save_arrays(path, {**asdict(reconstruction), "times_s": times_s}, {"format": RECONSTRUCTION_FORMAT})


def load_reconstruction(path: Path, model: FaceModel) -> tuple[Reconstruction, NDArray[np.float64]]:
    """Read what `save_reconstruction` wrote.

    Raises:
        MissingFileError, CheckpointError: no such file; damaged, or not fitting the face model.
    """
    arrays, metadata = load_arrays(path)
    times_s = arrays.pop("times_s", None)
    if metadata.get("format") != RECONSTRUCTION_FORMAT or times_s is None or times_s.ndim != 1:
        raise CheckpointError(f"{path} is not a reconstruction of this version ({RECONSTRUCTION_FORMAT}).")
    frames = len(times_s)
    shapes = {
        "identity": (model.identities,),
        "expression": (frames, model.expressions),
        "rotation": (frames, 3),
        "translation": (frames, 2),
        "scale": (frames,),
        "valid": (frames,),
    }
    for name, shape in shapes.items():
        kind = np.bool_ if name == "valid" else np.float32
        if name not in arrays or arrays[name].shape != shape or arrays[name].dtype != kind:
            raise CheckpointError(f"{path} is damaged: {name} is not {shape} numbers of type {np.dtype(kind)}.")
        if not (np.abs(arrays[name]) <= LARGEST_NUMBER).all():
            raise CheckpointError(f"{path} is damaged: {name} holds numbers that no clip gives.")
    rising = times_s.dtype == np.float64 and np.isfinite(times_s).all() and (np.diff(times_s) > 0).all()
    if not rising or not arrays["valid"].any() or (arrays["scale"] <= 0).any():
        raise CheckpointError(f"{path} is damaged: it holds no usable pose.")
    return Reconstruction(**{name: arrays[name] for name in shapes}), times_s


def save_appearance(path: Path, appearance: Appearance) -> None:
    """Write what a person's crops usually look like."""
    arrays: dict[str, NDArray[Any]] = {
        "inside": appearance.inside.astype(np.uint8),
        "mean": appearance.mean,
        "basis": appearance.basis,
        "usual": np.array([appearance.usual]),
    }
    save_arrays(path, arrays, {"format": APPEARANCE_FORMAT})


def load_appearance(path: Path) -> Appearance:
    """Read what `save_appearance` wrote.

    Raises:
        MissingFileError, CheckpointError: no such file; damaged.
    """
    arrays, metadata = load_arrays(path)
    try:
        inside = arrays["inside"].astype(np.bool_).reshape(CELLS)
        mean = arrays["mean"].reshape(3 * int(inside.sum())).astype(np.float32)
        basis = arrays["basis"].reshape(-1, len(mean)).astype(np.float32)
        usual = float(arrays["usual"][0])
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise CheckpointError(f"{path} is not an appearance: {error}.") from error
    if metadata.get("format") != APPEARANCE_FORMAT:
        raise CheckpointError(f"{path} is not an appearance of this version ({APPEARANCE_FORMAT}).")
    is_colour = inside.any() and ((mean >= 0) & (mean <= 255)).all()
    if not (is_colour and (np.abs(basis) <= 1.001).all() and 0 <= usual < np.inf):
        raise CheckpointError(f"{path} is damaged: it holds numbers that no face gives.")
    return Appearance(inside, mean, basis, usual)


def save_network(path: Path, network: FaceUpdateNetwork, state: dict[str, torch.Tensor] | None = None) -> None:
    """Write the network's weights (or `state` in their place) with its sizes.

    The learned ones are written in 16 bits, which halves the file.
    """
    weights = network.state_dict() if state is None else state
    learned = {name for name, _ in network.named_parameters()}
    arrays: dict[str, NDArray[Any]] = {
        name: (value.half() if name in learned else value.float()).detach().cpu().numpy()
        for name, value in weights.items()
    }
    save_arrays(path, arrays, {"config": json.dumps(network.config.as_json())})


def load_network(path: Path, model: FaceModel, identity: FloatArray) -> FaceUpdateNetwork:
    """Read weights that `save_network` wrote, into a network for this person, on the CPU.

    Raises:
        MissingFileError, CheckpointError: no such file; damaged, or not fitting.
    """
    arrays, metadata = load_arrays(path)
    try:
        values = json.loads(metadata["config"])
        values["sharpening"]  # without it, the network is of a version whose texture held no colours
        config = FaceUpdateConfig(**{**values, "size_px": tuple(values["size_px"]), "widths": tuple(values["widths"])})
        _check_config(config, model)
        network = FaceUpdateNetwork(config, model, identity)
        network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path} does not hold a face update network of this version.") from error
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise CheckpointError(f"{path} holds numbers that are not finite.")
    return network.eval()


def start_from(network: FaceUpdateNetwork, path: Path) -> None:
    """Give a new network the weights of another person's, as far as their shapes agree.

    Args:
        network: changed in place.
        path: a file that `save_network` wrote.

    Raises:
        MissingFileError, CheckpointError: no such file; damaged.
    """
    arrays, _ = load_arrays(path)
    own = network.state_dict()
    fitting = {name: array for name, array in arrays.items() if name in own and own[name].shape == array.shape}
    network.load_state_dict({**own, **{name: torch.from_numpy(array).float() for name, array in fitting.items()}})


def _check_config(config: FaceUpdateConfig, model: FaceModel) -> None:
    """Sizes are checked before memory is taken for them."""
    height, width = config.size_px
    fits = config.expressions == model.expressions and height % 16 == width % 16 == 0
    fits = fits and all(16 <= side <= 1024 for side in (height, width, config.texture_size))
    fits = fits and 0 <= config.sharpening <= 2
    fits = fits and 1 <= config.texture_channels <= 256 and 1 <= len(config.widths) <= 5
    if not fits or not all(1 <= width <= 1024 for width in config.widths):
        raise ValueError("sizes out of range")


def crop_coefficients(
    reconstruction: Reconstruction, crops: Crops, frames: NDArray[np.int64], expression: FloatArray
) -> LocalCoefficients:
    """Target local reconstruction coefficients as seen in the crops.

    Args:
        reconstruction: poses of the clip.
        crops: where each frame's crop lies.
        frames: (B,) frame numbers.
        expression: (B, K) the expression that replaces the frames' own.
    """
    # frame = zoom * Rot(roll) crop + shift, so the pose seen in the crop is turned back, scaled back, moved back.
    turn, shift = crops.to_frame[frames, :, :2], crops.to_frame[frames, :, 2]
    zoom = np.linalg.norm(turn[:, :, 0], axis=-1)
    roll = np.arctan2(turn[:, 1, 0], turn[:, 0, 0])
    # A turn by roll in the picture (y down) is one by -roll in the model's axes (y up); undoing it turns by +roll.
    upright = Rotation.from_rotvec(roll[:, None] * (0, 0, 1)).as_matrix()
    translation = np.linalg.solve(turn, (reconstruction.translation[frames] - shift)[..., None])[..., 0]
    parts = (
        expression,
        upright @ rotation_matrices(reconstruction.rotation[frames]),
        translation,
        reconstruction.scale[frames] / zoom,
    )
    return LocalCoefficients(*(torch.from_numpy(np.asarray(part, np.float32)) for part in parts))
