"""The shape of the package: imports point down only, nothing heavy happens on import, public names are pinned."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import talkinghead

PACKAGE = Path(talkinghead.__file__).parent

FLOORS = (
    {"errors", "structures", "options"},
    {"files", "device"},
    {"weights"},
    {"media"},
    {"face", "metrics", "provenance", "text_to_speech"},
    {"network"},
    {"anchor"},
    {"speech"},
    {"generation"},
    {"evaluation", "training"},
    {"batch"},
    {"cli"},
    {"__main__"},
)
"""From the ground up. A module may import from its own floor and those below; a package counts as one."""

HEAVY = ("torch", "torchaudio", "transformers", "librosa", "numba", "scipy", "cv2", "av", "ai_edge_litert", "pytorch3d")


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name below talkinghead, without the root itself."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            found[name] = path
    return found


def imports(path: Path) -> set[str]:
    """Modules of this package that a file imports anywhere, by their dotted name below talkinghead."""
    known = modules()
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} line {node.lineno}: imports are absolute"
            # `from package import name` imports a module only where there is one of that name.
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        below = (name.removeprefix("talkinghead.") for name in names if name.startswith("talkinghead."))
        found |= {name for name in below if name in known}
    return found


def floor(module: str) -> int:
    # What `python -m` runs is an entry point, wherever it lies: nothing imports it.
    top = "__main__" if module.endswith(".__main__") else module.split(".")[0]
    for number, names in enumerate(FLOORS):
        if top in names:
            return number
    pytest.fail(f"talkinghead.{top} has no floor: put it into FLOORS")


def loaded_by(statement: str) -> set[str]:
    """Top-level modules in a fresh interpreter after a statement."""
    code = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("module", modules())
def test_imports_point_down_only(module: str) -> None:
    upward = {name for name in imports(modules()[module]) if floor(name) > floor(module)}
    assert not upward


def test_no_circle_of_imports() -> None:
    waiting = {module: imports(path) - {module} for module, path in modules().items()}
    while waiting:
        ready = {module for module, needs in waiting.items() if not needs & waiting.keys()}
        assert ready, f"a circle among {sorted(waiting)}"
        waiting = {module: needs for module, needs in waiting.items() if module not in ready}


@pytest.mark.parametrize(
    "module", ["talkinghead", "talkinghead.cli.main", "talkinghead.errors", "talkinghead.weights.registry"]
)
def test_importing_does_nothing_heavy(module: str) -> None:
    assert not loaded_by(f"import {module}").intersection(HEAVY)


def test_public_names() -> None:
    assert sorted(talkinghead.__all__) == ["__version__", "evaluate", "generate", "load_anchor", "train"]


@pytest.mark.parametrize("name", [name for name in talkinghead.__all__ if name != "__version__"])
def test_public_functions_are_there(name: str) -> None:
    assert callable(getattr(talkinghead, name))
    assert name in dir(talkinghead)


def test_unknown_public_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = talkinghead.nothing
