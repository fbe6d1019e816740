"""`make demo` says what it is told to say, whatever characters that contains."""

from __future__ import annotations

import os
import shutil
import subprocess
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
