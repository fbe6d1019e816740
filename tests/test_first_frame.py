"""What it takes until the first frame: modules that are imported, kernels that are compiled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talkinghead.media.audio_writer import write_audio
from talkinghead.structures import Audio

HELP_LOADS = {"click", "filelock", "numpy", "platformdirs", "rich", "safetensors", "talkinghead"}
"""Third-party packages that --help imports, and no more."""
GENERATE_LOADS = {"PIL", "av", "cv2", "llvmlite", "numba", "onnxruntime", "torch"}
"""Those that generating with the default encoder imports in addition."""
WATCHED = (
    *("transformers", "tokenizers", "huggingface_hub", "librosa", "sklearn", "torchaudio", "soundfile", "skimage"),
    *("ai_edge_litert", "pytorch3d", "torchmetrics", "sympy", "jinja2", "hibari", "starlette", "c2pa", "ray"),
)
"""Packages that generating from a recording has no use for."""
PROBE = """
import builtins, json, sys
importing, asked = builtins.__import__, set()
def record(name, globals=None, locals=None, fromlist=(), level=0):
    if not level and globals:
        asked.add((str(globals.get("__name__")).partition(".")[0], name.partition(".")[0]))
    return importing(name, globals, locals, fromlist, level)
builtins.__import__ = record
from talkinghead.cli.main import main
main(sys.argv[1:], standalone_mode=False)
rasterizer = sys.modules.get("talkinghead.network.rasterize")
loaded = sorted({name.partition(".")[0] for name in sys.modules})
if rasterizer is not None:
    from talkinghead.network.compiled import compilation
print(json.dumps({
    "own": sorted(name for by, name in asked if by == "talkinghead" and name not in sys.stdlib_module_names),
    "loaded": loaded,
    "linear_algebra": "scipy.linalg" in sys.modules,
    "compiled": None if rasterizer is None else compilation().compiled,
}))
"""


def after(*arguments: str, **variables: str) -> dict[str, Any]:
    """What a command imported in a fresh interpreter, by the package itself and in all; kernels it compiled."""
    command = [sys.executable, "-c", PROBE, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | variables)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_help_imports_nothing_heavy() -> None:
    found = after("--help")
    assert set(found["own"]) - {"talkinghead", "__future__"} <= HELP_LOADS, found["own"]
    assert not ({*WATCHED} | GENERATE_LOADS | {"scipy"}).intersection(found["loaded"])


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Of a command that makes a third of a second of the built-in anchor."""
    folder = tmp_path_factory.mktemp("first")
    noise = 0.1 * np.random.default_rng(0).standard_normal(4800).astype(np.float32)
    write_audio(folder / "speech.wav", [Audio(noise, 16000)])
    return [
        "generate",
        "presenter",
        str(folder / "speech.wav"),
        "-o",
        str(folder / "out.mp4"),
        "--overwrite",
        "--quiet",
    ]


def test_generating_imports_what_it_needs_alone(arguments: list[str]) -> None:
    found = after(*arguments)
    assert not {*WATCHED}.intersection(found["loaded"])
    # numba loads a part of scipy for itself, without its linear algebra; this package asks for none of it.
    assert not found["linear_algebra"]
    assert set(found["own"]) - {"talkinghead", "__future__"} <= HELP_LOADS | GENERATE_LOADS, found["own"]


@pytest.mark.slow
def test_a_warmed_installation_compiles_nothing_for_a_video(arguments: list[str], tmp_path: Path) -> None:
    cache = str(tmp_path / "kernels")
    warmed = after("doctor", "--warm", "--json", NUMBA_CACHE_DIR=cache)
    assert warmed["compiled"] > 0
    assert after(*arguments, NUMBA_CACHE_DIR=cache)["compiled"] == 0
