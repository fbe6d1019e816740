"""The script that resolves wheels, on answers of uv, and what must agree between the files of the build."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheels() -> ModuleType:
    spec = importlib.util.spec_from_file_location("wheels", ROOT / "tools" / "wheels.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["wheels"] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def test_a_lock_is_counted(wheels: ModuleType) -> None:
    lock = """
        [[packages]]
        name = "av"
        wheels = [{ url = "https://a/av.whl", size = 18000000 }, { url = "https://a/other.whl", size = 20000000 }]
        [[packages]]
        name = "click"
        wheels = [{ url = "https://a/click.whl", size = 500000 }]
        [[packages]]
        name = "of unknown size"
        wheels = [{ url = "https://a/some.whl" }]
    """
    assert str(wheels.read_lock(lock)) == "3, 20 MB"


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        (
            "error: No solution found when resolving dependencies\n  cause: Because av>=18.0.0,<=18.1.0 has no usable "
            "wheels and only the following versions of av are available:\n av<=18.1.0",
            "no wheel of av",
        ),
        ("error: the index does not answer", "**does not resolve**: error: the index does not answer"),
    ],
)
def test_what_has_no_wheel_is_named(wheels: ModuleType, told: str, shown: str) -> None:
    assert wheels.reason(told) == shown


def test_it_asks_for_the_versions_and_extras_of_the_project(wheels: ModuleType) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert wheels.pythons() == ["3.11", "3.12", "3.13"]
    assert {*wheels.extras(), "dev"} == set(project["optional-dependencies"])


def test_the_dockerfile_installs_what_the_project_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    pinned = re.findall(r"torch(?:audio)?==[\d.]+", text)
    assert len(pinned) == 2 and set(pinned) <= set(project["dependencies"])
    (extras,) = re.findall(r"ARG EXTRAS=(\S+)", text)
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    copied = {name for line in re.findall(r"^COPY (?!--)(.+) \S+$", text, re.MULTILINE) for name in line.split()}
    assert {"pyproject.toml", "hatch_build.py", "README.md", *project["license-files"]} <= copied
    for name in copied:
        assert (ROOT / name).exists()
        assert f"!{name}" in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert re.search(r"^USER 1000$", text, re.MULTILINE)
