"""Audio-driven talking head: lip-syncs a person's own video clip to any speech.

Speech becomes expression coefficients, by which the lower face of every frame is reconstructed in 3D and drawn anew.
`import talkinghead` loads nothing heavy: each public function is imported on its first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from talkinghead.anchor import load_anchor
    from talkinghead.evaluation.evaluate import evaluate
    from talkinghead.generation.pipeline import generate
    from talkinghead.training.face_update.train import train

__version__ = "0.2.0"
"""Version of the package."""

_MODULES = {
    "evaluate": "talkinghead.evaluation.evaluate",
    "generate": "talkinghead.generation.pipeline",
    "load_anchor": "talkinghead.anchor",
    "train": "talkinghead.training.face_update.train",
}
"""Module that defines each public function."""

__all__ = ["__version__", "evaluate", "generate", "load_anchor", "train"]


def __getattr__(name: str) -> Any:
    """A public function, imported on first use (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    """The public names, so that completion shows them before they are imported."""
    return sorted(__all__)
