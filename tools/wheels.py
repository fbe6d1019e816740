"""Is there a wheel of every dependency, for each platform and version of Python that pyproject.toml names?

    pip install uv
    python tools/wheels.py            # all, with every extra; some minutes the first time
    python tools/wheels.py --extras serve --platforms windows --pythons 3.12

uv resolves the dependencies as they would be installed there (markers, tags of wheels), with wheels alone. Nothing is
downloaded but descriptions of packages, and nothing is run: that something resolves does not say that it works.
Prints a table in Markdown: packages and download in MB, or what has no wheel. Exits with 1 where the plain install does
not resolve.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLATFORMS = {
    "linux x86-64": "x86_64-unknown-linux-gnu",
    "linux aarch64": "aarch64-unknown-linux-gnu",
    "macos arm64": "aarch64-apple-darwin",
    "windows x64": "x86_64-pc-windows-msvc",
}
"""Platforms by what uv calls them."""
OLDEST_MACOS = "14.0"
"""PyAV's wheels are for this and newer ones."""
PLAIN = "(none)"
"""The row of what every install needs."""


@dataclass(frozen=True)
class Resolution:
    """What uv found for one platform, version and extra."""

    packages: int = 0
    megabytes: float = 0
    """Of the wheels to download."""
    missing: str = ""
    """Why there is none; empty where there is."""

    def __str__(self) -> str:
        return self.missing or f"{self.packages}, {self.megabytes:.0f} MB"


def project() -> dict[str, object]:
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"])


def pythons() -> list[str]:
    """Versions that the classifiers name."""
    lines = project()["classifiers"]
    assert isinstance(lines, list)
    return [line.split(" :: ")[-1] for line in lines if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", line)]


def extras() -> list[str]:
    """Every extra but the developers' one, which has others in it."""
    named = project()["optional-dependencies"]
    assert isinstance(named, dict)
    return [name for name in named if name != "dev"]


def uv() -> list[str]:
    """The command uv, from the path or as a module."""
    if found := shutil.which("uv"):
        return [found]
    return [sys.executable, "-m", "uv"]


def resolve(platform: str, python: str, extra: str) -> Resolution:
    """Resolve what one install needs."""
    command = [*uv(), "pip", "compile", "--quiet", "--format", "pylock.toml", "--only-binary", ":all:"]
    command += ["--python-platform", PLATFORMS[platform], "--python-version", python, "pyproject.toml"]
    command += [] if extra == PLAIN else ["--extra", extra]
    environment = {**os.environ, "MACOSX_DEPLOYMENT_TARGET": OLDEST_MACOS}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=ROOT, env=environment)
    return read_lock(done.stdout) if done.returncode == 0 else Resolution(missing=reason(done.stderr))


def read_lock(text: str) -> Resolution:
    """Count the packages of a pylock.toml (PEP 751); the largest wheel of each counts where there are several."""
    packages = tomllib.loads(text)["packages"]
    size = sum(max((wheel.get("size", 0) for wheel in package.get("wheels", ())), default=0) for package in packages)
    return Resolution(len(packages), size / 1e6)


def reason(message: str) -> str:
    """The packages without wheels, by uv's message, which names each with its versions."""
    flat = " ".join(message.split())
    found = re.findall(r"([A-Za-z0-9_.-]+?)(?:\[\w+\])?[<>=!]=?[\w.<>=,!+-]* has no (?:usable )?wheels", flat)
    found += re.findall(r"([A-Za-z0-9_.-]+?)[<>=!]=?[\w.<>=,!+-]* has no wheels with a matching", flat)
    return f"no wheel of {', '.join(sorted(set(found)))}" if found else f"**does not resolve**: {flat[:160]}"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--platforms", nargs="+", default=list(PLATFORMS), help="parts of names: linux, windows ...")
    parser.add_argument("--pythons", nargs="+", default=pythons())
    parser.add_argument("--extras", nargs="*", default=extras(), help="beside the plain install, which is always asked")
    options = parser.parse_args()
    platforms = [name for name in PLATFORMS if any(part in name for part in options.platforms)]
    print(f"| extra | Python | {' | '.join(platforms)} |\n|---|---|{'---|' * len(platforms)}")
    is_complete = True
    for extra in (PLAIN, *options.extras):
        for python in options.pythons:
            found = [resolve(platform, python, extra) for platform in platforms]
            print(f"| {extra} | {python} | {' | '.join(map(str, found))} |", flush=True)
            is_complete &= extra != PLAIN or not any(resolution.missing for resolution in found)
    sys.exit(0 if is_complete else 1)


if __name__ == "__main__":
    main()
