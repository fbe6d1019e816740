"""An anchor's own voice reads texts where none is named: on the command line, in batches, and for the server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from starlette.exceptions import HTTPException

from talkinghead.anchor import anchor_voice
from talkinghead.batch.jobs import Job
from talkinghead.cli.main import main
from talkinghead.server.texts import script_of
from talkinghead.text_to_speech import DEFAULT_VOICE, Script


@pytest.fixture
def described(tmp_path: Path) -> Any:
    """A function that writes an ANCHOR's description with an entry `voice`, and gives its folder."""

    def write(voice: Any) -> Path:
        clip = {"file": "clip.mp4", "sha256": "0" * 64}
        description = {"format": "talkinghead/anchor/2", "clip": clip, "sha256": {}, "voice": voice}
        (tmp_path / "anchor.json").write_text(json.dumps(description), "utf-8")
        return tmp_path

    return write


def test_what_anchor_json_names(described: Any, tmp_path: Path) -> None:
    assert anchor_voice(described("hibari-man")) == "hibari-man"
    assert anchor_voice(described(None)) is None
    assert anchor_voice(described(7)) is None, "opening the anchor says what is wrong with it"
    assert anchor_voice(tmp_path / "no such folder") is None


@pytest.mark.parametrize(
    ("own", "named", "expected"),
    [("hibari-man", [], "hibari-man"), ("hibari-man", ["--voice", "hibari"], "hibari"), (None, [], DEFAULT_VOICE)],
)
def test_generate(own: str | None, named: list[str], expected: str, described: Any, monkeypatch: Any) -> None:
    sources = []

    def write_video(_: Path, source: Script, *rest: Any) -> None:
        sources.append(source)
        raise KeyboardInterrupt

    monkeypatch.setattr("talkinghead.generation.pipeline.write_video", write_video)
    folder = described(own)
    CliRunner().invoke(main, ["generate", str(folder), "--text", "Good evening.", "-o", "a.mp4", *named])
    assert [source.voice for source in sources] == [expected]


def test_batches_and_the_server(described: Any) -> None:
    folder = str(described("hibari-man"))
    assert Job("a", folder, "a.mp4", text="Hi").speaker == "hibari-man"
    assert Job("a", folder, "a.mp4", text="Hi", voice="hibari").speaker == "hibari"
    assert script_of({"text": "Hi"}, voice=anchor_voice(folder)).voice == "hibari-man"
    assert script_of({"text": "Hi", "voice": "hibari"}, voice="hibari-man").voice == "hibari"
    assert script_of({"text": "Hi"}, voice=None).voice == DEFAULT_VOICE
    with pytest.raises(HTTPException):
        script_of({"text": "Hi", "voice": 7}, voice="hibari-man")
