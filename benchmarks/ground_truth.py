"""The whole system against a known truth: the built-in people were computed, not recorded.

    python benchmarks/ground_truth.py [--frames N]

Tracks and reconstructs data/presenter/*.mp4 and compares the result with data/presenter/*.safetensors; then the
built-in anchors render the frames that their training held out, and speak the audio of both clips.
"""

from __future__ import annotations

import argparse
import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from harness import print_report
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from talkinghead import metrics
from talkinghead.anchor import Anchor, load_anchor
from talkinghead.face.face_model import FaceModel
from talkinghead.face.landmarks import FaceLandmarker
from talkinghead.face.reconstruction import reconstruct
from talkinghead.face.region_removal import crop_size_px, local_region, place_crops, region_masks
from talkinghead.face.tracking import track_clip
from talkinghead.files import load_arrays
from talkinghead.generation.driving import expression_from_speech, load_speech_model
from talkinghead.generation.face_updater import FaceUpdater
from talkinghead.media.audio_reader import read_audio
from talkinghead.media.video_reader import VideoReader
from talkinghead.structures import Reconstruction, Track
from talkinghead.training.face_update.config import LoopConfig
from talkinghead.training.face_update.samples import held_out_frames
from talkinghead.weights import registry
from talkinghead.weights.bundled import anchor_folder

DATA = Path(__file__).parents[1] / "data" / "presenter"
CLIPS = {name: DATA / f"{name}.mp4" for name in ("presenter", "henrik")}
MOUTH_68 = slice(48, 68)
MOUTH_MEDIAPIPE = (
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,  # outer contour, from the right corner over the upper lip
    78, 82, 13, 312, 308, 317, 14, 87,  # inner contour
)  # fmt: skip
"""MediaPipe's landmarks at the places of the mouth's twenty among the 68."""
CHIN_68, NOSE_BRIDGE_68 = 8, 27
MOUTH_MARGIN_PX = 12
FRAME_RATE_HZ = 25.0
LABIALS = ("p", "b", "m")


@dataclass(frozen=True)
class Truth:
    """What is known of T frames; data/presenter/README.md says more."""

    landmarks_px: NDArray[np.float32]
    """(T, 68, 2)"""
    rotation: NDArray[np.float64]
    """(T, 3) axis-angle in radians."""
    opening_cm: NDArray[np.float32]
    """(T,)"""
    phones: list[str]
    phone_times_s: NDArray[np.float64]
    """(P, 2)"""

    @classmethod
    def load(cls, name: str) -> Truth:
        arrays, metadata = load_arrays(DATA / f"{name}.safetensors")
        return cls(
            arrays["landmarks_px"],
            Rotation.from_euler("XYZ", arrays["rotation_rad"]).as_rotvec(),
            arrays["opening_cm"],
            json.loads(metadata["about"])["phones"],
            arrays["phone_times_s"],
        )

    def during(self, symbols: tuple[str, ...], times_s: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(T,) True at the times when one of these phones is spoken."""
        spoken = np.zeros(len(times_s), np.bool_)
        for symbol, (start_s, end_s) in zip(self.phones, self.phone_times_s, strict=True):
            if symbol in symbols:
                spoken |= (times_s >= start_s) & (times_s < end_s)
        return spoken


@dataclass(frozen=True)
class Measured:
    """What the project finds in the first frames of a clip."""

    track: Track
    reconstruction: Reconstruction
    opening: NDArray[np.float32]
    """(T,) of the reconstruction, over the width of the face."""


def measure(name: str, model: FaceModel, landmarker: FaceLandmarker, frames: int | None = None) -> Measured:
    """Track and reconstruct the first frames of a clip (None: all)."""
    with VideoReader(CLIPS[name]) as reader:
        track = track_clip(itertools.islice(reader, frames), landmarker, reader.info.width, reader.info.height)
    found = reconstruct(track, model)
    return Measured(track, found, model.of(found.identity).opening(found.expression))


def lips_off_px(measured: Measured, truth: Truth) -> tuple[float, float]:
    """Mean distance of the mouth's landmarks from the known ones; and what is left of it without each point's mean.

    Two models of the face need not mean the same place by a point; but it must move as the true one does.
    """
    off = measured.track.landmarks[:, MOUTH_MEDIAPIPE, :2] - truth.landmarks_px[: len(measured.track), MOUTH_68]
    return _mean_length(off), _mean_length(off - off.mean(0))


def opening_agrees(opening: NDArray[np.floating], truth: Truth) -> float:
    """Correlation of a (T,) opening with the known one."""
    return float(np.corrcoef(opening, truth.opening_cm[: len(opening)])[0, 1])


def pose_off(measured: Measured, truth: Truth) -> tuple[NDArray[np.float64], float, float]:
    """Rigid pose against the known one, means taken off (each model defines straight ahead for itself).

    Returns:
        (3,) mean error of turning about x, y, z in degrees; of the place in pixels; and how far the head seems to nod,
        in degrees, when the lips part by a centimetre.
    """
    frames = len(measured.track)
    turn = np.degrees(measured.reconstruction.rotation - truth.rotation[:frames])
    turn -= turn.mean(0)
    place = measured.reconstruction.translation - truth.landmarks_px[:frames, NOSE_BRIDGE_68]
    nod = float(np.polyfit(truth.opening_cm[:frames], turn[:, 0], 1)[0])
    return np.abs(turn).mean(0), _mean_length(place - place.mean(0)), nod


def share_removed(measured: Measured, model: FaceModel, truth: Truth) -> float:
    """The share of known lip and chin points, over all frames, that lie inside what region removal cuts out."""
    region = local_region(model.of(measured.reconstruction.identity))
    crops = place_crops(region, measured.reconstruction, crop_size_px(region, measured.reconstruction))
    holes, _ = region_masks(region, measured.reconstruction, crops)
    inside = []
    known = truth.landmarks_px[: len(holes), [*range(*MOUTH_68.indices(68)), CHIN_68]]
    for hole, to_frame, points in zip(holes, crops.to_frame, known, strict=True):
        inverse = cv2.invertAffineTransform(to_frame)
        x, y = np.floor(points @ inverse[:, :2].T + inverse[:, 2]).astype(int).T
        inside.append(hole[y, x])
    return float(np.mean(inside))


def held_out_psnr_db(anchor: Anchor, truth: Truth) -> float:
    """Renderer ceiling: mouth PSNR of the frames that training held out, drawn from their own coefficients."""
    valid = np.flatnonzero(anchor.reconstruction.valid)
    _, held_out = held_out_frames(len(valid), LoopConfig().held_out_share)
    chosen = valid[held_out]
    with VideoReader(anchor.clip) as reader:
        wanted = set(chosen.tolist())
        images = [frame.image for index, frame in enumerate(reader) if index in wanted]
    updater = FaceUpdater(anchor, anchor.reconstruction, torch.device("cpu"))
    made = updater.update(images, chosen, anchor.reconstruction.expression[chosen])
    scores = []
    for new, old, points in zip(made, images, truth.landmarks_px[chosen, MOUTH_68], strict=True):
        left, top = (points.min(0) - MOUTH_MARGIN_PX).astype(int)
        right, bottom = (points.max(0) + MOUTH_MARGIN_PX).astype(int)
        scores.append(metrics.psnr(new[top:bottom, left:right], old[top:bottom, left:right]))
    return float(np.mean(scores))


def spoken_opening(anchor: Anchor, name: str) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Opening (T,) that the audio of clip `name` gives the anchor, at the times (T,) of that clip's frames."""
    times_s = np.arange(len(Truth.load(name).opening_cm)) / FRAME_RATE_HZ
    speech_model = load_speech_model(anchor, None, torch.device("cpu"))
    expression = expression_from_speech(anchor, speech_model, read_audio(CLIPS[name]), times_s)
    return anchor.face.opening(expression), times_s


def labial_opening(opening: NDArray[np.floating], times_s: NDArray[np.float64], truth: Truth) -> float:
    """Mean opening at p, b and m over the mean where the mouth is truly open."""
    labial = truth.during(LABIALS, times_s)
    return float(opening[labial].mean() / opening[~labial & (truth.opening_cm > 0.1)].mean())


def _mean_length(vectors: NDArray[np.floating]) -> float:
    return float(np.linalg.norm(vectors, axis=-1).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, help="measure the first N frames of each clip only")
    options = parser.parse_args()
    anchors = {name: load_anchor(anchor_folder(Path(name))) for name in CLIPS}
    landmarker = FaceLandmarker.load(registry.locate("face_landmarker"))
    rows = []
    for name in CLIPS:
        truth, measured = Truth.load(name), measure(name, anchors[name].model, landmarker, options.frames)
        raw_px, moving_px = lips_off_px(measured, truth)
        turn, place_px, nod = pose_off(measured, truth)
        rows += [
            (f"{name}: lip landmarks off the known ones, px", f"{raw_px:.2f}"),
            (f"{name}: the same without each point's mean, px", f"{moving_px:.2f}"),
            (
                f"{name}: reconstructed opening against the known one, r",
                f"{opening_agrees(measured.opening, truth):.3f}",
            ),
            (f"{name}: turning about x, y, z off, degrees", ", ".join(f"{value:.2f}" for value in turn)),
            (f"{name}: place off, px", f"{place_px:.2f}"),
            (f"{name}: nod for a centimetre of opening, degrees", f"{nod:.2f}"),
            (
                f"{name}: known lips and chin inside the removed region",
                f"{share_removed(measured, anchors[name].model, truth):.2%}",
            ),
        ]
    for name, (whose, anchor) in itertools.product(CLIPS, anchors.items()):
        truth, (opening, times_s) = Truth.load(name), spoken_opening(anchor, name)
        said = f"{whose} driven by {name}'s audio"
        if name == whose:
            ceiling_db = held_out_psnr_db(anchor, truth)
            rows.append((f"{name}: renderer ceiling on held-out frames, mouth PSNR, dB", f"{ceiling_db:.1f}"))
        lag = metrics.best_lag(opening.astype(np.float64), times_s, truth.opening_cm.astype(np.float64), times_s)
        rows += [
            (f"{said}: opening against the known one, r", f"{opening_agrees(opening, truth):.3f}"),
            (f"{said}: lag, ms (known: 0)", f"{lag.lag_ms:.0f}"),
            (f"{said}: opening at p, b, m over elsewhere", f"{labial_opening(opening, times_s, truth):.2f}"),
        ]
    print_report("data/presenter", ("", "measured"), rows)


if __name__ == "__main__":
    main()
