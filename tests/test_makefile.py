"""`make demo` says what it is told to say, whatever characters that contains."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXTS = [
    "It's me, and I'm here.",
    "It costs $5, $$6, $(TEXT) or ${HOME}, `echo` and $(shell echo).",
    'A "quoted" word, a back\\slash, two \\\\ and a \\n.',
    "你好，世界。",
    "Emoji 😀 # not a comment, 100 %",
    "--overwrite",
]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment whose talkinghead writes down what it is called with."""
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "talkinghead"
    command.write_text(f"#!/bin/sh\nprintf '%s\\0' \"$@\" > '{tmp_path}/called'\n")
    command.chmod(0o755)
    (tmp_path / "installed").touch()
    return tmp_path


def arguments(environment: Path, *overrides: str, **variables: str) -> list[str]:
    """What `make demo` calls the command with, in the end."""
    settings = [
        f"VENV={environment}",
        f"STAMP={environment / 'installed'}",
        "--old-file",
        str(environment / "installed"),
    ]
    command = ["make", "--directory", str(ROOT), *settings, "demo", *overrides]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | variables)
    return (environment / "called").read_bytes().decode().split("\0")[:-1]


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_goes_through_unharmed(environment: Path, text: str) -> None:
    assert f"--text={text}" in arguments(environment, f"TEXT={text}")
    assert f"--text={text}" in arguments(environment, TEXT=text)


def test_an_anchor_may_have_any_name(environment: Path) -> None:
    name = "out/Jo's $5 anchor"
    assert arguments(environment, f"ANCHOR={name}")[-1] == name


def planned(target: str, **variables: str) -> str:
    """What `make` would do in a new environment."""
    command = ["make", "--directory", str(ROOT), "--dry-run", f"VENV={os.devnull}/venv", target]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | variables).stdout


def test_the_demo_installs_no_extra() -> None:
    assert "--editable '.'" in planned("demo") and "[" not in planned("demo").partition("--editable")[2].split("\n")[0]
    assert "--editable '.[serve]'" in planned("studio")
    assert "--editable '.[dev]'" in planned("test")


def test_torch_of_another_index_has_the_required_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = [need for need in project["dependencies"] if need.startswith("torch") and "==" in need]
    line = next(line for line in planned("demo").splitlines() if "TORCH_INDEX" in line)
    assert line.split('--index-url "$TORCH_INDEX" ')[1].split() == pinned
    assert line.startswith('test -z "$TORCH_INDEX" || ')
