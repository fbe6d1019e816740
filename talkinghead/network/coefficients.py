"""Reconstruction coefficients of frames, as seen in their crops."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from talkinghead.face.reconstruction import rotation_matrices
from talkinghead.face.region_removal import Crops
from talkinghead.network.local_modeller import LocalCoefficients
from talkinghead.structures import FloatArray, Reconstruction


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
