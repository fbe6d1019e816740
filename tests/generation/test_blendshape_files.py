"""Files of ARKit weights, read back by the standard library alone, and read from what other programs write."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talkinghead.errors import CoefficientError, MissingFileError
from talkinghead.generation.blendshapes.files import (
    is_table_of_weights,
    read_weights,
    write_audio2face,
    write_lam,
    write_live_link,
)
from talkinghead.generation.blendshapes.names import ARKIT_SHAPES, MOUTH_SHAPES, ROTATIONS, mirrored
from talkinghead.structures import FloatArray

# The header of a recording of the Live Link Face app, as its users publish it; not made of our own list of names.
LIVE_LINK_HEADER = (
    "Timecode,BlendShapeCount,EyeBlinkLeft,EyeLookDownLeft,EyeLookInLeft,EyeLookOutLeft,EyeLookUpLeft,EyeSquintLeft,"
    "EyeWideLeft,EyeBlinkRight,EyeLookDownRight,EyeLookInRight,EyeLookOutRight,EyeLookUpRight,EyeSquintRight,"
    "EyeWideRight,JawForward,JawRight,JawLeft,JawOpen,MouthClose,MouthFunnel,MouthPucker,MouthRight,MouthLeft,"
    "MouthSmileLeft,MouthSmileRight,MouthFrownLeft,MouthFrownRight,MouthDimpleLeft,MouthDimpleRight,MouthStretchLeft,"
    "MouthStretchRight,MouthRollLower,MouthRollUpper,MouthShrugLower,MouthShrugUpper,MouthPressLeft,MouthPressRight,"
    "MouthLowerDownLeft,MouthLowerDownRight,MouthUpperUpLeft,MouthUpperUpRight,BrowDownLeft,BrowDownRight,BrowInnerUp,"
    "BrowOuterUpLeft,BrowOuterUpRight,CheekPuff,CheekSquintLeft,CheekSquintRight,NoseSneerLeft,NoseSneerRight,"
    "TongueOut,HeadYaw,HeadPitch,HeadRoll,LeftEyeYaw,LeftEyePitch,LeftEyeRoll,RightEyeYaw,RightEyePitch,RightEyeRoll"
)
COUNT = len(ARKIT_SHAPES)


def some_weights(rows: int) -> FloatArray:
    return np.random.default_rng(0).uniform(size=(rows, COUNT)).astype(np.float32)


def live_link(path: Path, codes: list[str], jaw: list[float], header: str = LIVE_LINK_HEADER) -> Path:
    """A recording in which the jaw alone moves."""
    names = header.split(",")
    lines = [header]
    for code, value in zip(codes, jaw, strict=True):
        cells = {"Timecode": code, "BlendShapeCount": "61", "JawOpen": str(value)}
        lines.append(",".join(cells.get(name, "0.0") for name in names))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_names_are_those_of_the_app_in_its_order() -> None:
    names = [name[0].lower() + name[1:] for name in LIVE_LINK_HEADER.split(",")[2:]]
    assert names == [*ARKIT_SHAPES, *ROTATIONS]
    assert len(ARKIT_SHAPES) == 52 and len(MOUTH_SHAPES) == 27


def test_mirrored_names_pair_up() -> None:
    assert [mirrored(mirrored(name)) for name in ARKIT_SHAPES] == list(ARKIT_SHAPES)
    assert mirrored("jawLeft") == "jawRight" and mirrored("jawOpen") == "jawOpen"
    assert sum(mirrored(name) == name for name in ARKIT_SHAPES) == 12


def test_live_link_face_is_written_as_the_app_does(tmp_path: Path) -> None:
    weights = some_weights(50)
    write_live_link(tmp_path / "a.csv", weights, np.arange(50) / 25)
    assert (tmp_path / "a.csv").read_text().splitlines()[0] == LIVE_LINK_HEADER
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 118  # 49 / 25 s at 60 frames per second, and the first
    assert [rows[n]["Timecode"] for n in (0, 59, 60)] == ["00:00:00:00.000", "00:00:00:59.000", "00:00:01:00.000"]
    assert {row["BlendShapeCount"] for row in rows} == {"61"}
    jaw = ARKIT_SHAPES.index("jawOpen")
    assert float(rows[60]["JawOpen"]) == pytest.approx(weights[25, jaw], abs=1e-6)
    # Between frames it is interpolated: row 61 is 1.4166 frames of 1 / 25 s after frame 24.
    expected = weights[25, jaw] + 5 / 12 * (weights[26, jaw] - weights[25, jaw])
    assert float(rows[61]["JawOpen"]) == pytest.approx(expected, abs=2e-6)


def test_audio2face_is_written_with_seconds(tmp_path: Path) -> None:
    weights = some_weights(3)
    write_audio2face(tmp_path / "a.csv", weights, np.array([0.0, 0.04, 0.08]))
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["timeCode"]) for row in rows] == [0, 0.04, 0.08]
    assert list(rows[0])[1:] == [f"blendShapes.{name}" for name in LIVE_LINK_HEADER.split(",")[2:54]]
    assert float(rows[2]["blendShapes.MouthPucker"]) == pytest.approx(weights[2, 20], abs=1e-6)


def test_lam_is_written_with_names_and_frames(tmp_path: Path) -> None:
    weights = some_weights(3)
    write_lam(tmp_path / "a.json", weights, np.arange(3) / 30)
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["names"] == content["metadata"]["blendshape_names"] == list(ARKIT_SHAPES)
    assert content["metadata"]["frame_count"] == 3 and content["metadata"]["fps"] == pytest.approx(30)
    assert [frame["time"] for frame in content["frames"]] == [0, 0.033333, 0.066667]
    np.testing.assert_allclose([frame["weights"] for frame in content["frames"]], weights, atol=1e-6)


@pytest.mark.parametrize(("write", "name"), [(write_audio2face, "a.csv"), (write_lam, "a.json")])
def test_what_is_written_is_read(tmp_path: Path, write: Callable[..., None], name: str) -> None:
    weights, times_s = some_weights(20), 3 + np.arange(20) / 25
    write(tmp_path / name, weights, times_s)
    read, read_times_s = read_weights(tmp_path / name)
    np.testing.assert_allclose(read, weights, atol=1e-6)
    np.testing.assert_allclose(read_times_s, times_s, atol=1e-6)


def test_live_link_face_is_read_at_its_own_times(tmp_path: Path) -> None:
    weights = some_weights(120)
    write_live_link(tmp_path / "a.csv", weights, np.arange(120) / 60)
    read, times_s = read_weights(tmp_path / "a.csv")
    np.testing.assert_allclose(read, weights, atol=1e-6)
    np.testing.assert_allclose(times_s, np.arange(120) / 60, atol=1e-6)


@pytest.mark.parametrize("rate", [24, 25, 30, 60])
def test_the_frame_rate_shows_where_the_codes_go_over_a_second(tmp_path: Path, rate: int) -> None:
    codes = [f"14:03:{52 + n // rate:02d}:{n % rate:02d}.207" for n in range(2 * rate)]
    _, times_s = read_weights(live_link(tmp_path / "a.csv", codes, [0.0] * len(codes)))
    np.testing.assert_allclose(times_s, np.arange(2 * rate) / rate, atol=1e-9)


def test_time_codes_go_past_midnight(tmp_path: Path) -> None:
    codes = [*(f"23:59:59:{n:02d}.000" for n in range(60)), *(f"00:00:00:{n:02d}.000" for n in range(60))]
    _, times_s = read_weights(live_link(tmp_path / "a.csv", codes, [0.0] * 120))
    np.testing.assert_allclose(times_s, np.arange(120) / 60, atol=1e-9)


def test_frames_without_a_face_are_left_out(tmp_path: Path) -> None:
    path = live_link(tmp_path / "a.csv", [f"00:00:{n // 60:02d}:{n % 60:02d}.000" for n in range(70)], [0.5] * 70)
    lines = path.read_text().splitlines()
    lines[11] = lines[11].split(",")[0] + ",0" + "," * 61
    path.write_text("\n".join(lines))
    weights, times_s = read_weights(path)
    assert len(weights) == 69 and times_s[10] == pytest.approx(11 / 60)
    assert (weights[:, ARKIT_SHAPES.index("jawOpen")] == 0.5).all()


def test_columns_in_any_order_and_case(tmp_path: Path) -> None:
    names = ["frame", "timeCode", *(name.upper() for name in reversed(MOUTH_SHAPES))]
    rows = [[str(n), str(n / 30), *(["0.25"] * len(MOUTH_SHAPES))] for n in range(3)]
    (tmp_path / "a.csv").write_text("\n".join(",".join(row) for row in [names, *rows]))
    weights, times_s = read_weights(tmp_path / "a.csv")
    np.testing.assert_allclose(times_s, np.arange(3) / 30)
    expected = [0.25 if name in MOUTH_SHAPES else 0.0 for name in ARKIT_SHAPES]
    np.testing.assert_array_equal(weights, [expected] * 3)


def test_tables_of_weights_are_known_by_their_time_code() -> None:
    assert is_table_of_weights("\ufeffTimecode,BlendShapeCount,JawOpen\n")
    assert is_table_of_weights("frame,timeCode,blendShapes.JawOpen\n")
    assert not is_table_of_weights("time_s,e0,e1\n0,1,2\n") and not is_table_of_weights("")


FULL = [f"00:00:{n // 60:02d}:{n % 60:02d}.000" for n in range(70)]


@pytest.mark.parametrize(
    ("codes", "jaw", "header", "message"),
    [
        (FULL[:20], [0.0] * 20, LIVE_LINK_HEADER, "frame rate of the time codes"),
        (FULL, [50.0] * 70, LIVE_LINK_HEADER, "weights from 0 to 50; ARKit's go from 0 to 1: check their unit"),
        (FULL, [float("nan")] * 70, LIVE_LINK_HEADER, "not finite"),
        (FULL[::-1], [0.0] * 70, LIVE_LINK_HEADER, "times that rise"),
        (["noon"] * 2, [0.0] * 2, LIVE_LINK_HEADER, "time code that is no number"),
        (["00:00:00;xx"] * 2, [0.0] * 2, LIVE_LINK_HEADER, "HH:MM:SS:FF.fff is expected"),
        (FULL, [0.0] * 70, LIVE_LINK_HEADER.replace(",JawOpen", ""), "lacks 1 of ARKit's 27 mouth shapes: jawOpen"),
        (FULL, [0.0] * 70, LIVE_LINK_HEADER.replace("HeadYaw", "JawOpen"), "has jawOpen twice"),
        ([], [], LIVE_LINK_HEADER, "no rows of weights"),
    ],
)
def test_tables_that_cannot_be_read_say_why(
    tmp_path: Path, codes: list[str], jaw: list[float], header: str, message: str
) -> None:
    with pytest.raises(CoefficientError, match=message):
        read_weights(live_link(tmp_path / "a.csv", codes, jaw, header))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ([], "is not JSON"),
        ({"names": list(ARKIT_SHAPES)}, "is not JSON of names and frames"),
        ({"names": list(ARKIT_SHAPES), "frames": []}, "no frames"),
        ({"names": list(ARKIT_SHAPES), "frames": [{"time": 0, "weights": [0.0]}]}, "another number of weights"),
        ({"names": list(ARKIT_SHAPES), "frames": [{"time": "0", "weights": [0.0] * COUNT}]}, "no number"),
        ({"names": list(ARKIT_SHAPES), "frames": [{"time": 0, "weights": [True] * COUNT}]}, "no number"),
        ({"names": ["jawOpen"], "frames": [{"time": 0, "weights": [0.0]}]}, "lacks 26"),
    ],
)
def test_json_that_cannot_be_read_says_why(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(CoefficientError, match=message):
        read_weights(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError):
        read_weights(tmp_path / "none.json")
