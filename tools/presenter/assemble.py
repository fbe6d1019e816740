"""Join rendered frames and sound to the clip, and write what is known of every frame beside it.

    python tools/presenter/assemble.py presenter FRAMES PERFORMANCE -o data/presenter

FRAMES holds the pictures of render.py, PERFORMANCE the files of performance.py. Made with the project's own
environment; the truth of every frame goes into NAME.safetensors (data/presenter/README.md says what it holds).
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import click
import cv2
import numpy as np
from camera import camera_place, intrinsics, project
from head import Array, load_head
from lips import MIDDLE, lip_gaps
from looks import LOOKS

from talkinghead.files import load_arrays, save_arrays
from talkinghead.media.video_writer import ContainerMetadata, EncoderSettings, VideoWriter
from talkinghead.structures import Frame

CRF = 9
"""No difference to the frames is visible."""
COMMENT = "A computed person: rendered from the ICT-FaceKit head model, the voice is hibari-tts"


def truth(look: str, performance: dict[str, Array], size_px: int) -> dict[str, Array]:
    """What is known of T frames: expression, pose, 68 landmarks in space and in the picture, opening, camera."""
    head = load_head(LOOKS[look].identity())
    turns, moves = performance["rotation_rad"], performance["translation_cm"]
    at_rest, posed = [], []
    for weights, turn, move in zip(performance["expression"], turns, moves, strict=True):
        vertices = head.deformed(weights.astype(np.float64))
        at_rest.append(vertices[head.landmarks68])
        posed.append(head.posed(vertices, turn, move)[head.landmarks68])
    landmarks = np.stack(posed)
    values = {
        **{name: performance[name] for name in ("expression", "rotation_rad", "translation_cm", "phone_times_s")},
        "landmarks_cm": landmarks,
        "landmarks_px": project(landmarks, size_px),
        "opening_cm": lip_gaps(np.stack(at_rest)[:, 48:68])[:, MIDDLE],
        "camera_intrinsics": intrinsics(size_px),
        "camera_cm": camera_place(),
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
    known = truth(look, values, size_px)
    save_arrays(output / f"{look}.safetensors", known, {"about": json.dumps(about, ensure_ascii=False)})
    print(f"{output / look}.mp4: {len(paths)} frames, {(output / f'{look}.mp4').stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
