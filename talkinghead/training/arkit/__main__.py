"""Fits the map between ARKit's blendshapes and the face model.

    python -m talkinghead.training.arkit data/presenter/presenter.mp4 data/presenter/henrik.mp4 \
        -o checkpoints/arkit_map.safetensors
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from talkinghead.errors import TalkingHeadError
from talkinghead.face.face_model import load_face_model
from talkinghead.files import sha256_of
from talkinghead.generation.blendshapes.mapping import save_map
from talkinghead.training.arkit.fit import FitConfig, fit_map
from talkinghead.training.arkit.ict_face import load_ict_face
from talkinghead.training.arkit.performer import load_performer
from talkinghead.weights.bundled import checkpoint_path

DEFAULT_ICT = Path("../shared/models/ict_facekit.npz")
"""Where tools/presenter looks for the head model as well."""


@click.command()
@click.argument("clips", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The .safetensors file to write.")
@click.option("--ict", type=click.Path(path_type=Path), help="The ICT-FaceKit head (.npz), else $TALKINGHEAD_ICT.")
@click.option("--seed", default=0, show_default=True, help="Of all random numbers.")
def main(clips: tuple[Path, ...], output: Path, ict: Path | None, seed: int) -> None:
    """Fit the map to CLIPS of computed people, with the truth beside each (data/presenter/README.md)."""
    try:
        head = load_ict_face(ict or Path(os.environ.get("TALKINGHEAD_ICT", DEFAULT_ICT)))
        face_model = checkpoint_path("face_model.safetensors")
        model = load_face_model(face_model)
        performers = [load_performer(clip, model, head) for clip in clips]
        found = fit_map(performers, head, model, FitConfig(seed=seed))
        save_map(output, found, sha256_of(face_model))
    except TalkingHeadError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{output}: fitted to {sum(int(one.valid.sum()) for one in performers)} frames of {len(clips)} clips")


if __name__ == "__main__":
    main()
