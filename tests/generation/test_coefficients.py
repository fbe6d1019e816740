"""`talkinghead coefficients`: what drives an anchor as a file, which `generate --expression` reads again."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from drawn_face import DrawnClip
from speech_models import needs_default_weights

from talkinghead.anchor import Anchor
from talkinghead.cli.main import main
from talkinghead.errors import CheckpointError, CoefficientError, MissingFileError, OptionError, OutputExistsError
from talkinghead.face.topology import MOUTH_LANDMARKS
from talkinghead.generation.blendshapes.files import read_weights
from talkinghead.generation.blendshapes.names import ARKIT_SHAPES
from talkinghead.generation.blendshapes.own_manner import LIPS, in_own_manner
from talkinghead.generation.coefficient_files import Format, read_coefficients, write_coefficients
from talkinghead.generation.coefficients import write_driving
from talkinghead.generation.coefficients_config import CoefficientsConfig
from talkinghead.generation.driving import expression_from_file
from talkinghead.generation.expression_files import load_expression
from talkinghead.structures import FloatArray

pytestmark = pytest.mark.usefixtures("own_caches")

FORMATS: tuple[tuple[str, Format], ...] = (
    ("a.csv", "live-link-face"),
    ("a.csv", "audio2face"),
    ("a.json", "lam"),
)


def driving(anchor: Anchor, rows: int = 90) -> tuple[FloatArray, np.ndarray]:
    """The anchor's own coefficients, at 60 rows a second."""
    return anchor.reconstruction.expression[:rows], np.arange(rows) / 60


@pytest.mark.parametrize("name", ["a.csv", "a.safetensors"])
def test_expression_coefficients_come_back_as_they_were(anchor: Anchor, tmp_path: Path, name: str) -> None:
    expression, times_s = driving(anchor)
    write_coefficients(anchor, tmp_path / name, expression, times_s, "expression")
    read, read_times_s = load_expression(tmp_path / name, anchor.model.expressions)
    np.testing.assert_array_equal(read, expression)
    assert read_times_s is not None
    np.testing.assert_allclose(read_times_s, times_s, atol=1e-6)


@pytest.mark.parametrize(("name", "format_"), FORMATS)
def test_arkit_weights_drive_the_anchor_much_as_the_coefficients_do(
    anchor: Anchor, tmp_path: Path, name: str, format_: Format
) -> None:
    expression, times_s = driving(anchor)
    write_coefficients(anchor, tmp_path / name, expression, times_s, format_)
    read = expression_from_file(anchor, tmp_path / name, times_s)
    gap, expected = anchor.face.lip_gap(read), anchor.face.lip_gap(expression)
    assert np.corrcoef(gap, expected)[0, 1] > 0.8
    weights, read_times_s = read_weights(tmp_path / name)
    np.testing.assert_allclose(read_times_s, times_s, atol=1e-6)
    jaw = weights[:, ARKIT_SHAPES.index("jawOpen")]
    assert np.corrcoef(jaw, expected)[0, 1] > 0.6


def test_all_formats_of_arkit_weights_say_the_same(anchor: Anchor, tmp_path: Path) -> None:
    expression, times_s = driving(anchor)
    found = []
    for name, format_ in FORMATS:
        write_coefficients(anchor, tmp_path / name, expression, times_s, format_)
        found.append(read_coefficients(anchor, tmp_path / name)[0])
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], atol=1e-3)


def test_weights_that_never_move_leave_the_anchor_at_rest(anchor: Anchor, tmp_path: Path) -> None:
    content = {"names": list(ARKIT_SHAPES), "frames": [{"time": n / 30, "weights": [0.0] * 52} for n in range(9)]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    read, _ = read_coefficients(anchor, tmp_path / "a.json")
    points = anchor.model.expression_basis[:, list(LIPS), :2]
    off_cm = np.linalg.norm(np.tensordot(read - anchor.rest_expression(), points, 1), axis=-1)
    assert off_cm.max() < 0.02


def test_the_lips_stay_and_the_rest_is_as_the_anchor_moves_it(anchor: Anchor) -> None:
    own = anchor.reconstruction.expression
    draw = np.random.default_rng(0)
    foreign = own[:20] + draw.normal(0, 1, (20, own.shape[1])).astype(np.float32)
    made = in_own_manner(foreign, own, anchor.model)
    points = anchor.model.expression_basis[:, list(LIPS), :2]

    def lips(expression: FloatArray) -> FloatArray:
        return np.tensordot(expression, points, 1)

    off_cm, moved_cm = (np.linalg.norm(lips(foreign - other), axis=-1).mean() for other in (made, own[:20]))
    assert off_cm < 0.5 * moved_cm
    inverse = np.linalg.inv(np.cov(own.T) + 0.01 * np.eye(own.shape[1]))

    def unlikelihood(expression: FloatArray) -> float:
        return float(np.einsum("tk,kl,tl->t", expression - own.mean(0), inverse, expression - own.mean(0)).mean())

    assert unlikelihood(made) < 0.5 * unlikelihood(foreign)
    np.testing.assert_allclose(lips(in_own_manner(own, own, anchor.model)), lips(own), atol=0.03)


def test_a_table_is_converted_and_rows_without_times_are_the_anchors_frames(anchor: Anchor, tmp_path: Path) -> None:
    expression, _ = driving(anchor, 50)
    table = tmp_path / "rows.csv"
    header = ",".join(f"e{number}" for number in range(expression.shape[1]))
    np.savetxt(table, expression, delimiter=",", header=header, comments="", fmt="%.9g")
    report = write_driving(anchor, table, tmp_path / "out.safetensors")
    read, times_s = load_expression(tmp_path / "out.safetensors", anchor.model.expressions)
    np.testing.assert_array_equal(read, expression)
    np.testing.assert_allclose(times_s, np.arange(50) / 25)
    assert report["read_as"] == "table" and report["rows"] == 50 and report["duration_s"] == pytest.approx(1.96)


def test_the_anchors_own_clip_is_measured_as_it_was(anchor: Anchor, clip: DrawnClip, tmp_path: Path) -> None:
    report = write_driving(anchor, clip.path, tmp_path / "out.csv")
    assert report["read_as"] == "video"
    read, _ = load_expression(tmp_path / "out.csv", anchor.model.expressions)
    points = anchor.model.expression_basis[:, list(MOUTH_LANDMARKS)]
    off_cm = np.linalg.norm(np.tensordot(read - anchor.reconstruction.expression, points, 1), axis=-1)
    assert off_cm.mean() < 0.02


@needs_default_weights
def test_speech_is_predicted_at_the_anchors_frames(anchor: Anchor, speech: Path, tmp_path: Path) -> None:
    arguments = ["coefficients", str(anchor.folder), str(speech), "-o", str(tmp_path / "a.csv")]
    result = CliRunner().invoke(main, [*arguments, "--format", "live-link-face", "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["read_as"] == "speech" and report["rows"] == 33  # 1.31 s at 25 frames per second
    weights, times_s = read_weights(tmp_path / "a.csv")
    assert times_s[-1] == pytest.approx(1.28, abs=1 / 60)
    assert weights[:, ARKIT_SHAPES.index("jawOpen")].max() > 0.02


@pytest.mark.parametrize(
    ("name", "format_", "message"),
    [
        ("a.txt", None, r"has to end in \.safetensors or \.csv or \.json"),
        ("a.csv", "lam", r"of the format lam has to end in \.json"),
        ("a.safetensors", "live-link-face", r"of the format live-link-face has to end in \.csv"),
    ],
)
def test_names_that_do_not_go_with_the_format(
    anchor: Anchor, tmp_path: Path, name: str, format_: Format | None, message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        write_driving(anchor, tmp_path / "in.csv", tmp_path / name, CoefficientsConfig(format=format_))


def test_nothing_is_overwritten_unasked(anchor: Anchor, expression_file: Path, tmp_path: Path) -> None:
    write_driving(anchor, expression_file, tmp_path / "a.csv")
    with pytest.raises(OutputExistsError):
        write_driving(anchor, expression_file, tmp_path / "a.csv")
    write_driving(anchor, expression_file, tmp_path / "a.csv", overwrite=True)


def test_a_source_that_is_not_there(anchor: Anchor, tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="no such file"):
        write_driving(anchor, tmp_path / "none.wav", tmp_path / "a.csv")


def test_weights_out_of_all_proportion_are_refused(anchor: Anchor, tmp_path: Path) -> None:
    frames = [{"time": n, "weights": [2.0] * 52} for n in range(3)]
    (tmp_path / "a.json").write_text(json.dumps({"names": list(ARKIT_SHAPES), "frames": frames}))
    with pytest.raises(CoefficientError, match="standard deviations"):
        read_coefficients(anchor, tmp_path / "a.json")


def test_an_anchor_of_another_face_model_is_refused(anchor: Anchor, tmp_path: Path) -> None:
    other = SimpleNamespace(**{**vars(anchor), "face_model_sha256": "0" * 64, "model": anchor.model})
    other.rest_expression = anchor.rest_expression
    expression, times_s = driving(anchor)
    with pytest.raises(CheckpointError, match="another face model"):
        write_coefficients(other, tmp_path / "a.json", expression, times_s, "lam")  # type: ignore[arg-type]
