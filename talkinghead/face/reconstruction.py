"""Local 3D reconstruction: from a clip's landmarks to identity, expression and pose of the lower face.

Solves, robustly and for all frames at once,

    sum_t w_t | landmarks_t - (scale_t R_t (neutral + A identity + B expression_t) + translation_t) |^2
        + priors on identity and expression + smoothness in time of pose and expression

by alternating over pose, identity and expression. Pose is fitted to the rigid points of the upper face alone (see
`pose`), so that it does not follow the mouth; given the pose, identity and expression are linear problems with closed
solutions. A frame without a face, or one whose rigid points do not fit, has a weight of 0 or near 0 and is bridged by
the smoothness.

Patent: local 3D reconstruction, which gives the initial local reconstruction coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import NoFaceError
from talkinghead.face.face_model import FaceModel
from talkinghead.face.pose import Pose, fit_similarity, unproject
from talkinghead.face.rotations import Array, axis_angles, rotation_matrices
from talkinghead.face.topology import MESH_VERTICES
from talkinghead.structures import FloatArray, Reconstruction, Track


@dataclass(frozen=True)
class ReconstructionConfig:
    """Weights, cutoff frequencies and iterations of the solution."""

    pose_cutoff_hz: float = 5.0
    """Cutoff of the head's position and scale in the image, Hz: faster motion is taken for noise."""
    rotation_cutoff_hz: float = 2.0
    """Cutoff of the head's rotation, Hz: lower, since rotation depends on the landmarks' noisy depth."""
    expression_cutoff_hz: float = 11.0
    """Cutoff of the expression, Hz: high, since lips close and open within 60 ms."""
    depth_weight: float = 0.3
    """Weight of the landmarks' z against x and y: z is a network's guess and not an observation."""
    noise_cm: float = 0.06
    """Standard deviation of a landmark's error, cm, which sets the strength of the priors on the coefficients."""
    iterations: int = 4
    """Rounds of alternation over pose, identity and expression."""
    outlier_cm: float = 0.35
    """Excess residual of a frame's rigid points over that of a typical frame, cm, at which its weight is halved."""


def reconstruct(
    track: Track, model: FaceModel, config: ReconstructionConfig | None = None, identity: FloatArray | None = None
) -> Reconstruction:
    """Reconstruct every frame of a tracked clip.

    Args:
        track: landmarks of T frames.
        model: the face model.
        config: weights; None for the default.
        identity: (I,) identity coefficients of the person, which are left as they are; None solves for them.

    Returns:
        Coefficients, poses and misfits of all T frames. Frames that are invalid or outliers are marked invalid, and
        their coefficients are interpolated.

    Raises:
        NoFaceError: no frame of the track is valid.
    """
    config = config or ReconstructionConfig()
    if not track.valid.any():
        raise NoFaceError("No frame of the clip shows a usable face.")
    smoothing = _Smoothing(frame_rate_of(track), track.cuts)
    # From image axes (y down, z away from the viewer) to the model's (y up, z towards the viewer).
    observed = track.landmarks[:, :MESH_VERTICES].astype(np.float64) * (1, -1, -1)  # (T, 468, 3)
    weights = track.valid.astype(np.float64)
    axes = np.array([1.0, 1.0, config.depth_weight])

    solved = np.zeros(model.identities) if identity is None else identity.astype(np.float64)
    expression = np.zeros((len(track), model.expressions))
    for _ in range(config.iterations):
        rigid = model.neutral[model.rigid] + np.tensordot(solved, model.identity_basis[:, model.rigid], 1)
        pose = fit_similarity(rigid, observed[:, model.rigid], axes)
        weights = track.valid * _frame_weights(pose, rigid, observed[:, model.rigid], config.outlier_cm)
        # In the head's own frame, what is left of the landmarks is linear in identity and expression.
        shape = unproject(observed, pose)  # (T, 468, 3) cm
        if identity is None:
            solved = _solve_identity(shape, expression, weights, model, axes, config.noise_cm)
        expression = _solve_expression(shape, solved, weights, model, axes, config, smoothing)
    rotation, translation, scale = _smooth_pose(pose, rigid.mean(0), weights, config, smoothing)
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
    """Project model points into the image by scaled orthography.

    Args:
        shape: (T, V, 3) points, cm.
        reconstruction: of which the poses are used.
        frames: the T frames of the reconstruction whose poses these are.

    Returns:
        (T, V, 3) float32 px: x, y in the image, z in the same unit, smaller is nearer.
    """
    rotated = np.einsum("tij,tvj->tvi", rotation_matrices(reconstruction.rotation[frames]), shape)
    projected = rotated * (np.array([1, -1, -1]) * reconstruction.scale[frames, None, None])
    projected[..., :2] += reconstruction.translation[frames, None]
    return np.asarray(projected, np.float32)


def frame_rate_of(track: Track | Reconstruction) -> float:
    """Frames per second by the frames' timestamps: from their median step, so that a gap does not count."""
    if len(track) < 2:
        return 25.0
    return float(1.0 / np.median(np.diff(track.times_s)))


def smooth(values: Array, weights: Array, rate_hz: float, cutoff_hz: float) -> Array:
    """Whittaker smoothing along time (Eilers 2003, A perfect smoother).

    Minimizes weights * (result - values)^2 + penalty * (second difference of the result)^2. The penalty is chosen so
    that a sine at `cutoff_hz` keeps half of its amplitude. Entries of weight 0 are bridged.

    Args:
        values: (T, D) curves.
        weights: (T,) >= 0, of each moment.
        rate_hz: sample rate of the curves.
        cutoff_hz: frequency of half amplitude.

    Returns:
        (T, D) smoothed curves.
    """
    count = len(values)
    if count < 3:  # no second difference: what has weight stays, the rest takes the mean
        weighted = (weights[:, None] * values).sum(0) / max(weights.sum(), 1e-9)
        return np.where(weights[:, None] > 0, values, weighted)
    # A sine of frequency f has second differences (2 sin(pi f / rate))^2 times as large as itself; their square times
    # the penalty must be 1 at the cutoff. The cutoff is capped at the Nyquist frequency.
    penalty = (2 * np.sin(np.pi * min(cutoff_hz / rate_hz, 0.5))) ** -4
    # Upper bands of penalty * D'D, where D takes second differences (1, -2, 1): row 2 is the diagonal, row 0 the
    # second diagonal above it, as `solveh_banded` wants them. Every second difference starts at one of count - 2
    # entries and adds the products of its coefficients at their two offsets.
    bands = np.zeros((3, count))
    for offset, coefficient in ((0, 1.0), (1, -2.0), (2, 1.0)):
        for other, factor in ((0, 1.0), (1, -2.0), (2, 1.0)):
            if other >= offset:
                start = other
                bands[2 - (other - offset), start : count - 2 + other] += penalty * coefficient * factor
    bands[2] += weights + 1e-9  # 1e-9 keeps the system definite where nothing has weight
    from scipy.linalg import solveh_banded  # it takes longer to import than to run, and only new clips need it

    return np.asarray(solveh_banded(bands, weights[:, None] * values))


@dataclass(frozen=True)
class _Smoothing:
    """Smoothing along time within each shot of a clip: nothing is continued over a cut."""

    rate_hz: float
    """Frames per second."""
    cuts: NDArray[np.int64]
    """(C,) first frames of the shots but the first."""

    def __call__(self, values: Array, weights: Array, cutoff_hz: float) -> Array:
        """As `smooth`. A shot in which no frame has weight takes the values of the nearest frames that have."""
        known = np.flatnonzero(weights > 0)
        shots = zip(np.split(values, self.cuts), np.split(weights, self.cuts), strict=True)
        first, smoothed = 0, []
        for part, weight in shots:
            if len(known) and not weight.any():
                nearest = np.abs(np.arange(first, first + len(part))[:, None] - known).argmin(1)
                smoothed.append(values[known[nearest]])
            else:
                smoothed.append(smooth(part, weight, self.rate_hz, cutoff_hz))
            first += len(part)
        return np.concatenate(smoothed)


def _smooth_pose(
    pose: Pose, pivot: Array, weights: Array, config: ReconstructionConfig, smoothing: _Smoothing
) -> tuple[Array, Array, Array]:
    """Smooth the poses along time, bridging frames of weight 0.

    Args:
        pose: of T frames.
        pivot: (3,) cm, the middle of the rigid points.
        weights: (T,) of the frames.
        config: of which the cutoffs are used.
        smoothing: of this clip.

    Returns:
        Rotation (T, 3) as axis-angle in radians, translation (T, 3) px with y up, scale (T,) px per cm.
    """
    # Rotations are smoothed relative to that of one reliable frame, which stays far from the wrap of the axis-angle.
    reference = pose.matrix[int(np.argmax(weights))]
    relative = axis_angles(pose.matrix @ reference.T)
    rotation = rotation_matrices(smoothing(relative, weights, config.rotation_cutoff_hz)) @ reference
    # What is smoothed is the projection of the pivot, and not that of the model's origin: so the face stays where it
    # was observed although its rotation is smoothed more strongly. The scale is smoothed as a logarithm, to stay > 0.
    projected = pose.translation + pose.scale[:, None] * (pose.matrix @ pivot)
    smoothed = smoothing(np.column_stack([projected, np.log(pose.scale)]), weights, config.pose_cutoff_hz)
    scale = np.exp(smoothed[:, 3])
    # Back from the pivot to the origin, by the smoothed rotation.
    return axis_angles(rotation), smoothed[:, :3] - scale[:, None] * (rotation @ pivot), scale


def _frame_weights(pose: Pose, rigid: Array, observed: Array, outlier_cm: float) -> Array:
    """(T,) weights of frames: 1 where the rigid points fit, falling to 0 where they do not."""
    residual = np.linalg.norm(unproject(observed, pose) - rigid, axis=-1)  # (T, R) cm
    typical = np.median(residual, 1)
    # Every frame shares the residual of a neutral shape that is not this person's: only what is beyond it counts.
    excess = typical - np.median(typical)
    return np.asarray(1.0 / (1.0 + (np.maximum(excess, 0) / outlier_cm) ** 4))


def _solve_identity(
    shape: Array, expression: Array, weights: Array, model: FaceModel, axes: Array, noise_cm: float
) -> Array:
    """Solve for the identity (I,) by ridge regression on the frames' weighted mean shape.

    `shape` (T, 468, 3) are the landmarks in the head's frame, cm; `expression` (T, K) is taken as given.
    """
    points = np.union1d(model.local, model.rigid)
    # The identity is the same in all frames, so only their mean matters, once the expression is taken off.
    offsets = np.tensordot(expression, model.expression_basis[:, points], 1)  # (T, P, 3)
    mean = np.tensordot(weights / weights.sum(), shape[:, points] - offsets, 1) - model.neutral[points]  # (P, 3)
    # The roots of the axes' weights on both sides make the ordinary normal equations weighted ones. The prior is one
    # standard deviation for every coefficient, so its weight is the variance of the landmarks.
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
    smoothing: _Smoothing,
) -> Array:
    """Solve for the expression (T, K) by ridge regression in every frame, then smooth it in time.

    `shape` (T, 468, 3) are the landmarks in the head's frame, cm.
    """
    # Offsets from the person's face at rest, weighted by axis and by how much each vertex counts.
    rest = model.of(identity.astype(np.float32)).local_neutral
    root = np.sqrt(axes * model.importance[:, None])
    basis = (model.reach_basis * root).reshape(model.expressions, -1).astype(np.float64)
    residual = ((shape[:, model.local] - rest) * root).reshape(len(shape), -1)  # (T, 3 V)
    # In the eigenbasis of the data term the coefficients are independent of each other, so that each can be smoothed
    # by itself; the ridge solution is a division by the eigenvalues there.
    stiffness, modes = np.linalg.eigh(basis @ basis.T + config.noise_cm**2 * np.eye(model.expressions))
    raw = residual @ basis.T @ modes / stiffness
    return smoothing(raw, weights, config.expression_cutoff_hz) @ modes.T


def local_misfit_cm(model: FaceModel, track: Track, reconstruction: Reconstruction) -> NDArray[np.float64]:
    """Mean distance in the image of the local region's landmarks from their reconstruction, in cm of the face.

    Args:
        model: the face model.
        track: landmarks of T frames.
        reconstruction: of the same frames.

    Returns:
        (T,) float64, of no meaning in frames that are not valid.
    """
    shape = model.of(reconstruction.identity).local_shape(reconstruction.expression)
    projected = project(np.asarray(shape, np.float32), reconstruction, slice(None))[..., :2]
    return np.asarray(
        np.linalg.norm(projected - track.landmarks[:, model.local, :2], axis=-1).mean(1) / reconstruction.scale,
        np.float64,
    )
