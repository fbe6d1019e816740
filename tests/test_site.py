"""The documentation site builds without a warning, loads nothing from elsewhere, and documents what is public."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import talkinghead

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
LOADED = re.compile(
    r"<(?:script|link|img|iframe|source|video)\b[^>]*?\b(?:src|href)=[\"']?(https?:|//)[^>]*>", re.IGNORECASE
)

needs_mkdocs = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("mkdocs", "material", "mkdocstrings")),
    reason="the site is built by talkinghead[docs], which is not installed",
)


def documented() -> set[str]:
    """What the pages of the reference name; a module with `members` stands for these."""
    names = set()
    for page in REFERENCE.glob("*.md"):
        for name, options in re.findall(r"^::: (\S+)\n((?: .*\n)*)", page.read_text() + "\n", re.MULTILINE):
            members = re.search(r"members: \[(.*)\]", options)
            names |= {f"{name}.{member}" for member in members[1].split(", ")} if members else {name}
    return names


def resolved(name: str) -> object:
    """The module, or the attribute of a module, of that name."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, attribute = name.rsplit(".", 1)
        return getattr(importlib.import_module(module), attribute)


def test_the_reference_names_what_there_is() -> None:
    names = documented()
    assert len(names) > 50
    for name in names:
        assert resolved(name).__doc__ or isinstance(resolved(name), str), name
        assert not name.rsplit(".", 1)[1].startswith("_")


def test_public_functions_are_in_the_reference() -> None:
    known = {id(resolved(name)) for name in documented()}
    for name in set(talkinghead.__all__) - {"__version__"}:
        assert id(getattr(talkinghead, name)) in known, name


def test_what_the_guides_import_is_in_the_reference() -> None:
    """Examples of the guides use names that the reference explains, by whichever module they are imported from."""
    known = {id(resolved(name)) for name in documented()}
    count = 0
    for page in DOCS.glob("*.md"):
        for module, names in re.findall(r"^ *from (talkinghead\S*) import (.+)$", page.read_text(), re.MULTILINE):
            for name in names.split(", "):
                count += 1
                assert id(getattr(importlib.import_module(module), name)) in known, f"{page.name}: {module}.{name}"
    assert count > 10


@needs_mkdocs
@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        text = page.read_text()
        assert not LOADED.search(text), f"{page.name} loads {LOADED.search(text)}"
        assert page.name == "404.html" or "Content-Security-Policy" in text
    assert (tmp_path / "search" / "search_index.json").stat().st_size > 100_000
    assert "Factor on the mouth" in (tmp_path / "reference" / "options.html").read_text()
