"""A computed person: a clip whose ARKit weights, pose and camera are known, and what is measured in it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from talkinghead.anchor import REST_QUANTILE
from talkinghead.errors import CheckpointError
from talkinghead.face.face_model import FaceModel
from talkinghead.face.reconstruction import reconstruct
from talkinghead.face.steady_track import steady_track
from talkinghead.files import load_arrays
from talkinghead.structures import BoolArray, FloatArray, Reconstruction
from talkinghead.training.arkit.ict_face import Array, IctFace, in_arkit_order

NECK_CM = np.array([0.0, -6.0, -1.0])
"""(3,) point about which the head rotates, see data/presenter/README.md."""
MOUTH = slice(48, 68)
"""The mouth's among the 68 landmarks."""
KNOWN_WELL = 1e-3
"""Weight of the prior against the landmarks in solving for the identity: these are exact."""


NEEDED = (
    *("expression", "opening_cm", "rotation_rad", "translation_cm"),
    *("camera_intrinsics", "camera_cm", "landmarks_cm"),
)
"""Arrays of a truth that are used."""


@dataclass(frozen=True)
class Performer:
    """What is known and what is measured of a clip of T frames."""

    weights: Array
    """(T, 52) true ARKit weights."""
    opening_cm: Array
    """(T,) true gap between the inner lips."""
    mouth_cm: Array
    """(T, 20, 3) true places of the mouth's landmarks (48-67 of 68) on the head, without its pose."""
    neutral: Array
    """(P, 3) this person's skin at rest."""
    rotation_rad: Array
    """(T, 3) pitch, yaw, roll of the head."""
    translation_cm: Array
    """(T, 3) of the head."""
    camera: tuple[Array, Array]
    """(3, 3) intrinsics, and (3,) the place of the camera."""
    landmarks_px: FloatArray
    """(T, 468, 2) as tracked."""
    reconstruction: Reconstruction
    """Of the track."""
    rest: FloatArray
    """(K,) measured expression of the mouth at rest, as an anchor of this clip has it."""

    @property
    def valid(self) -> BoolArray:
        """(T,) which frames were reconstructed."""
        return self.reconstruction.valid

    def resting_weights(self) -> Array:
        """(52,) true weights in the frames with the least open mouth."""
        least = self.opening_cm <= np.quantile(self.opening_cm, REST_QUANTILE)
        return np.asarray(np.median(self.weights[least], axis=0))

    def vertices_px(self, head: IctFace, frame: int) -> Array:
        """(P, 2) where the skin's vertices are in the image of a frame."""
        shape = self.neutral + np.tensordot(self.weights[frame], head.shapes, 1)
        turn = Rotation.from_euler("XYZ", self.rotation_rad[frame]).as_matrix()
        placed = (shape - NECK_CM) @ turn.T + NECK_CM + self.translation_cm[frame]
        intrinsics, place = self.camera
        seen = ((placed - place) * (1, -1, -1)) @ intrinsics.T
        return np.asarray(seen[:, :2] / seen[:, 2:])


def load_performer(clip: Path, model: FaceModel, head: IctFace) -> Performer:
    """Track a clip as `train` does, and read the truth beside it, in the .safetensors of the same name.

    Raises:
        MissingFileError, MediaError, NoFaceError, ModelUnavailableError: the clip cannot be used.
        CheckpointError: the truth cannot be.
    """
    path = clip.with_suffix(".safetensors")
    arrays, metadata = load_arrays(path)
    try:
        names = [str(name) for name in json.loads(metadata["about"])["expression_names"]]
        known = {name: arrays[name].astype(np.float64) for name in NEEDED}
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is not the truth of a clip, see data/presenter/README.md.") from error
    track = steady_track(clip, model)
    reconstruction = reconstruct(track, model)
    frames = min(len(track), len(known["expression"]))
    weights = in_arkit_order(known["expression"].T, names, sides="mean").T
    own = reconstruction.expression[reconstruction.valid]
    opening = model.of(reconstruction.identity).opening(own)
    return Performer(
        weights=weights[:frames],
        opening_cm=known["opening_cm"][:frames],
        mouth_cm=_without_pose(known)[:frames, MOUTH],
        neutral=head.person(_identity(known, weights, head)),
        rotation_rad=known["rotation_rad"],
        translation_cm=known["translation_cm"],
        camera=(known["camera_intrinsics"], known["camera_cm"]),
        landmarks_px=track.landmarks[:frames, :468, :2],
        reconstruction=reconstruction.select(np.arange(frames)),
        rest=np.median(own[opening <= np.quantile(opening, REST_QUANTILE)], axis=0),
    )


def _identity(known: dict[str, Array], weights: Array, head: IctFace) -> Array:
    """(COMPONENTS,) identity weights of the person, solved for from the known landmarks of the face's skin."""
    on_skin = head.landmarks < len(head.neutral)
    points = head.landmarks[on_skin]
    still = (_without_pose(known)[:, on_skin] - np.tensordot(weights, head.shapes[:, points], 1)).mean(0)
    basis = head.identity[:, points].reshape(len(head.identity), -1)
    normal = basis @ basis.T + KNOWN_WELL * np.eye(len(basis))
    return np.asarray(np.linalg.solve(normal, basis @ (still - head.neutral[points]).ravel()))


def _without_pose(known: dict[str, Array]) -> Array:
    """(T, 68, 3) cm, the known landmarks in the head's own axes."""
    turn = Rotation.from_euler("XYZ", known["rotation_rad"]).as_matrix()
    offsets = known["landmarks_cm"] - known["translation_cm"][:, None] - NECK_CM
    return np.asarray(np.einsum("tji,tlj->tli", turn, offsets) + NECK_CM)
