"""What cannot be used ends in a typed error of one line, with its exit code, and leaves nothing behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from drawn_face import RATE_HZ, DrawnClip, drawn_clip, write_frames

from talkinghead.anchor import Anchor
from talkinghead.cli.main import main
from talkinghead.errors import (
    CheckpointError,
    CoefficientError,
    MediaError,
    MissingFileError,
    NoAudioError,
    NoFaceError,
    NoVideoError,
    OutputError,
    OutputExistsError,
    SpeechTooShortError,
    TalkingHeadError,
)
from talkinghead.files import load_arrays, save_arrays, sha256_of
from talkinghead.generation.expression_files import save_expression
from talkinghead.generation.pipeline import generate
from talkinghead.training.face_update.train import train

pytestmark = pytest.mark.usefixtures("own_caches")

Make = Callable[[Path], Path]
"""Makes a bad input under the given folder and returns its path."""


def missing(folder: Path) -> Path:
    return folder / "missing.mp4"


def empty(folder: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def text(folder: Path) -> Path:
    (folder / "text.mp4").write_text("This is not a video.\n" * 500, "utf-8")
    return folder / "text.mp4"


def a_folder(folder: Path) -> Path:
    (folder / "folder.mp4").mkdir()
    return folder / "folder.mp4"


def truncated(folder: Path) -> Path:
    """An mp4 with its index in front, of which the second half is lost."""
    whole = drawn_clip(folder / "truncated.mp4", 1.0).path
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    whole.with_suffix(".wav").unlink()
    return whole


def sound_only(folder: Path) -> Path:
    soundfile.write(folder / "sound.wav", _hum(1.0), RATE_HZ)
    return folder / "sound.wav"


def faceless(folder: Path) -> Path:
    draw = np.random.default_rng(0)
    images = (draw.integers(0, 255, (96, 128, 3)).astype(np.uint8) for _ in range(12))
    return write_frames(folder / "faceless.mp4", images, np.arange(12) / 25, Fraction(25))


def silent_video(folder: Path) -> Path:
    return drawn_clip(folder / "silent.mp4", 0.3, with_audio=False).path


def too_short_speech(folder: Path) -> Path:
    soundfile.write(folder / "short.wav", _hum(0.1), RATE_HZ)
    return folder / "short.wav"


def _hum(seconds: float) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * 150 * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)


BAD_CLIPS: list[tuple[Make, type[TalkingHeadError]]] = [
    (missing, MissingFileError),
    (a_folder, MissingFileError),
    (empty, MediaError),
    (text, MediaError),
    (truncated, MediaError),
    (sound_only, NoVideoError),
    (faceless, NoFaceError),
]
BAD_SPEECH: list[tuple[Make, type[TalkingHeadError]]] = [
    (missing, MissingFileError),
    (a_folder, MissingFileError),
    (empty, MediaError),
    (text, MediaError),
    (truncated, MediaError),
    (silent_video, NoAudioError),
    (too_short_speech, SpeechTooShortError),
]


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder and its hash; folders too."""
    return {
        str(path.relative_to(folder)): sha256_of(path) if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


def check_refused(
    kind: type[TalkingHeadError], call: Callable[[], object], command: list[str | Path], folder: Path
) -> None:
    """The function raises just this error, the command shows it and exits with its code; `folder` stays as it was."""
    before = contents(folder)
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value) and str(caught.value)
    assert contents(folder) == before

    result = CliRunner().invoke(main, [str(word) for word in command])
    assert result.exit_code == kind.exit_code != 0
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("Error: ")
    assert contents(folder) == before


def check_train(clip: Path, output: Path, kind: type[TalkingHeadError], folder: Path) -> None:
    command: list[str | Path] = ["train", clip, "-o", output, "--steps", "1", "--device", "cpu", "--quiet"]
    check_refused(kind, lambda: train(clip, output, steps=1, device="cpu"), command, folder)


def check_generate(
    kind: type[TalkingHeadError],
    folder: Path,
    anchor: Path,
    speech: Path,
    output: Path,
    *,
    clip: Path | None = None,
    expression: Path | None = None,
) -> None:
    command: list[str | Path] = ["generate", anchor, speech, "-o", output, "--device", "cpu", "--quiet"]
    command += ["--clip", clip] if clip else []
    command += ["--expression", expression] if expression else []

    def call() -> None:
        generate(anchor, speech, output, clip=clip, expression=expression, device="cpu")

    check_refused(kind, call, command, folder)


@pytest.mark.parametrize(("make", "kind"), BAD_CLIPS)
def test_clips_that_cannot_be_trained_on(make: Make, kind: type[TalkingHeadError], tmp_path: Path) -> None:
    check_train(make(tmp_path), tmp_path / "anchor", kind, tmp_path)


@pytest.mark.parametrize(("make", "kind"), BAD_CLIPS)
def test_clips_that_cannot_be_driven(
    make: Make, kind: type[TalkingHeadError], anchor_folder: Path, speech: Path, expression_file: Path, tmp_path: Path
) -> None:
    output = tmp_path / "output.mp4"
    check_generate(kind, tmp_path, anchor_folder, speech, output, clip=make(tmp_path), expression=expression_file)


@pytest.mark.parametrize(("make", "kind"), BAD_SPEECH)
def test_speech_that_cannot_be_used(
    make: Make, kind: type[TalkingHeadError], anchor_folder: Path, expression_file: Path, tmp_path: Path
) -> None:
    output = tmp_path / "output.mp4"
    check_generate(kind, tmp_path, anchor_folder, make(tmp_path), output, expression=expression_file)


@pytest.mark.parametrize(("make", "kind"), BAD_CLIPS)
def test_videos_that_show_no_expression(
    make: Make, kind: type[TalkingHeadError], anchor_folder: Path, speech: Path, tmp_path: Path
) -> None:
    video = make(tmp_path)
    check_generate(kind, tmp_path, anchor_folder, speech, tmp_path / "output.mp4", expression=video)


@pytest.mark.parametrize("suffix", [".safetensors", ".csv"])
@pytest.mark.parametrize("wrong", ["nan", "too many", "too large", "no rows"])
def test_coefficients_that_cannot_be_used(
    wrong: str, suffix: str, anchor_folder: Path, anchor: Anchor, speech: Path, tmp_path: Path
) -> None:
    rows = np.zeros((0 if wrong == "no rows" else 10, anchor.model.expressions + (wrong == "too many")), np.float32)
    rows[5:6, 3] = {"nan": np.nan, "too large": 1000.0}.get(wrong, 0.0)
    path = tmp_path / f"coefficients{suffix}"
    if suffix == ".csv":
        np.savetxt(path, rows, delimiter=",", header=",".join(map(str, range(rows.shape[1]))), comments="")
    else:
        save_expression(path, rows, np.arange(len(rows)) / 25)
    check_generate(CoefficientError, tmp_path, anchor_folder, speech, tmp_path / "output.mp4", expression=path)


@pytest.mark.parametrize("content", ["", "time_s,a\n0,zero\n", "a,b\n1,2\n3\n", "\x00\x01\n"])
def test_tables_that_are_none(content: str, anchor_folder: Path, speech: Path, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(content, "utf-8")
    check_generate(CoefficientError, tmp_path, anchor_folder, speech, tmp_path / "output.mp4", expression=path)


def test_coefficients_in_a_damaged_file(anchor_folder: Path, speech: Path, tmp_path: Path) -> None:
    path = tmp_path / "coefficients.safetensors"
    path.write_bytes(b"\xff" * 100)
    check_generate(CheckpointError, tmp_path, anchor_folder, speech, tmp_path / "output.mp4", expression=path)
    missing_path = tmp_path / "missing.safetensors"
    check_generate(MissingFileError, tmp_path, anchor_folder, speech, tmp_path / "output.mp4", expression=missing_path)


@pytest.fixture
def broken(anchor_folder: Path, tmp_path: Path) -> Path:
    """A copy of the ANCHOR to break."""
    return shutil.copytree(anchor_folder, tmp_path / "broken")


def describe(anchor: Path, **changes: object) -> None:
    """Change entries of anchor.json."""
    path = anchor / "anchor.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")


def test_no_anchor(anchor_folder: Path, speech: Path, expression_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "output.mp4"
    empty_folder = tmp_path / "nothing"
    empty_folder.mkdir()
    check_generate(MissingFileError, tmp_path, tmp_path / "none", speech, output, expression=expression_file)
    check_generate(CheckpointError, tmp_path, empty_folder, speech, output, expression=expression_file)
    a_file = anchor_folder / "clip.mp4"
    check_generate(CheckpointError, tmp_path, a_file, speech, output, expression=expression_file)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "talkinghead/anchor/999"},
        {"format": None},
        {"clip": {"file": "../../etc/hostname", "sha256": "0"}},
        {"clip": "clip.mp4"},
        {"sha256": {}},
        {"sha256": None},
    ],
)
def test_an_anchor_of_another_version(
    changes: dict[str, object], broken: Path, speech: Path, expression_file: Path, tmp_path: Path
) -> None:
    describe(broken, **changes)
    check_generate(CheckpointError, tmp_path, broken, speech, tmp_path / "output.mp4", expression=expression_file)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '"text"'])
def test_a_description_that_is_none(
    content: str, broken: Path, speech: Path, expression_file: Path, tmp_path: Path
) -> None:
    (broken / "anchor.json").write_text(content, "utf-8")
    check_generate(CheckpointError, tmp_path, broken, speech, tmp_path / "output.mp4", expression=expression_file)


@pytest.mark.parametrize(
    "name",
    [
        "network.safetensors",
        "reconstruction.safetensors",
        "face_model.safetensors",
        "track.safetensors",
        "appearance.safetensors",
        "clip.mp4",
    ],
)
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_anchor(
    name: str, damage: str, broken: Path, speech: Path, expression_file: Path, tmp_path: Path
) -> None:
    content = bytearray((broken / name).read_bytes())
    content[len(content) // 2] ^= 0xFF
    if damage == "gone":
        (broken / name).unlink()
    else:
        (broken / name).write_bytes(content if damage == "flipped" else content[: len(content) // 2])
    check_generate(CheckpointError, tmp_path, broken, speech, tmp_path / "output.mp4", expression=expression_file)


@pytest.mark.parametrize("name", ["network.safetensors", "reconstruction.safetensors", "face_model.safetensors"])
@pytest.mark.parametrize("damage", ["bytes", "not finite", "array left out", "wrong shape"])
def test_damage_that_the_hashes_hide(
    name: str, damage: str, broken: Path, speech: Path, expression_file: Path, tmp_path: Path
) -> None:
    """Whoever made the file wrote its hash too: the content is checked all the same."""
    path = broken / name
    arrays, metadata = load_arrays(path)
    largest = max(arrays, key=lambda key: arrays[key].size if arrays[key].dtype == np.float32 else 0)
    if damage == "bytes":
        path.write_bytes(b"\xff" * 64 + path.read_bytes()[64:])
    else:
        if damage == "not finite":
            arrays[largest].flat[0] = np.nan
        elif damage == "array left out":
            del arrays[largest]
        else:
            arrays[largest] = arrays[largest].reshape(-1)[:-1]
        save_arrays(path, arrays, metadata)
    hashes = json.loads((broken / "anchor.json").read_text("utf-8"))["sha256"]
    describe(broken, sha256={**hashes, name: sha256_of(path)})
    check_generate(CheckpointError, tmp_path, broken, speech, tmp_path / "output.mp4", expression=expression_file)


def unwritable(folder: Path, suffix: str) -> list[tuple[Path, type[TalkingHeadError]]]:
    (folder / "file").touch()
    return [(folder / "file" / f"output{suffix}", OutputError), (folder / "none" / f"output{suffix}", OutputError)]


def test_anchors_that_cannot_be_written(clip: DrawnClip, tmp_path: Path) -> None:
    for output, kind in unwritable(tmp_path, ""):
        check_train(clip.path, output, kind, tmp_path)
    (tmp_path / "there").mkdir()
    check_train(clip.path, tmp_path / "there", OutputExistsError, tmp_path)


def test_videos_that_cannot_be_written(
    anchor_folder: Path, speech: Path, expression_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "there.mp4").write_text("mine", "utf-8")
    outputs = [
        *unwritable(tmp_path, ".mp4"),
        (tmp_path / "there.mp4", OutputExistsError),
        (tmp_path / "output.txt", OutputError),
    ]
    for output, kind in outputs:
        check_generate(kind, tmp_path, anchor_folder, speech, output, expression=expression_file)


def test_a_failure_in_the_middle_leaves_nothing(
    anchor_folder: Path, speech: Path, expression_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "there.mp4").write_text("mine", "utf-8")
    before = contents(tmp_path)

    def stop(done: int, count: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    for name, overwrite in (("new.mp4", False), ("there.mp4", True)):
        with pytest.raises(KeyboardInterrupt):
            generate(
                anchor_folder,
                speech,
                tmp_path / name,
                expression=expression_file,
                device="cpu",
                overwrite=overwrite,
                progress=stop,
            )
        assert contents(tmp_path) == before
