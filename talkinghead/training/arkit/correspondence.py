"""Which vertex of the head model each landmark is, and what its shapes do to the face model's coefficients."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from talkinghead.face.face_model import FaceModel
from talkinghead.face.pose import fit_similarity
from talkinghead.face.reconstruction import ReconstructionConfig
from talkinghead.face.topology import CHIN, LOWER_LIP_OUTER
from talkinghead.structures import FloatArray
from talkinghead.training.arkit.ict_face import IctFace
from talkinghead.training.arkit.performer import Performer

FRAMES = 90
"""Frames over which landmarks and vertices are compared, evenly spread."""
LEAST_NORMAL_Z = 0.15
"""A landmark lies on skin that faces the camera: the z of its normal is at least this."""
DEPTH_SHARES = (0.2, 0.9)
"""Share of a shape's movement towards the camera that landmarks show, at the lips and at the chin: they see a pucker
become narrow, but hardly that it comes forwards. Between lips and chin it rises with the distance."""
IDENTITIES = 16
"""Random people over whom the movement is averaged: the pose takes out their sizes, which differ a little."""


def correspondence(performer: Performer, head: IctFace) -> NDArray[np.int64]:
    """Vertex of the head for each landmark: the one whose path in the image, and place, fit best: (468,).

    Both the path about its mean and the mean count, so that a landmark whose place is a little off keeps to the part
    that moves as it does: at the inner lips a pixel decides between the lip that opens and the one that does not.
    """
    frames = np.linspace(0, len(performer.weights) - 1, FRAMES).astype(int)
    vertices = np.stack([performer.vertices_px(head, int(frame)) for frame in frames])
    landmarks = performer.landmarks_px[frames].astype(np.float64)
    place, mark = vertices.mean(0), landmarks.mean(0)
    vertices, landmarks = vertices - place, landmarks - mark
    path = (landmarks**2).sum((0, 2))[:, None] + (vertices**2).sum((0, 2))
    path = (path - 2 * np.einsum("tld,tvd->lv", landmarks, vertices)) / FRAMES
    cost = path + ((mark[:, None] - place) ** 2).sum(-1)
    cost[:, head.normals[:, 2] < LEAST_NORMAL_Z] = np.inf
    return np.asarray(cost.argmin(1), np.int64)


def movement(vertices: NDArray[np.int64], head: IctFace, model: FaceModel, draw: np.random.Generator) -> FloatArray:
    """Coefficients that each shape adds at the weight 1, of random people on average: (52, K).

    Args:
        vertices: (468,) of the head for each landmark.
        head, model: from which, and to which.
        draw: for the identities.
    """
    config = ReconstructionConfig()
    axes = np.array([1.0, 1.0, config.depth_weight])
    seen = head.shapes[:, vertices].copy()
    seen[..., 2] *= _depth_shares(model)
    moved = np.zeros((len(seen), len(model.local), 3))
    for _ in range(IDENTITIES):
        person = head.person(draw.normal(size=len(head.identity)) * 0.8)[vertices]
        pose = fit_similarity(model.neutral[model.rigid], person[None, model.rigid], axes)
        turned = np.einsum("ji,elj->eli", pose.matrix[0], seen[:, model.local])
        moved += turned / pose.scale[0] / IDENTITIES
    # The same ridge regression as the reconstruction's.
    root = np.sqrt(axes * model.importance[:, None])
    basis = (model.reach_basis * root).reshape(model.expressions, -1).astype(np.float64)
    normal = basis @ basis.T + config.noise_cm**2 * np.eye(model.expressions)
    return np.asarray((moved * root).reshape(len(seen), -1) @ basis.T @ np.linalg.inv(normal), np.float32)


def _depth_shares(model: FaceModel) -> NDArray[np.float64]:
    """(468,) of `DEPTH_SHARES` for each landmark."""
    height = model.neutral[:, 1].astype(np.float64)
    towards_chin = np.clip((height[LOWER_LIP_OUTER] - height) / (height[LOWER_LIP_OUTER] - height[CHIN]), 0, 1)
    at_lips, at_chin = DEPTH_SHARES
    return np.asarray(at_lips + (at_chin - at_lips) * towards_chin)


def mirror_signs(model: FaceModel, mirror: NDArray[np.int64]) -> FloatArray:
    """(K,) sign of each coefficient in a mirrored face: the basis is made of symmetric and antisymmetric components.

    Args:
        model: the face model.
        mirror: (468,) counterpart of each vertex on the other side.
    """
    flipped = model.expression_basis[:, mirror] * np.array([-1.0, 1.0, 1.0])
    agreement = (flipped * model.expression_basis).sum((1, 2)) / (model.expression_basis**2).sum((1, 2))
    return np.asarray(np.sign(agreement), np.float32)
