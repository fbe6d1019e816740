"""Reconstruction coefficients of frames, transformed into the pixels of their crops."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from talkinghead.face.region_removal import Crops
from talkinghead.face.rotations import rotation_matrices
from talkinghead.network.local_modeller import LocalCoefficients
from talkinghead.structures import FloatArray, Reconstruction


def crop_coefficients(
    reconstruction: Reconstruction, crops: Crops, frames: NDArray[np.int64], expression: FloatArray
) -> LocalCoefficients:
    """Target local reconstruction coefficients, with the poses in crop pixels (patent: claim 4).

    Args:
        reconstruction: poses of the clip.
        crops: position of each frame's crop.
        frames: (B,) frame numbers of the clip.
        expression: (B, K) target expression, in place of the frames' own.
    """
    # frame = zoom * Rot(roll) @ crop + shift: the inverse of this similarity is applied to the pose.
    linear, shift = crops.to_frame[frames, :, :2], crops.to_frame[frames, :, 2]
    zoom = np.linalg.norm(linear[:, :, 0], axis=-1)
    roll = np.arctan2(linear[:, 1, 0], linear[:, 0, 0])
    # A rotation by roll in the image (y down) is one by -roll in the model's axes (y up); its inverse is by +roll.
    upright = rotation_matrices(roll[:, None] * (0, 0, 1))
    translation = np.linalg.solve(linear, (reconstruction.translation[frames] - shift)[..., None])[..., 0]
    parts = (
        expression,
        upright @ rotation_matrices(reconstruction.rotation[frames]),
        translation,
        reconstruction.scale[frames] / zoom,
    )
    return LocalCoefficients(*(torch.from_numpy(np.asarray(part, np.float32)) for part in parts))
