"""Local 3D reconstruction: from a clip's landmarks to identity, expression and pose of the lower face.

Solves, robustly and for all frames at once,

    sum_t w_t | landmarks_t - (scale_t R_t (neutral + A identity + B expression_t) + translation_t) |^2
        + priors on identity and expression + smoothness in time of pose and expression

by turns over pose, identity and expression; each turn is a linear problem with a closed solution. Pose is
taken from the rigid upper-face points alone, so that it does not follow the mouth. A frame without a face,
or one that does not fit its neighbours, has weight 0 or near 0 and is bridged by the smoothness.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded
from scipy.spatial.transform import Rotation

from talkinghead.errors import NoFaceError
from talkinghead.face.face_model import FaceModel
from talkinghead.face.topology import MESH_VERTICES
from talkinghead.structures import FloatArray, Reconstruction, Track

Array = NDArray[np.float64]

GAUSS_NEWTON_STEPS = 4
STEP_LIMITS = np.array([[-0.3] * 3 + [-0.3] + [-np.inf] * 3, [0.3] * 3 + [0.3] + [np.inf] * 3])
"""Largest step of rotation (radians), log scale and translation: a frame of nonsense must not run away."""


@dataclass(frozen=True)
class ReconstructionConfig:
    """Weights of the solution."""

    pose_cutoff_hz: float = 5.0
    """Motion of the head across the picture above this is taken for noise."""
    rotation_cutoff_hz: float = 2.0
    """So is turning above this: it is found from depth, which is guessed, and is the noisier for it."""
    expression_cutoff_hz: float = 11.0
    """Expression above this is taken for noise; lips close and open within 60 ms."""
    depth_weight: float = 0.3
    """Weight of the landmarks' z against x and y: it is guessed by a network, not seen."""
    noise_cm: float = 0.06
    """Standard deviation of a landmark, against which the priors of one standard deviation are weighed."""
    turns: int = 4
    outlier_cm: float = 0.35
    """A frame whose points lie further than this from the model, on average, loses its weight."""


def reconstruct(
    track: Track, model: FaceModel, config: ReconstructionConfig | None = None, identity: FloatArray | None = None
) -> Reconstruction:
    """Reconstruct every frame of a tracked clip.

    Args:
        track: landmarks of T frames.
        model: the face model.
        config: weights; None for the default.
        identity: (I,) a known person's identity, kept as it is; None solves it.

    Raises:
        NoFaceError: no frame of the track is valid.
    """
    config = config or ReconstructionConfig()
    if not track.valid.any():
        raise NoFaceError("No frame of the clip shows a usable face.")
    rate_hz = frame_rate_of(track)
    observed = track.landmarks[:, :MESH_VERTICES].astype(np.float64) * (1, -1, -1)  # y up, z towards the viewer
    weights = track.valid.astype(np.float64)
    axes = np.array([1.0, 1.0, config.depth_weight])

    solved = np.zeros(model.identities) if identity is None else identity.astype(np.float64)
    expression = np.zeros((len(track), model.expressions))
    for _ in range(config.turns):
        rigid = model.neutral[model.rigid] + np.tensordot(solved, model.identity_basis[:, model.rigid], 1)
        pose = fit_similarity(rigid, observed[:, model.rigid], axes)
        weights = track.valid * _frame_weights(pose, rigid, observed[:, model.rigid], config.outlier_cm)
        shape = unproject(observed, pose)
        if identity is None:
            solved = _solve_identity(shape, expression, weights, model, axes, config.noise_cm)
        expression = _solve_expression(shape, solved, weights, model, axes, config, rate_hz)
    rotation, translation, scale = _smooth_pose(pose, rigid.mean(0), weights, rate_hz, config)
    found = Reconstruction(
        identity=solved.astype(np.float32),
        expression=expression.astype(np.float32),
        rotation=rotation.astype(np.float32),
        translation=(translation[:, :2] * (1, -1)).astype(np.float32),
        scale=scale.astype(np.float32),
        valid=track.valid & (weights > 0.05),
        times_s=track.times_s,
        misfit_cm=np.zeros(len(track)),
    )
    return replace(found, misfit_cm=local_misfit_cm(model, track, found))


def project(shape: FloatArray, reconstruction: Reconstruction, frames: NDArray[np.int64] | slice) -> FloatArray:
    """Where model points are seen: (T, V, 3) cm, poses of `frames` -> (T, V, 3) px, z smaller is nearer."""
    turned = np.einsum("tij,tvj->tvi", rotation_matrices(reconstruction.rotation[frames]), shape)
    seen = turned * (np.array([1, -1, -1]) * reconstruction.scale[frames, None, None])
    seen[..., :2] += reconstruction.translation[frames, None]
    return np.asarray(seen, np.float32)


def rotation_matrices(axis_angle: FloatArray) -> Array:
    """(T, 3) axis-angle in radians -> (T, 3, 3)."""
    return np.asarray(Rotation.from_rotvec(axis_angle.astype(np.float64)).as_matrix())


def frame_rate_of(track: Track) -> float:
    """Frames per second by the track's own timestamps (median step, so that a gap does not count)."""
    if len(track) < 2:
        return 25.0
    return float(1.0 / np.median(np.diff(track.times_s)))


@dataclass(frozen=True)
class Pose:
    """Similarity of each frame: observed = scale R model + translation, y up."""

    matrix: Array
    """(T, 3, 3)"""
    scale: Array
    """(T,)"""
    translation: Array
    """(T, 3)"""


def fit_similarity(points: Array | FloatArray, observed: Array, axes: Array) -> Pose:
    """Rotation, scale and translation that carry model points to observations, by Huber-weighted least squares.

    Starts from the closed solution for equal weights of the axes (Umeyama 1991), then takes Gauss-Newton steps on
    the weighted problem, which has none.

    Args:
        points: (R, 3) model points.
        observed: (T, R, 3).
        axes: (3,) weights of x, y and z.
    """
    points = np.asarray(points, np.float64)
    pose = _umeyama(points, observed)
    for _ in range(GAUSS_NEWTON_STEPS):
        pose = _gauss_newton(pose, points, observed, axes)
    return pose


def _umeyama(points: Array, observed: Array) -> Pose:
    model_mean, seen_mean = points.mean(0), observed.mean(1)
    model_part, seen_part = points - model_mean, observed - seen_mean[:, None]
    u, singular, vt = np.linalg.svd(np.einsum("trj,rk->tjk", seen_part, model_part))
    sign = np.ones((len(observed), 3))
    sign[:, 2] = np.sign(np.linalg.det(u @ vt))
    matrix = (u * sign[:, None]) @ vt
    scale = np.maximum((singular * sign).sum(1) / (model_part**2).sum(), 1e-6)
    return Pose(matrix, scale, seen_mean - scale[:, None] * (matrix @ model_mean))


def _gauss_newton(pose: Pose, points: Array, observed: Array, axes: Array) -> Pose:
    """One step over rotation (3), log scale (1) and translation (3) of every frame."""
    turned = pose.scale[:, None, None] * np.einsum("tij,rj->tri", pose.matrix, points)
    miss = observed - turned - pose.translation[:, None]
    distance = np.linalg.norm(miss[..., :2], axis=-1)
    typical = np.maximum(1.5 * np.median(distance, 1, keepdims=True), 1e-9)
    weight = (1.0 / np.maximum(distance / typical, 1.0))[..., None] * axes

    jacobian = np.zeros((*turned.shape, 7))
    x, y, z = turned[..., 0], turned[..., 1], turned[..., 2]
    jacobian[..., 0, 1], jacobian[..., 0, 2] = z, -y
    jacobian[..., 1, 0], jacobian[..., 1, 2] = -z, x
    jacobian[..., 2, 0], jacobian[..., 2, 1] = y, -x
    jacobian[..., 3] = turned
    jacobian[..., [0, 1, 2], [4, 5, 6]] = 1.0
    normal = np.einsum("tria,tri,trib->tab", jacobian, weight, jacobian)
    normal += 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(7)
    gradient = np.einsum("tria,tri->ta", jacobian, weight * miss)
    step = np.clip(np.linalg.solve(normal + 1e-12 * np.eye(7), gradient[..., None])[..., 0], *STEP_LIMITS)
    matrix = Rotation.from_rotvec(step[:, :3]).as_matrix() @ pose.matrix
    return Pose(matrix, pose.scale * np.exp(step[:, 3]), pose.translation + step[:, 4:])


def unproject(observed: Array, pose: Pose) -> Array:
    """Observed points in the head's own frame: (T, L, 3) px -> (T, L, 3) cm."""
    moved = (observed - pose.translation[:, None]) / pose.scale[:, None, None]
    return np.einsum("tji,tlj->tli", pose.matrix, moved)


def smooth(values: Array, weights: Array, rate_hz: float, cutoff_hz: float) -> Array:
    """Whittaker smoothing along time: (T, D), (T,) -> (T, D).

    Penalises squared second differences; the weight is chosen so that a sine at `cutoff_hz` keeps half its
    amplitude. Entries of weight 0 are bridged. Source: Eilers 2003, A perfect smoother.
    """
    count = len(values)
    if count < 3:
        weighted = (weights[:, None] * values).sum(0) / max(weights.sum(), 1e-9)
        return np.where(weights[:, None] > 0, values, weighted)
    penalty = (2 * np.sin(np.pi * min(cutoff_hz / rate_hz, 0.5))) ** -4
    bands = np.zeros((3, count))
    for offset, coefficient in ((0, 1.0), (1, -2.0), (2, 1.0)):
        for other, factor in ((0, 1.0), (1, -2.0), (2, 1.0)):
            if other >= offset:
                start = other
                bands[2 - (other - offset), start : count - 2 + other] += penalty * coefficient * factor
    bands[2] += weights + 1e-9
    return np.asarray(solveh_banded(bands, weights[:, None] * values))


def _smooth_pose(
    pose: Pose, pivot: Array, weights: Array, rate_hz: float, config: ReconstructionConfig
) -> tuple[Array, Array, Array]:
    """Rotation (T, 3) axis-angle, translation (T, 3), scale (T,), smoothed where the weights allow.

    The place in the picture of the `pivot` (3,), the middle of the rigid points, is what is smoothed, not that of the
    model's origin: so the face stays where it is seen even where its turning is smoothed more strongly.
    """
    trusted = int(np.argmax(weights))
    center = Rotation.from_matrix(pose.matrix[trusted])
    # Angles relative to one frame's stay far from the wrap of the axis-angle.
    relative = (Rotation.from_matrix(pose.matrix) * center.inv()).as_rotvec()
    turned = Rotation.from_rotvec(smooth(relative, weights, rate_hz, config.rotation_cutoff_hz)) * center
    seen = pose.translation + pose.scale[:, None] * (pose.matrix @ pivot)
    place = smooth(np.column_stack([seen, np.log(pose.scale)]), weights, rate_hz, config.pose_cutoff_hz)
    scale = np.exp(place[:, 3])
    return turned.as_rotvec(), place[:, :3] - scale[:, None] * turned.apply(pivot), scale


def _frame_weights(pose: Pose, rigid: Array, observed: Array, outlier_cm: float) -> Array:
    """(T,) 1 for frames whose rigid points fit, falling to 0 for those that do not."""
    miss = np.linalg.norm(unproject(observed, pose) - rigid, axis=-1)
    usual = np.median(miss, 1)
    excess = usual - np.median(usual)
    return np.asarray(1.0 / (1.0 + (np.maximum(excess, 0) / outlier_cm) ** 4))


def _solve_identity(
    shape: Array, expression: Array, weights: Array, model: FaceModel, axes: Array, noise_cm: float
) -> Array:
    """(I,) ridge solution over the frames' weighted mean shape."""
    points = np.union1d(model.local, model.rigid)
    moved = np.tensordot(expression, model.expression_basis[:, points], 1)
    mean = np.tensordot(weights / weights.sum(), shape[:, points] - moved, 1) - model.neutral[points]
    basis = (model.identity_basis[:, points] * np.sqrt(axes)).reshape(model.identities, -1)
    normal = basis @ basis.T + noise_cm**2 * np.eye(model.identities)
    return np.asarray(np.linalg.solve(normal, basis @ (mean * np.sqrt(axes)).ravel()))


def _solve_expression(
    shape: Array,
    identity: Array,
    weights: Array,
    model: FaceModel,
    axes: Array,
    config: ReconstructionConfig,
    rate_hz: float,
) -> Array:
    """(T, K) ridge solution, smoothed in time.

    In the eigenbasis of the data term the coefficients do not depend on each other, so each is a smoothing
    problem of its own.
    """
    rest = model.of(identity.astype(np.float32)).local_neutral
    root = np.sqrt(axes * model.importance[:, None])
    basis = (model.reach_basis * root).reshape(model.expressions, -1).astype(np.float64)
    miss = ((shape[:, model.local] - rest) * root).reshape(len(shape), -1)
    stiffness, modes = np.linalg.eigh(basis @ basis.T + config.noise_cm**2 * np.eye(model.expressions))
    raw = miss @ basis.T @ modes / stiffness
    return smooth(raw, weights, rate_hz, config.expression_cutoff_hz) @ modes.T


def local_misfit_cm(model: FaceModel, track: Track, reconstruction: Reconstruction) -> NDArray[np.float64]:
    """Mean distance in the image of the local region's landmarks from their reconstruction: (T,) cm."""
    shape = model.of(reconstruction.identity).local_shape(reconstruction.expression)
    seen = project(np.asarray(shape, np.float32), reconstruction, slice(None))[..., :2]
    return np.asarray(
        np.linalg.norm(seen - track.landmarks[:, model.local, :2], axis=-1).mean(1) / reconstruction.scale, np.float64
    )
