"""Join rendered frames and audio to the clip, and write the ground truth of every frame next to it.

    python tools/presenter/assemble.py presenter FRAMES PERFORMANCE -o data/presenter [--mattes MATTES]

FRAMES is the folder of images from render.py, PERFORMANCE that of the files from performance.py, MATTES that of the
images from matte.py, one for each frame. Runs in the project's own environment. The ground truth of every frame goes
into NAME.safetensors, the mattes into NAME_matte.mp4; data/presenter/README.md describes both.
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
from lips import LIPS, MIDDLE, lip_gaps
from looks import LOOKS
from surface import PARTS, PERFORMED, Surface

from talkinghead.files import load_arrays, save_arrays
from talkinghead.media.video_writer import ContainerMetadata, EncoderSettings, VideoWriter
from talkinghead.structures import Frame

CRFS = range(9, 28)
"""Constant rate factors of the encoding: the first at which the clip is small enough. At 9 no difference is visible."""
MOST_BYTES = 6_000_000
"""Largest size of a clip."""
MATTE_CRF = 4
"""Of the mattes: their error is a level or two of 255, at the outline alone."""
COMMENT = "A computed person: rendered from the ICT-FaceKit head model, the voice is hibari-tts"
MATTE_COMMENT = "What of each pixel is person, 0 to 255, of the clip of the same name"
AS_PERFORMED = (
    *("expression", "rotation_rad", "translation_cm", "torso_rotation_rad", "torso_translation_cm"),
    *("breath", "tongue", "blink", "gaze_rad", "phone_times_s", "release_s"),
)
"""Arrays of the performance that are true of the clip as they are."""
TIMES = {"phone_times_s", "release_s"}


def truth(look: str, performance: dict[str, Array], size_px: int) -> dict[str, Array]:
    """Ground truth of T frames, see data/presenter/README.md."""
    surface = Surface(load_head(LOOKS[look].identity()))
    head = surface.head
    at_rest, posed, visible = [], [], []
    for index in range(len(performance["expression"])):
        frame = {name: performance[name][index].astype(np.float64) for name in PERFORMED}
        at_rest.append(head.deformed(frame["expression"])[head.landmarks68])
        vertices = surface.vertices(frame)
        posed.append(vertices[head.landmarks68])
        visible.append(surface.visible_in_mouth(vertices, size_px))
    landmarks, lips = np.stack(posed), np.stack(at_rest)[:, LIPS]
    values = {
        **{name: performance[name] for name in AS_PERFORMED},
        "landmarks_cm": landmarks,
        "landmarks_px": project(landmarks, size_px),
        "lips_cm": lips,
        "opening_cm": lip_gaps(lips)[:, MIDDLE],
        "visible_px": np.stack(visible),
        "camera_intrinsics": intrinsics(size_px),
        "camera_cm": camera_position(),
    }
    return {name: value if name in TIMES else value.astype(np.float32) for name, value in values.items()}


def encode(paths: list[Path], output: Path, rate: Fraction, audio: Path | None, comment: str, crf: int) -> None:
    """Write images, one for each frame, as a video."""
    height, width = cv2.imread(str(paths[0])).shape[:2]
    with VideoWriter(
        output,
        width,
        height,
        frame_rate=rate,
        audio_from=audio,
        metadata=ContainerMetadata({"comment": comment}),
        overwrite=True,
        encoder=EncoderSettings(crf, "slow"),
    ) as writer:
        for index, path in enumerate(paths):
            writer.write(Frame(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), float(index / rate)))


def encode_small(paths: list[Path], output: Path, rate: Fraction, audio: Path, comment: str) -> int:
    """Write the clip with the smallest of `CRFS` at which it is no larger than `MOST_BYTES`; gives it."""
    candidates = list(CRFS)
    while len(candidates) > 1:  # larger factors, smaller files
        middle = (len(candidates) - 1) // 2
        encode(paths, output, rate, audio, comment, candidates[middle])
        is_small = output.stat().st_size <= MOST_BYTES
        candidates = candidates[: middle + 1] if is_small else candidates[middle + 1 :]
    encode(paths, output, rate, audio, comment, candidates[0])
    if output.stat().st_size > MOST_BYTES:
        raise click.ClickException(
            f"{output} has {output.stat().st_size / 1e6:.1f} MB even at a CRF of {candidates[0]}."
        )
    return candidates[0]


def images_of(folder: Path, count: int, made_by: str) -> list[Path]:
    """The images of all frames in a folder."""
    paths = [folder / f"{index:05d}.png" for index in range(count)]
    missing = sum(not path.exists() for path in paths)
    if missing:
        raise click.ClickException(f"{missing} of {count} images in {folder} are not made yet; run {made_by} on.")
    return paths


@click.command(help=__doc__)
@click.argument("look", type=click.Choice(sorted(LOOKS)))
@click.argument("frames", type=click.Path(exists=True, path_type=Path))
@click.argument("performance", type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
@click.option("--mattes", type=click.Path(exists=True, path_type=Path), help="Folder of one matte for each frame.")
def main(look: str, frames: Path, performance: Path, output: Path, mattes: Path | None) -> None:
    values, metadata = load_arrays(performance / "performance.safetensors")
    about = json.loads(metadata["performance"]) | {"visible_px": list(PARTS)}
    count, rate = len(values["expression"]), Fraction(about["frame_rate"])
    paths = images_of(frames, count, "render.py")
    matte_paths = images_of(mattes, count, "matte.py") if mattes else []
    output.mkdir(parents=True, exist_ok=True)
    clip = output / f"{look}.mp4"
    crf = encode_small(paths, clip, rate, performance / "speech.wav", COMMENT)
    if matte_paths:
        encode(matte_paths, output / f"{look}_matte.mp4", rate, None, MATTE_COMMENT, MATTE_CRF)
    ground_truth = truth(look, values, cv2.imread(str(paths[0])).shape[0])
    save_arrays(output / f"{look}.safetensors", ground_truth, {"about": json.dumps(about, ensure_ascii=False)})
    print(f"{clip}: {count} frames, {clip.stat().st_size / 1e6:.1f} MB at a CRF of {crf}")


if __name__ == "__main__":
    main()
