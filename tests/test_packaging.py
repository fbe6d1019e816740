"""A wheel built from the repository works outside it, with its weights."""

import email.parser
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import talkinghead
from talkinghead.errors import CheckpointError
from talkinghead.weights.bundled import checkpoint_folder, checkpoint_path

ROOT = Path(__file__).parents[1]
WEIGHTS_LIMIT_BYTES = 60_000_000
WHEEL_LIMIT_BYTES = 80_000_000
"""PyPI takes files of 100 MB."""


def files_below(folder: Path) -> dict[str, int]:
    """Relative path -> size in bytes."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}


def test_checkpoints_of_a_checkout_are_found() -> None:
    assert checkpoint_folder() == ROOT / "checkpoints"
    assert checkpoint_path("face_model.safetensors").is_file()


def test_a_missing_checkpoint_is_a_typed_error() -> None:
    with pytest.raises(CheckpointError, match=r"nobody\.safetensors is missing"):
        checkpoint_path("nobody.safetensors")


def test_the_weights_stay_small() -> None:
    assert sum(files_below(ROOT / "checkpoints").values()) < WEIGHTS_LIMIT_BYTES


def test_versions_that_must_fit_are_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needs, cuda = project["dependencies"], project["optional-dependencies"]["cuda"]
    assert {"torch==2.11.0", "torchaudio==2.11.0"} <= set(needs)
    assert not any("pytorch3d" in need for need in needs)
    assert [need.split(";")[0] for need in cuda] == ["easypytorch3d==0.7.9.post1"]


@pytest.mark.slow
def test_a_wheel_works_outside_the_repository(tmp_path: Path) -> None:
    build = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run([sys.executable, "-m", *build], check=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("talkinghead-*.whl")
    assert wheel.stat().st_size < WHEEL_LIMIT_BYTES
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    assert files_below(site / "talkinghead" / "checkpoints") == files_below(ROOT / "checkpoints")
    for part in ("evaluation/templates/report.html.j2", "py.typed", "server/page/index.html"):
        assert (site / "talkinghead" / part).is_file()
    (about,) = site.glob("talkinghead-*.dist-info")
    assert {"LICENSE", "NOTICE"} <= {path.name for path in (about / "licenses").iterdir()}
    metadata = email.parser.Parser().parsestr((about / "METADATA").read_text())
    assert metadata["Description-Content-Type"] == "text/markdown"
    description = metadata.get_payload()
    assert "# talkinghead" in description
    assert [link for link in re.findall(r"\]\(([^)]*)\)", description) if not link.startswith("http")] == []

    code = (
        "import talkinghead, talkinghead.weights.bundled as bundled;"
        "print(talkinghead.__version__, bundled.checkpoint_path('face_model.safetensors'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(site)}
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert said.strip() == f"{talkinghead.__version__} {site}/talkinghead/checkpoints/face_model.safetensors"
