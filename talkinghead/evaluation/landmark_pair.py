"""Landmarks of an output beside those of its reference, and the 3D lower face of the person in a clip."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from talkinghead import metrics
from talkinghead.face.face_model import load_face_model
from talkinghead.face.reconstruction import reconstruct
from talkinghead.face.region_removal import Crops, crop_size_px, local_region, paste_back, place_crops, region_masks
from talkinghead.face.topology import JAW_LANDMARKS, MOUTH_LANDMARKS
from talkinghead.structures import BoolArray, FloatArray, Reconstruction, Track
from talkinghead.weights.bundled import checkpoint_path

Values = NDArray[np.float64]

JITTER_LANDMARKS = MOUTH_LANDMARKS + JAW_LANDMARKS
"""Landmarks in the part of the face that an output draws anew, where jitter is measured."""
_MM_PER_UNIT = 10  # the face model is in centimeters


class LocalFace:
    """The lower face of the person in a clip: its 3D mesh in every frame, and where an output would be pasted.

    Attributes:
        person: the face model with the person's identity.
    """

    def __init__(self, track: Track) -> None:
        """Reconstruct the face of a track.

        Raises:
            NoFaceError: no frame of the track is valid.
        """
        self._model = load_face_model(checkpoint_path("face_model.safetensors"))
        self._reconstruction = reconstruct(track, self._model)
        self.person = self._model.of(self._reconstruction.identity)
        self._lips = [self._model.local_index[number] for number in MOUTH_LANDMARKS]
        self._lips_mm = self._lip_vertices_mm(self._reconstruction)
        self._region = local_region(self.person)
        size_px = crop_size_px(self._region, self._reconstruction)
        self._crops = place_crops(self._region, self._reconstruction, size_px)

    @property
    def reconstruction(self) -> Reconstruction:
        """Of the clip's frames."""
        return self._reconstruction

    @property
    def landmarks(self) -> list[int]:
        """Numbers of the landmarks that the mesh of the lower face consists of."""
        return [int(number) for number in self._model.local]

    def _lip_vertices_mm(self, reconstruction: Reconstruction) -> FloatArray:
        """(T, 20, 3) lip vertices without head pose."""
        shape = self._model.of(reconstruction.identity).local_shape(reconstruction.expression)
        return np.asarray(_MM_PER_UNIT * shape[:, self._lips], np.float32)

    def lip_error_mm(self, aligned: Track) -> Values:
        """(T,) lip vertex error of another track of the same person and times; NaN where either has no face."""
        if not aligned.valid.any():
            return np.full(len(aligned), np.nan)
        other = reconstruct(aligned, self._model, identity=self._reconstruction.identity)
        error = metrics.lip_vertex_error(self._lip_vertices_mm(other), self._lips_mm)
        return np.where(other.valid & self._reconstruction.valid, error, np.nan)

    def pasted(self, frame: int, shape: tuple[int, ...]) -> BoolArray:
        """(H, W) pixels of the lower face in a frame, by identity and pose alone, with the edge at half feathering."""
        place = Crops(self._crops.to_frame[[frame]], self._crops.size_px)
        _, feathers = region_masks(self._region, self._reconstruction.select(np.array([frame])), place)
        white = np.ones((*self._crops.size_px, 3), np.float32)
        pasted = paste_back(np.zeros(shape, np.uint8), white, feathers[0], place.to_frame[0])
        return np.asarray(pasted[..., 0] > 127)


@dataclass(frozen=True)
class LandmarkCurves:
    """Curves of an output over time, at the reference's times."""

    opening: Values
    """(T,) mouth opening over face width."""
    lmd_px: Values
    """(T,) mouth landmark distance, px of a 512 px image."""
    mouth_px: Values
    """(T, 20, 2) mouth landmarks minus their centroid, px of a 512 px image."""
    lags_ms: Values
    """(S,) lags of the output."""
    lag_r: Values
    """(S,) correlation of the openings at each lag."""


@dataclass(frozen=True)
class AudioLagScores:
    """What the lag of the reference's audio says about an output; NaN where it is not known."""

    lag_ms: float = math.nan
    """Of the reference's audio, > 0 where it is late."""
    r: float = math.nan
    """Correlation of the openings with that lag taken out."""
    taken_out_s: float = 0.0
    """By how much later the output is compared than at the reference's times."""


class LandmarkPair:
    """Landmarks of an output and its reference, frame by frame at the reference's times and in its pixels.

    Every landmark metric is computed from this (evaluation/registry.py).

    Attributes:
        output: the output's track, valid in the frames where both show a face.
        reference: the reference's track, valid in the same frames.
        audio_lag_ms: lag of the reference's audio, ms; NaN where it is not known.
        audio_lag_r: correlation of the openings with that lag taken out; NaN where it is not known.
    """

    def __init__(
        self, output: Track, reference: Track, face: LocalFace, audio_lag: AudioLagScores | None = None
    ) -> None:
        """Align an output with its reference.

        Args:
            output: as it is.
            reference: to whose times and pixels the output is brought.
            face: the reference's.
            audio_lag: what is known of the lag of the reference's audio.
        """
        known = audio_lag or AudioLagScores()
        self._both_as_they_are = _both_valid(output, reference)
        output = earlier(output, known.taken_out_s)
        self.output, self.reference = _both_valid(output, reference)
        self._face = face
        self.audio_lag_ms, self.audio_lag_r = known.lag_ms, known.r
        # The lag is measured on both clips' own frames: interpolating one of them first would blur it.
        self._own_curves = metrics.opening(output), output.times_s, metrics.opening(reference), reference.times_s

    @cached_property
    def opening(self) -> Values:
        """(T,) mouth opening of the output."""
        return metrics.opening(self.output)

    @cached_property
    def reference_opening(self) -> Values:
        """(T,) mouth opening of the reference."""
        return metrics.opening(self.reference)

    @cached_property
    def lmd_px(self) -> Values:
        """(T,) mouth landmark distance, px of a 512 px image."""
        return metrics.lmd(self.output, self.reference)

    @cached_property
    def lip_error_mm(self) -> Values:
        """(T,) lip vertex error."""
        return self._face.lip_error_mm(self.output)

    @cached_property
    def lag(self) -> metrics.Lag:
        """How late the output's mouth opens."""
        return metrics.best_lag(*self._own_curves)

    @property
    def jitter_ratio(self) -> float:
        """Jitter of mouth and jaw, output over reference."""
        # A lag of half a frame would be taken out by interpolation, which smooths.
        output, reference = (
            metrics.jitter(metrics.points(track, JITTER_LANDMARKS)) for track in self._both_as_they_are
        )
        return metrics.ratio(output, reference)

    @property
    def curves(self) -> LandmarkCurves:
        """What a report draws."""
        lags_ms, lag_r = metrics.lag_curve(*self._own_curves)
        return LandmarkCurves(self.opening, self.lmd_px, mouth_shape_px(self.output), lags_ms, lag_r)


def earlier(track: Track, lag_s: float) -> Track:
    """The same track with its times so many seconds earlier."""
    return replace(track, times_s=track.times_s - lag_s) if lag_s else track


def _both_valid(output: Track, reference: Track) -> tuple[Track, Track]:
    """The output at the reference's times and in its pixels, and the reference, valid where both are."""
    aligned = metrics.align(output, reference)
    scored = aligned.valid & reference.valid
    return replace(aligned, valid=scored), replace(reference, valid=scored)


def mouth_shape_px(track: Track) -> Values:
    """(T, 20, 2) mouth landmarks minus their centroid, px of a 512 px image; NaN without a face."""
    places = metrics.points(track, MOUTH_LANDMARKS)
    scale = metrics.LMD_FRAME_PX / max(track.width, track.height)
    return np.asarray(scale * (places - places.mean(axis=1, keepdims=True)))


def delayed(track: Track, frames: int) -> Track:
    """The same track so many frames late; its first frames show no face."""
    source = np.maximum(np.arange(len(track)) - frames, 0)
    valid = track.valid[source] & (np.arange(len(track)) >= frames)
    return replace(track, landmarks=track.landmarks[source], valid=valid)
