"""A drawn person who talks: clips whose coefficients, images and audio are known because they were made here.

The head is the project's own face model: its 468 vertices, triangulated and shaded, with eyes, brows, lips and teeth
painted over them, hair and neck behind. Everything comes from a seed; there is no image file and no real person.
Motion is a function of continuous time, so that the same performance can be drawn at any frame rate.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.spatial import Delaunay

from talkinghead.face.face_model import FaceModel, load_face_model
from talkinghead.face.reconstruction import project
from talkinghead.face.topology import INNER_LIP_LOWER, INNER_LIP_UPPER
from talkinghead.media.video_writer import VideoWriter
from talkinghead.network.rasterize import rasterize
from talkinghead.structures import Audio, ByteArray, FloatArray, Frame, Reconstruction
from talkinghead.weights.bundled import checkpoint_path

Array = NDArray[np.float64]

SIZE = 256
RATE_HZ = 16000
OVERSAMPLING = 2
SYLLABLES_HZ = 3.0
CLOSED_CM = 0.03
WIDE_CM = 1.5
"""Gap between the lips in silence, and what the loudest audio adds to it."""

# Contours on MediaPipe's face mesh, each a closed loop of landmark numbers.
# fmt: off
OUTER_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
INNER_LIPS = (*INNER_LIP_LOWER, *INNER_LIP_UPPER[-2:0:-1])
EYES = ((33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
        (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466))
UPPER_LIDS = ((33, 246, 161, 160, 159, 158, 157, 173, 133), (263, 466, 388, 387, 386, 385, 384, 398, 362))
BROWS = ((70, 63, 105, 66, 107, 55, 65, 52, 53, 46), (300, 293, 334, 296, 336, 285, 295, 282, 283, 276))
NOSE_WINGS = ((129, 64, 98), (358, 294, 327))
# fmt: on
NOSTRILS = ((98, 97), (327, 326))

THROAT = np.array([60.0, 18, 18])
TEETH = np.array([225.0, 218, 200])
BETWEEN_TEETH = np.array([150.0, 135, 120])
EYE_WHITE = np.array([235.0, 232, 228])
PUPIL = np.array([12.0, 10, 10])
GLINT = np.array([250.0, 250, 250])


@dataclass(frozen=True)
class DrawnPerson:
    """Who is drawn. Colors are (3,) RGB in [0, 255]."""

    identity: FloatArray
    """(I,) of the face model."""
    skin: Array
    lips: Array
    hair: Array
    iris: Array
    shirt: Array
    background: Array
    mottling: FloatArray
    """(128, 128) about 0, a pattern of the skin that stays in its place on the head."""


@dataclass(frozen=True)
class Performance:
    """What is done, at any time; both splines are read at seconds."""

    loudness: CubicSpline
    """About 0 when silent, about 1 at the loudest; the mouth opens with it."""
    manner: CubicSpline
    """(K,) coefficients that have nothing to do with the loudness; the first is not used."""
    sway: CubicSpline
    """(6,) rotation in radians, translation in shares of the image's width, scale as a logarithm."""


@dataclass(frozen=True)
class DrawnClip:
    """A clip and everything that is true of it."""

    path: Path
    truth: Reconstruction
    times_s: Array
    opening: FloatArray
    """(T,) as the face model counts it: gap between the lips over the width of the face."""
    audio: Audio


@functools.cache
def face_model() -> FaceModel:
    return load_face_model(checkpoint_path("face_model.safetensors"))


def person(seed: int) -> DrawnPerson:
    """One of any number of people."""
    draw = np.random.default_rng((seed, 1))
    lightness = draw.uniform(0.6, 1.0)
    skin = lightness * (np.array([226.0, 178, 150]) + draw.normal(0, 6, 3))
    rough = draw.normal(size=(128, 128)).astype(np.float32)
    mottling = cv2.GaussianBlur(rough, (0, 0), 1.2) * 2 + cv2.GaussianBlur(rough, (0, 0), 5) * 6
    return DrawnPerson(
        identity=draw.normal(0, 0.7, face_model().identities).astype(np.float32),
        skin=skin,
        lips=skin * (0.82, 0.5, 0.5),
        hair=draw.uniform(15, 90) * np.array([1.0, 0.75, 0.55]),
        iris=draw.uniform(30, 110, 3),
        shirt=draw.uniform(30, 160, 3),
        background=draw.uniform(70, 170, 3),
        mottling=(mottling / mottling.std()).astype(np.float32),
    )


def performance(seconds: float, seed: int) -> Performance:
    """Syllables at a talking pace, with pauses, while the head sways a little."""
    draw = np.random.default_rng((seed, 2))
    beats = np.arange(-2, int(np.ceil((seconds + 1) * 2 * SYLLABLES_HZ)) + 2)
    loudness = np.where(beats % 2, draw.uniform(0.45, 1.0, len(beats)), draw.uniform(0.0, 0.25, len(beats)))
    pause = np.isin((beats // 4) % 4, 3)  # two syllables in eight are left out
    expressions = face_model().expressions
    slow = np.arange(-2, int(np.ceil(seconds)) + 4) / 1.5
    size = np.array([0.03, 0.06, 0.03, 0.012, 0.008, 0.01])
    manner = draw.normal(0, 0.5, (len(beats), expressions)) * (np.arange(expressions) < 6)
    return Performance(
        loudness=CubicSpline(beats / (2 * SYLLABLES_HZ), np.where(pause, 0.0, loudness)),
        manner=CubicSpline(beats / (2 * SYLLABLES_HZ), manner * ~pause[:, None]),
        sway=CubicSpline(slow * 1.5, draw.uniform(-1, 1, (len(slow), 6)) * size),
    )


def perform(who: DrawnPerson, what: Performance, times_s: Array, size_px: int = SIZE) -> Reconstruction:
    """The coefficients of a performance at some times, (T,) seconds."""
    model = face_model()
    upper, lower = model.neutral[[13, 14], 1] + who.identity @ model.identity_basis[:, [13, 14], 1]
    gap_per_sigma = model.expression_basis[:, 13, 1] - model.expression_basis[:, 14, 1]
    expression = what.manner(times_s)
    # The first coefficient opens the mouth: it is set so that the gap is the wanted one, whatever the others add.
    wanted_cm = CLOSED_CM + WIDE_CM * np.clip(what.loudness(times_s), 0, None)
    expression[:, 0] = (wanted_cm - (upper - lower) - expression[:, 1:] @ gap_per_sigma[1:]) / gap_per_sigma[0]
    sway = what.sway(times_s)
    return Reconstruction(
        identity=who.identity,
        expression=expression.astype(np.float32),
        rotation=sway[:, :3].astype(np.float32),
        translation=((sway[:, 3:5] + (0.5, 0.49)) * size_px).astype(np.float32),
        scale=(size_px * 0.031 * np.exp(sway[:, 5])).astype(np.float32),
        valid=np.ones(len(times_s), np.bool_),
        times_s=np.asarray(times_s, np.float64),
        misfit_cm=np.zeros(len(times_s)),
    )


def audio_of(what: Performance, seconds: float) -> Audio:
    """A buzz with the formants of a vowel, as loud as the mouth is open; silence while it is closed."""
    times_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    loudness = np.clip(what.loudness(times_s) - 0.1, 0, 1.2)
    harmonics = np.arange(1, 30) * 120.0
    formants = sum(np.exp(-(((harmonics - center) / 150) ** 2)) for center in (700.0, 1200.0, 2500.0))
    buzz = np.sin(2 * np.pi * harmonics * times_s[:, None]) @ (formants + 0.02)
    return Audio((0.5 * loudness * buzz / np.abs(buzz).max()).astype(np.float32), RATE_HZ)


def draw_frames(who: DrawnPerson, seen: Reconstruction, size_px: int = SIZE) -> Iterator[ByteArray]:
    """(size, size, 3) uint8 images of a person with these coefficients."""
    model = face_model()
    rest = model.neutral + np.tensordot(who.identity, model.identity_basis, 1)
    backdrop = _backdrop(who, size_px * OVERSAMPLING)
    for t in range(len(seen)):
        canvas = _Canvas(backdrop.copy(), seen.select(np.array([t])))
        moved = rest + np.tensordot(seen.expression[t], model.expression_basis, 1)
        _draw_behind(canvas, who)
        _draw_skin(canvas, who, moved, rest)
        _draw_features(canvas, who, moved, rest)
        yield np.asarray(cv2.resize(canvas.image, (size_px, size_px), interpolation=cv2.INTER_AREA))


def drawn_clip(
    path: Path,
    seconds: float,
    fps: Fraction | float = 25,
    *,
    seed: int = 0,
    spoken: int = 0,
    size_px: int = SIZE,
    times_s: Array | None = None,
    with_audio: bool = True,
) -> DrawnClip:
    """Write a clip of a talking person.

    Args:
        path: .mp4 to write; its audio is left beside it as .wav.
        seconds: length, of frames and audio alike.
        fps: frames a second.
        seed: the person.
        spoken: what is said and how the head moves.
        size_px: side of the image, in pixels.
        times_s: (T,) for a variable rate; None for a constant one.
        with_audio: False for a clip without an audio stream.
    """
    rate = Fraction(fps).limit_denominator(1001)
    if times_s is None:
        times_s = np.arange(int(np.ceil(round(seconds * float(rate), 6)))) / float(rate)
    who, what = person(seed), performance(seconds, spoken)
    truth = perform(who, what, times_s, size_px)
    audio = audio_of(what, seconds)
    wav = path.with_suffix(".wav")
    soundfile.write(wav, audio.samples, audio.rate_hz)
    write_frames(path, draw_frames(who, truth, size_px), times_s, rate, wav if with_audio else None)
    return DrawnClip(path, truth, times_s, face_model().of(truth.identity).opening(truth.expression), audio)


def write_frames(
    path: Path, images: Iterator[ByteArray], times_s: Array, rate: Fraction, audio_from: Path | None = None
) -> Path:
    """Write square images as a clip."""
    first = next(images)
    height, width = first.shape[:2]
    with VideoWriter(path, width, height, frame_rate=rate, audio_from=audio_from) as writer:
        writer.write(Frame(first, float(times_s[0])))
        for image, time_s in zip(images, times_s[1:], strict=True):
            writer.write(Frame(image, float(time_s)))
    return path


def with_expression(seen: Reconstruction, expression: FloatArray) -> Reconstruction:
    """The same head in the same poses with another expression: (K,) or (T, K)."""
    return dataclasses.replace(seen, expression=np.broadcast_to(expression, seen.expression.shape).astype(np.float32))


@dataclass
class _Canvas:
    """An image that is drawn in at a larger size, and one head's pose in it. Points are (n, 3) cm on the head."""

    image: ByteArray
    """(H, W, 3) RGB."""
    pose: Reconstruction

    @property
    def px_per_cm(self) -> float:
        return float(self.pose.scale[0]) * OVERSAMPLING

    def place(self, points: Array | FloatArray) -> FloatArray:
        """Where points are seen: (n, 3) pixels of the canvas."""
        return project(np.asarray(points, np.float32)[None], self.pose, slice(None))[0] * OVERSAMPLING

    def fill(self, points: Array | FloatArray, color: Array) -> None:
        cv2.fillPoly(self.image, [_fixed(self.place(points))], tuple(color), cv2.LINE_AA, shift=4)

    def line(self, points: Array | FloatArray, color: Array, width_cm: float) -> None:
        width_px = max(1, round(width_cm * self.px_per_cm))
        cv2.polylines(self.image, [_fixed(self.place(points))], False, tuple(color), width_px, cv2.LINE_AA, shift=4)

    def ellipse(self, center: Array, radii_cm: tuple[float, float], color: Array) -> None:
        angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        self.fill(center + np.stack([radii_cm[0] * np.cos(angle), radii_cm[1] * np.sin(angle), 0 * angle], 1), color)

    def show_through(self, contour: Array | FloatArray, behind: _Canvas) -> None:
        """Put in what another canvas has inside a closed contour."""
        mask = np.zeros(self.image.shape[:2], np.uint8)
        cv2.fillPoly(mask, [_fixed(self.place(contour))], 1, shift=4)
        cv2.copyTo(behind.image, mask, self.image)


def _backdrop(who: DrawnPerson, side: int) -> ByteArray:
    """A studio wall, lighter in the middle, and a shirt before it."""
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    light = 1.25 - 0.9 * ((x - 0.45) ** 2 + (y - 0.4) ** 2)
    image = (who.background * light[..., None]).clip(0, 255).astype(np.uint8)
    shoulders = np.array([[0, 1], [0.04, 0.93], [0.3, 0.86], [0.5, 0.88], [0.7, 0.86], [0.96, 0.93], [1, 1]])
    cv2.fillPoly(image, [_fixed(shoulders * side)], tuple(who.shirt), cv2.LINE_AA, shift=4)
    return image


def _draw_behind(canvas: _Canvas, who: DrawnPerson) -> None:
    """Hair, neck and ears."""
    canvas.ellipse(np.array([0, 3.5, -3.0]), (8.3, 8.0), who.hair)
    neck = np.array([[-4.4, -3, -4], [4.4, -3, -4], [4.8, -13, -4], [0, -15, -3], [-4.8, -13, -4]])
    canvas.fill(neck, who.skin * 0.6)
    for side in (-1, 1):
        canvas.ellipse(np.array([7.3 * side, 0.8, -4.0]), (0.9, 2.0), who.skin * 0.75)


def _draw_skin(canvas: _Canvas, who: DrawnPerson, moved: Array | FloatArray, rest: Array | FloatArray) -> None:
    """The face, lit from the upper left; its mottling keeps its place on the head."""
    height, width = canvas.image.shape[:2]
    light = np.array([-0.35, 0.45, 0.82])
    lit = 0.42 + 0.62 * np.clip(_normals(rest) @ light, 0, 1) ** 0.8
    attributes = np.concatenate([lit[:, None], face_model().neutral[:, :2]], 1).astype(np.float32)
    seen = torch.from_numpy(canvas.place(moved))[None]
    values, coverage = rasterize(seen, torch.from_numpy(_triangles()), torch.from_numpy(attributes), height, width)
    lit_px, x, y = values[0].numpy()
    mottling = cv2.remap(who.mottling, x * 8 + 64, y * 6 + 64, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    mask = coverage[0, 0].numpy() > 0
    lit_px *= 1 + 0.035 * mottling
    canvas.image[mask] = (who.skin * lit_px[mask, None]).clip(0, 255)


def _draw_features(canvas: _Canvas, who: DrawnPerson, moved: Array | FloatArray, rest: Array | FloatArray) -> None:
    for wing, (a, b) in zip(NOSE_WINGS, NOSTRILS, strict=True):
        canvas.line(moved[list(wing)], who.skin * 0.6, 0.2)
        canvas.ellipse((moved[a] + moved[b]) / 2 + (0, 0.1, 0.3), (0.42, 0.2), who.skin * 0.4)
    canvas.fill(moved[list(OUTER_LIPS)], who.lips)
    canvas.show_through(moved[list(INNER_LIPS)], _mouth_inside(canvas, moved, rest))
    for eye, lid in zip(EYES, UPPER_LIDS, strict=True):
        canvas.show_through(moved[list(eye)], _eyeball(canvas, who, moved[list(eye)].mean(0)))
        canvas.line(moved[list(lid)], who.hair * 0.5, 0.2)
    for brow in BROWS:
        canvas.fill(moved[list(brow)], 0.75 * who.hair + 0.25 * who.skin)


def _mouth_inside(canvas: _Canvas, moved: Array | FloatArray, rest: Array | FloatArray) -> _Canvas:
    """Dark, with the upper teeth in it, which stand still on the skull and lie in the lips' shadow."""
    light = np.clip((moved[13, 1] - moved[14, 1]) / 0.5, 0.15, 1)
    inside = _Canvas(np.full_like(canvas.image, THROAT), canvas.pose)
    top, depth = rest[13, 1] + 0.1, rest[13, 2] - 0.6
    bottom = top - 0.55
    inside.fill(
        np.array([[-1.7, top, depth], [1.7, top, depth], [1.5, bottom, depth], [-1.5, bottom, depth]]),
        light * TEETH,
    )
    for x in np.linspace(-1.4, 1.4, 7):
        inside.line(np.array([[x, top, depth], [x, bottom, depth]]), light * BETWEEN_TEETH, 0.05)
    return inside


def _eyeball(canvas: _Canvas, who: DrawnPerson, center: Array) -> _Canvas:
    ball = _Canvas(np.full_like(canvas.image, EYE_WHITE), canvas.pose)
    ball.ellipse(center, (0.62, 0.62), who.iris)
    ball.ellipse(center, (0.28, 0.28), PUPIL)
    ball.ellipse(center + np.array([-0.2, 0.22, 0]), (0.12, 0.12), GLINT)
    return ball


@functools.cache
def _triangles() -> NDArray[np.int64]:
    """(F, 3) over the whole face: Delaunay's of its front view, without slivers along the edge."""
    flat = face_model().neutral[:, :2].astype(np.float64)
    return Delaunay(flat).simplices.astype(np.int64)


def _normals(shape: Array | FloatArray) -> Array:
    """(468, 3) unit normals of the vertices, towards the viewer."""
    corners = shape[_triangles()]
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).astype(np.float64)
    facing *= np.sign(facing[:, 2:])
    normals = np.zeros((len(shape), 3))
    for corner in range(3):
        np.add.at(normals, _triangles()[:, corner], facing)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)


def _fixed(points: Array | FloatArray) -> NDArray[np.int32]:
    """(n, 2 or 3) pixels with centers at +0.5 -> OpenCV's whole-number centers, in sixteenths."""
    return np.round((points[:, :2] - 0.5) * 16).astype(np.int32)
