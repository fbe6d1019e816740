"""Join rendered frames and audio to the clip, and write the ground truth of every frame next to it.

    python tools/presenter/assemble.py presenter FRAMES PERFORMANCE -o data/presenter

FRAMES is the folder of images from render.py, PERFORMANCE that of the files from performance.py. Runs in the
project's own environment; the ground truth of every frame goes into NAME.safetensors, whose content is described in
data/presenter/README.md.
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import click
import cv2
import numpy as np
from camera import camera_position, intrinsics, project
from head import Array, load_head
from lips import MIDDLE, lip_gaps
from looks import LOOKS

from talkinghead.files import load_arrays, save_arrays
from talkinghead.media.video_writer import ContainerMetadata, EncoderSettings, VideoWriter
from talkinghead.structures import Frame

CRF = 9
"""Constant rate factor of the encoding, low enough that no difference to the frames is visible."""
COMMENT = "A computed person: rendered from the ICT-FaceKit head model, the voice is hibari-tts"


def truth(look: str, performance: dict[str, Array], size_px: int) -> dict[str, Array]:
    """Ground truth of T frames: expression, pose, 68 landmarks in space and in the image, opening, camera."""
    head = load_head(LOOKS[look].identity())
    rotations, translations = performance["rotation_rad"], performance["translation_cm"]
    at_rest, posed = [], []
    for weights, rotation, translation in zip(performance["expression"], rotations, translations, strict=True):
        vertices = head.deformed(weights.astype(np.float64))
        at_rest.append(vertices[head.landmarks68])
        posed.append(head.posed(vertices, rotation, translation)[head.landmarks68])
    landmarks = np.stack(posed)
    values = {
        **{name: performance[name] for name in ("expression", "rotation_rad", "translation_cm", "phone_times_s")},
        "landmarks_cm": landmarks,
        "landmarks_px": project(landmarks, size_px),
        "opening_cm": lip_gaps(np.stack(at_rest)[:, 48:68])[:, MIDDLE],
        "camera_intrinsics": intrinsics(size_px),
        "camera_cm": camera_position(),
    }
    times = {"phone_times_s"}
    return {name: value if name in times else value.astype(np.float32) for name, value in values.items()}


@click.command(help=__doc__)
@click.argument("look", type=click.Choice(sorted(LOOKS)))
@click.argument("frames", type=click.Path(exists=True, path_type=Path))
@click.argument("performance", type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
def main(look: str, frames: Path, performance: Path, output: Path) -> None:
    values, metadata = load_arrays(performance / "performance.safetensors")
    about = json.loads(metadata["performance"])
    paths = [frames / f"{index:05d}.png" for index in range(len(values["expression"]))]
    missing = sum(not path.exists() for path in paths)
    if missing:
        raise click.ClickException(f"{missing} of {len(paths)} frames are not rendered yet; run render.py on.")
    rate = Fraction(about["frame_rate"])
    size_px = cv2.imread(str(paths[0])).shape[0]
    output.mkdir(parents=True, exist_ok=True)
    with VideoWriter(
        output / f"{look}.mp4",
        size_px,
        size_px,
        frame_rate=rate,
        audio_from=performance / "speech.wav",
        metadata=ContainerMetadata({"comment": COMMENT}),
        overwrite=True,
        encoder=EncoderSettings(CRF, "slow"),
    ) as writer:
        for index, path in enumerate(paths):
            writer.write(Frame(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), float(index / rate)))
    ground_truth = truth(look, values, size_px)
    save_arrays(output / f"{look}.safetensors", ground_truth, {"about": json.dumps(about, ensure_ascii=False)})
    print(f"{output / look}.mp4: {len(paths)} frames, {(output / f'{look}.mp4').stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
