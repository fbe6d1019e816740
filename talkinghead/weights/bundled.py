"""Paths of the project's own weights: `checkpoints/` beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

import os
from pathlib import Path

from talkinghead.errors import CheckpointError

_PACKAGE = Path(__file__).resolve().parents[1]
DEFAULT_ANCHOR = "henrik"
"""The built-in anchor that is shown where none is named."""
_FOLDERS = (_PACKAGE / "checkpoints", _PACKAGE.parent / "checkpoints")


def checkpoint_folder() -> Path:
    """The folder of the default checkpoints.

    Raises:
        CheckpointError: there is none; the installation is incomplete.
    """
    for folder in _FOLDERS:
        if folder.is_dir():
            return folder
    raise CheckpointError(f"the default checkpoints are missing from {_PACKAGE}: install talkinghead again")


def checkpoint_path(name: str) -> Path:
    """Path of a default checkpoint, a file or a folder.

    Args:
        name: relative to the folder of checkpoints, such as "face_model.safetensors".

    Raises:
        CheckpointError: it is not there; the installation is incomplete.
    """
    path = checkpoint_folder() / name
    if not path.exists():
        raise CheckpointError(f"the checkpoint {name} is missing from {path.parent}: install talkinghead again")
    return path


def anchor_folder(named: Path) -> Path:
    """The ANCHOR folder of a path or, where there is no such path, of the bare name of a built-in anchor.

    A path that does not exist is returned unchanged, so that opening it raises the error about it.
    """
    if os.path.exists(named) or named.name != str(named):  # unlike Path's, it is False for a name that cannot be
        return named
    try:
        built_in = checkpoint_path(named.name)
    except CheckpointError:
        return named
    return built_in if (built_in / "anchor.json").is_file() else named


def built_in_anchors() -> list[str]:
    """Names of the built-in anchors, the default one first."""
    found = (path.parent.name for path in checkpoint_folder().glob("*/anchor.json"))
    return sorted(found, key=lambda name: (name != DEFAULT_ANCHOR, name))
