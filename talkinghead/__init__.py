"""Lip-sync a person's own video clip to any speech, by expression coefficients and local 3D reconstruction.

`import talkinghead` loads nothing heavy; each public function is imported when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "evaluate": "talkinghead.evaluation.evaluate",
    "generate": "talkinghead.generation.pipeline",
    "load_anchor": "talkinghead.anchor",
    "train": "talkinghead.training.face_update.train",
}
"""Public function -> the module that defines it."""

__all__ = ["__version__", "evaluate", "generate", "load_anchor", "train"]


def __getattr__(name: str) -> Any:
    """A public function, imported on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
