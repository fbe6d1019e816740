"""Pose of the head in every frame: the similarity that carries the rigid points of a face to their landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkinghead.face.rotations import Array, rotation_matrices
from talkinghead.structures import FloatArray

GAUSS_NEWTON_STEPS = 4
"""Gauss-Newton steps after the closed-form start."""
STEP_LIMITS = np.array([[-0.3] * 3 + [-0.3] + [-np.inf] * 3, [0.3] * 3 + [0.3] + [np.inf] * 3])
"""(2, 7) bounds of one Gauss-Newton step: rotation (radians), log scale, translation (unbounded).

They keep a frame of meaningless landmarks from diverging.
"""


@dataclass(frozen=True)
class Pose:
    """Similarity transform of each of T frames: observed = scale * R @ model + translation.

    Observations are in pixels with y up and z towards the viewer, model points in cm.
    """

    matrix: Array
    """(T, 3, 3) float64 rotation matrices R."""
    scale: Array
    """(T,) float64, pixels per cm, > 0."""
    translation: Array
    """(T, 3) float64, pixels."""


def fit_similarity(points: Array | FloatArray, observed: Array, axes: Array) -> Pose:
    """Fit rotation, scale and translation of every frame by Huber-weighted least squares.

    Starts from the closed-form solution for equal weights of the axes (Umeyama 1991), then takes Gauss-Newton steps
    on the weighted problem, which has no closed form. All frames are solved at once.

    Args:
        points: (R, 3) model points, cm.
        observed: (T, R, 3) landmarks, pixels, y up.
        axes: (3,) weights of x, y and z.
    """
    points = np.asarray(points, np.float64)
    pose = _umeyama(points, observed)
    for _ in range(GAUSS_NEWTON_STEPS):
        pose = _gauss_newton(pose, points, observed, axes)
    return pose


def unproject(observed: Array, pose: Pose) -> Array:
    """Transform observed points into the head's own frame: (T, L, 3) px -> (T, L, 3) cm."""
    centered = (observed - pose.translation[:, None]) / pose.scale[:, None, None]
    return np.einsum("tji,tlj->tli", pose.matrix, centered)


def _umeyama(points: Array, observed: Array) -> Pose:
    """Least-squares similarity of every frame in closed form, all points and axes weighted equally (Umeyama 1991)."""
    # The translation drops out of centered points and is recovered at the end.
    model_mean, observed_mean = points.mean(0), observed.mean(1)
    model_centered, observed_centered = points - model_mean, observed - observed_mean[:, None]
    # The best rotation comes from the SVD of the 3 x 3 cross-covariance of each frame.
    u, singular, vt = np.linalg.svd(np.einsum("trj,rk->tjk", observed_centered, model_centered))  # (T, 3, 3)
    # Where that would be a reflection, the axis of least variance is flipped, which costs least.
    sign = np.ones((len(observed), 3))
    sign[:, 2] = np.sign(np.linalg.det(u @ vt))
    matrix = (u * sign[:, None]) @ vt  # (T, 3, 3)
    # Frames without a face have all landmarks at 0: the floor keeps their scale positive and everything finite.
    scale = np.maximum((singular * sign).sum(1) / (model_centered**2).sum(), 1e-6)
    return Pose(matrix, scale, observed_mean - scale[:, None] * (matrix @ model_mean))


def _gauss_newton(pose: Pose, points: Array, observed: Array, axes: Array) -> Pose:
    """Take one step over rotation (3), log scale (1) and translation (3) of every frame."""
    rotated = pose.scale[:, None, None] * np.einsum("tij,rj->tri", pose.matrix, points)  # (T, R, 3) px
    residual = observed - rotated - pose.translation[:, None]
    # Huber weights: 1 up to 1.5 median distances, then falling as 1 / distance, so that single bad landmarks do not
    # pull the head. Only x and y decide, since z is a guess of the landmark network.
    distance = np.linalg.norm(residual[..., :2], axis=-1)
    typical = np.maximum(1.5 * np.median(distance, 1, keepdims=True), 1e-9)
    weight = (1.0 / np.maximum(distance / typical, 1.0))[..., None] * axes

    # Derivative of each projected point. A small rotation w applied after R moves it by w x point; these are the
    # columns of that cross product. The derivative by the log scale is the point itself.
    jacobian = np.zeros((*rotated.shape, 7))  # (T, R, 3, 7)
    x, y, z = rotated[..., 0], rotated[..., 1], rotated[..., 2]
    jacobian[..., 0, 1], jacobian[..., 0, 2] = z, -y
    jacobian[..., 1, 0], jacobian[..., 1, 2] = -z, x
    jacobian[..., 2, 0], jacobian[..., 2, 1] = y, -x
    jacobian[..., 3] = rotated
    jacobian[..., [0, 1, 2], [4, 5, 6]] = 1.0
    # Normal equations, damped a little so that a degenerate frame can be solved too.
    normal = np.einsum("tria,tri,trib->tab", jacobian, weight, jacobian)  # (T, 7, 7)
    normal += 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(7)
    gradient = np.einsum("tria,tri->ta", jacobian, weight * residual)
    step = np.clip(np.linalg.solve(normal + 1e-12 * np.eye(7), gradient[..., None])[..., 0], *STEP_LIMITS)
    # Rotation and scale are updated multiplicatively: R stays a rotation and the scale stays positive.
    matrix = rotation_matrices(step[:, :3]) @ pose.matrix
    return Pose(matrix, pose.scale * np.exp(step[:, 3]), pose.translation + step[:, 4:])
