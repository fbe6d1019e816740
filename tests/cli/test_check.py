"""`talkinghead check`, and the same check at the start of `talkinghead train`."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from drawn_face import DrawnClip, draw_frames, perform, performance, person, write_frames

from talkinghead.cli.main import main
from talkinghead.errors import MediaError, MissingFileError, UnfitClipError

pytestmark = pytest.mark.usefixtures("own_caches")


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of one frame: a mouth that never moves."""
    image = next(draw_frames(person(0), perform(person(0), performance(1.0, 0), np.zeros(1))))
    path = tmp_path_factory.mktemp("still") / "still.mp4"
    return write_frames(path, iter([image] * 75), np.arange(75) / 25, Fraction(25))


def test_a_table_of_what_was_found(clip: DrawnClip) -> None:
    result = CliRunner().invoke(main, ["check", str(clip.path)])
    assert result.exit_code == 0
    rows = {line.split("  ")[0]: line for line in result.stdout.splitlines()}
    assert " ok " in rows["face size"] and " remark " in rows["length"] and "half a minute works" in rows["length"]
    assert CliRunner().invoke(main, ["check", str(clip.path), "--quiet"]).stdout == ""


def test_json_has_findings_and_what_was_measured(clip: DrawnClip) -> None:
    answer = json.loads(CliRunner().invoke(main, ["check", str(clip.path), "--json", "--face", "left"]).stdout)
    assert answer["state"] == "remark" and answer["measured"]["frames"] == len(clip.times_s)
    assert {"name", "state", "value", "advice"} == answer["findings"][0].keys()


def test_a_problem_is_an_exit_code(still: Path) -> None:
    result = CliRunner().invoke(main, ["check", str(still)])
    assert result.exit_code == 1 and "problem" in result.stdout


def test_what_cannot_be_checked_is_the_usual_error(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("nothing", "utf-8")
    assert CliRunner().invoke(main, ["check", str(tmp_path / "text.mp4")]).exit_code == MediaError.exit_code
    assert CliRunner().invoke(main, ["check", str(tmp_path / "no.mp4")]).exit_code == MissingFileError.exit_code


def test_training_stops_at_a_problem_before_it_begins(still: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["train", str(still), "-o", str(tmp_path / "me.anchor")])
    assert result.exit_code == UnfitClipError.exit_code
    assert "mouth opens: lips part by 0.0 cm; take a clip" in result.stderr and "--despite-problems" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_training_tells_remarks_first_and_problems_where_it_goes_on(
    clip: DrawnClip, still: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check runs within the training, before the clip is tracked for it."""
    made = {"consent": "Jo"}
    monkeypatch.setattr("talkinghead.cli.train._echo_description", lambda *_: None)

    def train(clip: Path, output: Path, *, inspect: Any, **_: object) -> dict[str, Any]:
        inspect(clip)
        return made

    monkeypatch.setattr("talkinghead.training.face_update.train.train", train)
    command = ["train", "-o", str(tmp_path / "me.anchor")]
    told = CliRunner().invoke(main, [*command, str(clip.path)]).stderr.splitlines()
    assert told[0] == "remark: length: 4.0 s with the face; half a minute works, two minutes are better"
    assert not any(line.startswith("problem") for line in told)
    result = CliRunner().invoke(main, [*command, str(still), "--despite-problems"])
    assert result.exit_code == 0 and "problem: mouth opens" in result.stderr
    quiet = CliRunner().invoke(main, [*command, str(still), "--despite-problems", "--json"])
    assert quiet.stderr == ""
    assert ("mouth opens", "problem") in [(row["name"], row["state"]) for row in json.loads(quiet.stdout)["findings"]]


def test_several_faces_are_remarked_on(tmp_path: Path) -> None:
    seen = perform(person(0), performance(1.0, 0), np.arange(12) / 25)
    aside = perform(person(1), performance(1.0, 1), np.arange(12) / 25)
    pairs = zip(draw_frames(person(0), seen), draw_frames(person(1), aside), strict=True)
    both = (np.concatenate(pair, axis=1) for pair in pairs)
    path = write_frames(tmp_path / "two.mp4", both, np.arange(12) / 25, Fraction(25))
    answer = json.loads(CliRunner().invoke(main, ["check", str(path), "--json"]).stdout)
    assert "people" in [row["name"] for row in answer["findings"]]
    assert answer["measured"]["face"]["others"] is True
