"""Third-party weights are fetched once, from the first source that delivers them whole, and never otherwise."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.client import IncompleteRead
from pathlib import Path

import pytest

from talkinghead.errors import ModelUnavailableError
from talkinghead.weights import registry

CONTENT = b"a weight" * 1000
WEIGHT = replace(
    registry.FACE_LANDMARKER,
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
    monkeypatch.delenv(registry.MODELS_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(registry.platformdirs, "user_cache_path", lambda name: tmp_path / name)
    monkeypatch.setattr(registry, "WEIGHTS", {WEIGHT.name: WEIGHT})
    monkeypatch.setattr(registry.subprocess, "run", pip_that_fails)
    monkeypatch.setattr(registry.urllib.request, "urlopen", no_network)
    return tmp_path / "talkinghead" / "models"


Pip = Callable[..., subprocess.CompletedProcess[str]]
Https = Callable[..., object]


def pip_that_fails(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess(command, 1, "", "noise\nERROR: No matching distribution found\n")


def pip_that_delivers(content: bytes, member: str = WEIGHT.member) -> Pip:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        with zipfile.ZipFile(Path(command[command.index("--dest") + 1]) / "carrier-1-py3-none-any.whl", "w") as wheel:
            wheel.writestr(member, content)
        return subprocess.CompletedProcess(command, 0, "", "")

    return run


def pip_without_a_wheel(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess(command, 0, "", "")


def pip_that_hangs(command: list[str], *, timeout: float, **_: object) -> subprocess.CompletedProcess[str]:
    raise subprocess.TimeoutExpired(command, timeout)


def no_network(*_: object, **__: object) -> None:
    raise OSError("no route to host")


def https_that_delivers(content: bytes) -> Https:
    return lambda *_, **__: io.BytesIO(content)


def https_that_breaks_off(*_: object, **__: object) -> object:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise IncompleteRead(CONTENT[:10], len(CONTENT) - 10)

    return Broken()


@pytest.fixture
def https_that_hangs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Https]:
    """It answers when the test is over."""
    monkeypatch.setattr(registry, "CONNECT_TIMEOUT_S", 0.05)
    over = threading.Event()

    def urlopen(*_: object, **__: object) -> object:
        over.wait()
        raise OSError("too late")

    yield urlopen
    over.set()


def test_registry_entries_are_complete_and_named_by_their_key() -> None:
    for name, weight in registry.WEIGHTS.items():
        assert weight.name == name
        assert len(weight.sha256) == 64 and int(weight.sha256, 16)
        assert weight.address.startswith("https://")
        assert weight.member.endswith(weight.file_name) and weight.address.endswith(weight.file_name)


def test_unknown_name_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ModelUnavailableError, match="face_landmarker"):
        registry.locate("nobody")


def test_fetches_over_https_once_and_then_uses_the_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.urllib.request, "urlopen", https_that_delivers(CONTENT))
    path = registry.locate("tiny")
    assert path == cache / "tiny.bin" and path.read_bytes() == CONTENT
    assert list(cache.iterdir()) == [path], "no temporary file is left"
    monkeypatch.setattr(registry.urllib.request, "urlopen", no_network)
    assert registry.locate("tiny") == path


def test_pip_is_not_asked_where_https_delivers(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(registry.subprocess, "run", lambda command, **_: asked.append(command))
    monkeypatch.setattr(registry.urllib.request, "urlopen", https_that_delivers(CONTENT))
    assert registry.locate("tiny").is_file() and asked == []


@pytest.mark.parametrize(
    "urlopen",
    [no_network, https_that_delivers(CONTENT[::-1]), https_that_delivers(CONTENT[:-1]), https_that_breaks_off],
    ids=["no network", "wrong hash", "cut short", "broken off"],
)
def test_pip_is_asked_where_https_fails(urlopen: Https, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.urllib.request, "urlopen", urlopen)
    monkeypatch.setattr(registry.subprocess, "run", pip_that_delivers(CONTENT))
    assert registry.locate("tiny").read_bytes() == CONTENT


def test_pip_is_asked_soon_where_https_hangs(
    https_that_hangs: Https, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry.urllib.request, "urlopen", https_that_hangs)
    with pytest.raises(ModelUnavailableError, match="https: no answer within 0.05 s; pip: ERROR: No matching"):
        registry.locate("tiny")
    monkeypatch.setattr(registry.subprocess, "run", pip_that_delivers(CONTENT))
    assert registry.locate("tiny").read_bytes() == CONTENT


def test_no_more_is_read_than_the_weight_has(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.BytesIO(CONTENT + bytes(1 << 20))
    monkeypatch.setattr(stream, "close", lambda: None)
    monkeypatch.setattr(registry.urllib.request, "urlopen", lambda *_, **__: stream)
    with pytest.raises(ModelUnavailableError, match="https: wrong sha256"):
        registry.locate("tiny")
    assert stream.tell() == len(CONTENT) + 1


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (pip_that_delivers(CONTENT[::-1]), "pip: wrong sha256"),
        (pip_that_delivers(CONTENT + b"more"), "pip: .* is of another size"),
        (pip_that_delivers(CONTENT, "elsewhere/tiny.bin"), "pip: .* does not hold carrier/tiny.bin"),
        (pip_that_fails, "pip: ERROR: No matching distribution"),
        (pip_without_a_wheel, "pip: no wheel was downloaded"),
        (pip_that_hangs, "pip: .* timed out after 300"),
    ],
    ids=["wrong hash", "wrong size", "no such member", "pip fails", "no wheel", "pip hangs"],
)
def test_a_bad_delivery_is_refused_and_nothing_is_kept(
    run: Pip, reason: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry.subprocess, "run", run)
    with pytest.raises(ModelUnavailableError, match=registry.MODELS_VARIABLE) as caught:
        registry.locate("tiny")
    assert "\n" not in str(caught.value) and "https: no route to host" in str(caught.value)
    assert caught.match(reason)
    assert not cache.exists()


def test_nothing_is_fetched_on_import() -> None:
    """Every attempt to look up a host, to connect, or to start a process ends the interpreter."""
    code = (
        "import os, sys;"
        "watched = ('socket.getaddrinfo', 'socket.connect', 'subprocess.Popen');"
        "sys.addaudithook(lambda event, _: os._exit(9) if event in watched else None);"
        "import talkinghead.weights.registry, talkinghead.weights.bundled, talkinghead.weights.licenses"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_damaged_cache_is_fetched_anew(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.mkdir(parents=True)
    (cache / "tiny.bin").write_bytes(CONTENT[:-1])
    monkeypatch.setattr(registry.subprocess, "run", pip_that_delivers(CONTENT))
    assert registry.locate("tiny").read_bytes() == CONTENT


def test_looking_only_never_fetches(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.subprocess, "run", pip_that_delivers(CONTENT))
    with pytest.raises(ModelUnavailableError, match="models --fetch"):
        registry.locate("tiny", fetch=False)
    assert not cache.exists()


def test_a_named_folder_is_used_alone(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    named = tmp_path / "mine"
    named.mkdir()
    monkeypatch.setenv(registry.MODELS_VARIABLE, str(named))
    monkeypatch.setattr(registry.subprocess, "run", pip_that_delivers(CONTENT))
    with pytest.raises(ModelUnavailableError, match="is missing in .*mine"):
        registry.locate("tiny")
    (named / "tiny.bin").write_bytes(CONTENT[::-1])
    with pytest.raises(ModelUnavailableError, match="sha256"):
        registry.locate("tiny")
    (named / "tiny.bin").write_bytes(CONTENT)
    assert registry.locate("tiny") == named / "tiny.bin"
    assert not cache.exists()


def test_an_unwritable_cache_is_a_typed_error(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder should be")
    monkeypatch.setattr(registry.subprocess, "run", pip_that_delivers(CONTENT))
    with pytest.raises(ModelUnavailableError, match="cannot write"):
        registry.locate("tiny")


class TestPackagedFile:
    """A weight inside an installed package, here one that the test makes."""

    @pytest.fixture
    def package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        folder = tmp_path / "carrier_of_a_weight"
        (folder / "data").mkdir(parents=True)
        (folder / "__init__.py").write_text("raise AssertionError('the package was imported')")
        (folder / "data" / "tiny.bin").write_bytes(CONTENT)
        monkeypatch.syspath_prepend(str(tmp_path))
        return folder.name

    def test_it_is_found_and_the_package_is_not_run(self, package: str, tmp_path: Path) -> None:
        found = registry.packaged_file(package, Path("data/tiny.bin"), WEIGHT.sha256, "carrier==1")
        assert found == tmp_path / package / "data" / "tiny.bin"

    @pytest.mark.parametrize(
        ("name", "member", "sha256", "reason"),
        [
            ("nobody_has_this", "data/tiny.bin", WEIGHT.sha256, "not installed"),
            (None, "data/other.bin", WEIGHT.sha256, "not installed"),
            (None, "data/tiny.bin", "0" * 64, "another version"),
        ],
    )
    def test_what_is_not_there_says_how_to_get_it(
        self, name: str | None, member: str, sha256: str, reason: str, package: str
    ) -> None:
        with pytest.raises(ModelUnavailableError, match=f"{reason}: pip install 'carrier==1'"):
            registry.packaged_file(name or package, Path(member), sha256, "carrier==1")
