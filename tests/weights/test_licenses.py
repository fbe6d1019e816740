"""The license table names everything, and says of each whether commercial use is open."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

from talkinghead.cli.main import main
from talkinghead.weights import registry
from talkinghead.weights.licenses import Commercial, all_licenses, commercial, normalized

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("license", "meaning"),
    [
        ("MIT", Commercial.OPEN),
        ("Apache Software License", Commercial.OPEN),
        ("Boost Software License", Commercial.OPEN),
        ("BSL-1.0", Commercial.OPEN),
        ("BSD-2-Clause AND Apache-2.0 WITH LLVM-exception", Commercial.OPEN),
        ("LGPL-2.1-or-later", Commercial.CONDITIONS),
        ("MPL-2.0 AND MIT", Commercial.CONDITIONS),
        ("GPL-3.0-or-later OR MIT", Commercial.OPEN),
        ("LicenseRef-NVIDIA-Proprietary", Commercial.OWN_TERMS),
        ("CC-BY-NC-4.0", Commercial.UNKNOWN),
        ("Files: *", Commercial.UNKNOWN),
        ("", Commercial.UNKNOWN),
    ],
)
def test_what_a_license_means(license: str, meaning: Commercial) -> None:
    assert commercial(license) is meaning


def test_everything_that_is_installed_is_listed_and_known() -> None:
    rows = all_licenses()
    unknown = [row.name for row in rows if row.commercial is Commercial.UNKNOWN]
    assert unknown == []
    names = {normalized(row.name) for row in rows}
    assert {"torch", "av", "numpy", "click", "llvmlite", "silero-vad", "presenter", "ffmpeg"} <= names
    assert set(map(normalized, registry.WEIGHTS)) <= names
    weights = {row.name: row for row in rows if row.kind == "weight"}
    assert {row.commercial for row in weights.values()} == {Commercial.OPEN, Commercial.DATA}
    for row in weights.values():  # "open" alone does not stand beside data that is not
        assert ("licenses cover" in row.note or "license covers" in row.note) == (row.commercial is Commercial.DATA)


def test_the_command() -> None:
    answer = json.loads(CliRunner().invoke(main, ["licenses", "--json"]).stdout)
    assert len(answer["licenses"]) == len(all_licenses())
    assert "x264" in CliRunner().invoke(main, ["licenses"]).stdout


def test_the_document_has_every_requirement_and_weight() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = {name: texts for name, texts in project["optional-dependencies"].items() if name != "dev"}
    required = {Requirement(text).name for texts in (project["dependencies"], *extras.values()) for text in texts}
    document = (ROOT / "docs" / "licenses.md").read_text("utf-8")
    listed = {line.split("|")[1].strip(): line for line in document.splitlines() if line.startswith("| ")}
    assert required <= listed.keys()
    rows = {row.name: row for row in all_licenses() if row.kind != "part"}
    assert {row.name for row in rows.values() if row.kind == "weight"} <= listed.keys()
    for name in listed.keys() & rows.keys():
        assert f"| {rows[name].commercial} |" in listed[name]
