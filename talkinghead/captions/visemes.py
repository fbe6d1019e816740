"""Visemes of a speech, for drawn mouths: the shapes of Rhubarb Lip Sync, and the viseme ids of Azure Speech and SAPI.

Sources: Rhubarb Lip Sync's manual ("Mouth shapes", "Output formats"; the six basic shapes of Preston Blair with G, H
and X), and Microsoft's "Get facial position with viseme" (Azure AI Speech), whose ids 0 to 21 are those of SAPI 5.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal
from xml.etree import ElementTree

from talkinghead.errors import OutputError
from talkinghead.files import check_output_path, write_text
from talkinghead.speech.articulation import ARPABET, symbols_of
from talkinghead.speech.phone_times import PAUSES, plain
from talkinghead.text_to_speech.engine import Phone

VisemeSet = Literal["rhubarb", "azure"]
"""Which shapes a mouth has."""

RHUBARB: Mapping[str, str] = MappingProxyType(
    {
        "A": "pbmɸɓʙβ",
        "B": "ɰɴszʃʒɕʑʂʐʧʤʦʨtdnθðɲɳʈɖɗʝçcɟkɡgŋxɣqɢχhɦħjiɪɨᵻʔɾɽɻɹrʁʀɬɮɥeʎ",
        "C": "ɛæEœøɘəɜʌɤɐᵊɵ",
        "D": "aɑɒäɶAI",
        "E": "ɔɚɝɞOʊoɯʉɺY",
        "F": "uwʍWyʏ",
        "G": "fvɱʋ",
        "H": "lɫɭ",
    }
)
"""Mouth shape -> the phones (IPA) that are spoken with it; X is the mouth at rest."""
AZURE: Mapping[int, str] = MappingProxyType(
    {
        1: "æəʌɐᵊaäɘɜɞɵɶ", 2: "ɑɒ", 3: "ɔ", 4: "ɛʊeEœøɤ", 5: "ɝɚ", 6: "jiɪɨᵻyʏɥ", 7: "wuʍʉɯ", 8: "oO", 9: "W",
        10: "Y", 11: "AI", 12: "hɦħxɣχʁʀʔ", 13: "ɹrɻɾɽɺ", 14: "lɫɭʎɬɮ", 15: "szɕʑʦʨ", 16: "ʃʒʧʤʂʐ", 17: "ð", 18: "fvɱʋ",
        19: "tdnθɲɳʈɖɗ", 20: "kɡgŋqɢcɟçʝɰɴ", 21: "pbmɸɓʙβ",
    }
)  # fmt: skip
"""Viseme id -> the phones (IPA); 0 is silence."""
AZURE_WHOLE: Mapping[str, int] = MappingProxyType(
    {"eɪ": 4, "oʊ": 8, "əʊ": 8, "aʊ": 9, "ɔɪ": 10, "aɪ": 11, "tʃ": 16, "dʒ": 16, "tɕ": 16, "tʂ": 16}
)
"""Phones of two symbols that have one id."""
TICKS_HZ = 10_000_000
"""Azure counts times in 100 ns."""


@dataclass(frozen=True)
class Viseme:
    """A mouth shape and when it is seen."""

    shape: str
    """Rhubarb's letter, or Azure's id."""
    start_s: float
    end_s: float


def make_visemes(phones: Sequence[Phone], duration_s: float, kind: VisemeSet) -> tuple[Viseme, ...]:
    """The mouth shapes of phones.

    Args:
        phones: in the order of time.
        duration_s: length of the speech; before, between and after the phones the mouth is at rest.
        kind: whose shapes.

    Returns:
        Without gaps from 0 to `duration_s`; neighbors differ. Each begins with its phone, or within a phone of two
        symbols.
    """
    rest = "X" if kind == "rhubarb" else "0"
    shapes = _shapes_of_rhubarb if kind == "rhubarb" else _shapes_of_azure
    found: list[Viseme] = []
    position_s = 0.0
    for phone in phones:
        start_s, end_s = min(max(phone.start_s, position_s), duration_s), min(phone.end_s, duration_s)
        names = [] if plain(phone.symbol) in PAUSES else shapes(phone.symbol)
        if end_s <= start_s or not names:
            continue
        found.append(Viseme(rest, position_s, start_s))
        step_s = (end_s - start_s) / len(names)
        found += [
            Viseme(name, start_s + step_s * number, start_s + step_s * (number + 1))
            for number, name in enumerate(names)
        ]
        position_s = end_s
    found.append(Viseme(rest, position_s, duration_s))
    joined: list[Viseme] = []
    for viseme in found:
        if viseme.end_s - viseme.start_s < 1e-9:
            continue
        if joined and joined[-1].shape == viseme.shape:
            joined[-1] = Viseme(viseme.shape, joined[-1].start_s, viseme.end_s)
        else:
            joined.append(viseme)
    return tuple(joined)


def _shapes_of_rhubarb(phone: str) -> list[str]:
    return list(
        dict.fromkeys(next(shape for shape, symbols in RHUBARB.items() if one in symbols) for one in symbols_of(phone))
    )


def _shapes_of_azure(phone: str) -> list[str]:
    bare = ARPABET.get(plain(phone).upper(), plain(phone)) if phone.isascii() else plain(phone)
    if bare in AZURE_WHOLE:
        return [str(AZURE_WHOLE[bare])]
    ids = (next(number for number, symbols in AZURE.items() if one in symbols) for one in symbols_of(phone))
    return list(dict.fromkeys(map(str, ids)))


def _tsv(visemes: Sequence[Viseme], audio: str) -> str:
    ends = f"{visemes[-1].end_s:.2f}\tX\n"
    return "".join(f"{viseme.start_s:.2f}\t{viseme.shape}\n" for viseme in visemes) + ends


def _xml(visemes: Sequence[Viseme], audio: str) -> str:
    root = ElementTree.Element("rhubarbResult")
    metadata = ElementTree.SubElement(root, "metadata")
    ElementTree.SubElement(metadata, "soundFile").text = audio
    ElementTree.SubElement(metadata, "duration").text = f"{visemes[-1].end_s:.2f}"
    cues = ElementTree.SubElement(root, "mouthCues")
    for viseme in visemes:
        times = {"start": f"{viseme.start_s:.2f}", "end": f"{viseme.end_s:.2f}"}
        ElementTree.SubElement(cues, "mouthCue", times).text = viseme.shape
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _json(visemes: Sequence[Viseme], audio: str) -> str:
    cues = [
        {"start": round(viseme.start_s, 2), "end": round(viseme.end_s, 2), "value": viseme.shape} for viseme in visemes
    ]
    metadata = {"soundFile": audio, "duration": round(visemes[-1].end_s, 2)}
    return _dumped({"metadata": metadata, "mouthCues": cues})


def _azure_json(visemes: Sequence[Viseme], audio: str) -> str:
    return _dumped(
        [{"audio_offset": round(viseme.start_s * TICKS_HZ), "viseme_id": int(viseme.shape)} for viseme in visemes]
    )


def _dumped(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


_FORMATS: Mapping[VisemeSet, Mapping[str, Callable[[Sequence[Viseme], str], str]]] = MappingProxyType(
    {"rhubarb": {".tsv": _tsv, ".xml": _xml, ".json": _json}, "azure": {".json": _azure_json}}
)
"""Suffix of a file's name -> how its content is written, given the visemes and the path of the audio."""


@dataclass(frozen=True)
class VisemeFile:
    """A file of visemes to write."""

    path: Path
    """Rhubarb's shapes go to .tsv, .xml or .json, Azure's ids to .json."""
    kind: VisemeSet = "rhubarb"

    def check(self, *, overwrite: bool) -> None:
        """Raise OutputExistsError or OutputError where the file cannot be written."""
        formats = _FORMATS[self.kind]
        if self.path.suffix.lower() not in formats:
            raise OutputError(
                f"{self.path}: the name of a file of {self.kind} visemes must end in {', '.join(formats)}"
            )
        check_output_path(self.path, overwrite=overwrite, suffixes=tuple(formats))

    def write(self, phones: Sequence[Phone], duration_s: float, audio: Path) -> None:
        """Write the visemes of phones, in the time of `audio`, which lasts so long.

        Raises:
            OutputError: the file cannot be written.
        """
        visemes = make_visemes(phones, duration_s, self.kind)
        write_text(self.path, _FORMATS[self.kind][self.path.suffix.lower()](visemes, str(audio)))
