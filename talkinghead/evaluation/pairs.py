"""Which output is scored against which reference: from files, folders with equal file names, or a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from talkinghead.errors import MissingFileError, TableError
from talkinghead.files import read_text
from talkinghead.tables import read_rows

DEFAULT_SYSTEM = "output"
"""Name of a system that was not given one."""
CLIP_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg")
"""Suffixes of the files in a folder that count as clips."""
COLUMNS = ("output", "reference", "driving", "phones", "transcript", "ceiling", "twin")
"""Columns of a table of pairs that name files; beside them there is `system`."""


@dataclass(frozen=True)
class Pair:
    """One output and the files it is scored against."""

    output: Path
    reference: Path | None = None
    """The real video; without it only the metrics that need none are measured."""
    driving: Path | None = None
    """Audio or video that the output was driven by; None takes the reference's audio."""
    phones: Path | None = None
    """Table of phone times in that audio."""
    transcript: Path | None = None
    """Text file of what is said in it, from which phone times are computed where there is no table of them."""
    ceiling: Path | None = None
    """An output generated for the same reference from its own coefficients."""
    twin: Path | None = None
    """An output generated like this one from a clip that differs in the original mouth alone."""
    system: str = DEFAULT_SYSTEM

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self) if field.name != "system"):
            if isinstance(value := getattr(self, name), str):
                object.__setattr__(self, name, Path(value))

    @property
    def name(self) -> str:
        """Name that matches the outputs of several systems: the reference's, where there is one."""
        return (self.reference or self.output).stem


@dataclass(frozen=True)
class LeftOut:
    """A clip that could not be scored."""

    output: Path
    system: str
    reason: str
    exit_code: int = MissingFileError.exit_code


@dataclass(frozen=True)
class MatchedPairs:
    """Pairs to score, and outputs that have no partner."""

    pairs: tuple[Pair, ...]
    left_out: tuple[LeftOut, ...]


def find_pairs(
    outputs: Sequence[Path],
    references: Sequence[Path] = (),
    driving: Sequence[Path] = (),
    phones: Sequence[Path] = (),
    against: Sequence[Path] = (),
    transcripts: Sequence[Path] = (),
) -> MatchedPairs:
    """Match outputs with their references, audio and phone times, and with the outputs of other systems.

    References, driving audio, phone times and transcripts are each one file for all outputs, or as many files as
    outputs in the same order, or a folder in which the file of the same name is taken, whatever its suffix.

    Args:
        outputs: files, folders of clips, or tables (.csv, see `read_table`).
        references: real videos.
        driving: audio or video files that the outputs were driven by.
        phones: tables of phone times.
        against: outputs of other systems: a folder each, or a file each where there is a single output.
        transcripts: text files.

    Raises:
        MissingFileError: a file or folder does not exist, or a folder has no clips.
        TableError: a table cannot be read, or the number of files of a kind does not match.
    """
    tables = [path for path in outputs if path.suffix.lower() == ".csv"]
    files, system = _expand([path for path in outputs if path not in tables])
    left_out: list[LeftOut] = []
    pairs = [Pair(path, system=system) for path in files]
    kinds = {"reference": references, "driving": driving, "phones": phones, "transcript": transcripts}
    for kind, given in kinds.items():
        pairs = _with_partners(pairs, kind, list(given), left_out)
    pairs += [pair for table in tables for pair in read_table(table)]
    names = {pair.system for pair in pairs}
    for other in against:
        name = _unused(other.name if other.is_dir() else other.stem, names)
        names.add(name)
        pairs += _of_other_system(pairs, system, other, name, left_out)
    return MatchedPairs(tuple(pairs), tuple(left_out))


def read_table(path: Path) -> list[Pair]:
    """Read pairs from a CSV file with the heading output and any others of `COLUMNS` and system.

    Paths in it are relative to the folder of the table.

    Raises:
        MissingFileError: there is no such file.
        TableError: it is not such a table.
    """
    problems: list[str] = []
    rows = list(read_rows(read_text(path, error=TableError), (*COLUMNS, "system"), ("output",), problems))
    problems += [f"line {line}: output is missing" for line, row in rows if "output" not in row]
    if problems:
        raise TableError(f"{path}, {problems[0]}.")
    if not rows:
        raise TableError(
            f"{path} needs a heading 'output' (others: {', '.join(COLUMNS[1:])}, system) and at least one row."
        )
    return [_pair(row, path.parent) for _, row in rows]


def _pair(row: dict[str, str], folder: Path) -> Pair:
    files = {name: folder / row[name] for name in COLUMNS if name in row}
    return Pair(files.pop("output"), **files, system=row.get("system", DEFAULT_SYSTEM))


def _expand(paths: Sequence[Path]) -> tuple[list[Path], str]:
    """Files, with folders replaced by the clips in them; and the name of the system."""
    files = [file for path in paths for file in (_clips(path) if path.is_dir() else [path])]
    return files, paths[0].name if len(paths) == 1 and paths[0].is_dir() and paths[0].name else DEFAULT_SYSTEM


def _clips(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in CLIP_SUFFIXES)
    if not found:
        raise MissingFileError(f"{folder} holds no clips ({', '.join(CLIP_SUFFIXES)}).")
    return found


def _with_partners(pairs: list[Pair], kind: str, given: list[Path], left_out: list[LeftOut]) -> list[Pair]:
    """Pairs with their file of a kind; a pair without its reference is left out, other kinds may be missing."""
    if not given:
        return pairs
    if len(given) == 1 and given[0].is_dir():
        matched = [_file_of_same_name(given[0], pair.output) for pair in pairs]
    elif len(given) in (1, len(pairs)):
        matched = [*given] * (len(pairs) if len(given) == 1 else 1)
    else:
        raise TableError(f"{len(given)} files of --{kind} for {len(pairs)} outputs: give one, or one for each.")
    kept = []
    for pair, partner in zip(pairs, matched, strict=True):
        if partner is None and kind == "reference":
            left_out.append(LeftOut(pair.output, pair.system, f"{given[0]} has no file of this name"))
        else:
            files: dict[str, Any] = {kind: partner}
            kept.append(replace(pair, **files))
    return kept


def _file_of_same_name(folder: Path, wanted: Path) -> Path | None:
    return next((path for path in sorted(folder.iterdir()) if path.stem == wanted.stem), None)


def _of_other_system(pairs: list[Pair], system: str, other: Path, name: str, left_out: list[LeftOut]) -> list[Pair]:
    """Pairs of another system's outputs with the same references."""
    own = [pair for pair in pairs if pair.system == system]
    if not other.is_dir():
        if len(own) != 1:
            raise TableError(f"--against {other} is one file for {len(own)} outputs: give a folder of the same names.")
        return [replace(own[0], output=other, system=name, ceiling=None, twin=None)]
    found = []
    for pair in own:
        partner = _file_of_same_name(other, pair.output)
        if partner is None:
            left_out.append(LeftOut(other / pair.output.name, name, f"{other} has no file of this name"))
        else:
            found.append(replace(pair, output=partner, system=name, ceiling=None, twin=None))
    return found


def _unused(name: str, names: set[str]) -> str:
    number = 2
    wanted = name
    while wanted in names:
        wanted, number = f"{name} {number}", number + 1
    return wanted
