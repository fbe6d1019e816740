"""The shape of the package: imports point down, importing is cheap, functions are short, public names are pinned."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import talkinghead

PACKAGE = Path(talkinghead.__file__).parent

FLOORS = (
    {"errors", "structures", "locale", "options"},
    {"files", "tables", "device", "processes"},
    {"weights"},
    {"media"},
    {"face", "matting", "metrics", "provenance", "text_to_speech"},
    {"network", "speech", "captions"},
    {"anchor", "clip_check"},
    {"generation"},
    {"evaluation", "training", "live"},
    {"batch"},
    {"server"},
    {"cli"},
    {"__main__"},
)
"""From the ground up. A module may import from its own floor and those below; a package counts as one."""

MOST_FILES_AT_THE_TOP = 8
LONGEST_FUNCTION_LINES = 60
MOST_PARAMETERS = 8
"""Of a public callable; the commands of the command line have one for each option, and are left out."""

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


Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> Iterator[Function]:
    """Every function and method of a file, nested ones too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Function):
            yield node


def public_callables(path: Path) -> Iterator[tuple[str, Function, bool]]:
    """Name, definition, and whether it is bound, of the functions, methods and constructors that others may call."""
    body = ast.parse(path.read_text()).body
    for node in body:
        if isinstance(node, Function) and not node.name.startswith("_") and not is_command(node):
            yield node.name, node, False
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for method in node.body:
                if isinstance(method, Function) and (method.name == "__init__" or not method.name.startswith("_")):
                    static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in method.decorator_list)
                    yield f"{node.name}.{method.name}", method, not static


def is_command(function: Function) -> bool:
    """Whether a decorator, such as `click.command()` or `main.group`, makes it a command of the command line."""
    decorators = (d.func if isinstance(d, ast.Call) else d for d in function.decorator_list)
    return any(isinstance(d, ast.Attribute) and d.attr in ("command", "group") for d in decorators)


def parameter_count(function: Function, bound: bool) -> int:
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return sum(parameter is not None for parameter in named) - bound


def floor(module: str) -> int:
    top = module.split(".")[0]
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


def test_the_top_of_the_package_holds_packages_and_few_files() -> None:
    shown = [path for path in PACKAGE.iterdir() if path.name not in ("__pycache__", "py.typed")]
    files = {path.name for path in shown if path.is_file()}
    assert all(name.endswith(".py") for name in files) and len(files) <= MOST_FILES_AT_THE_TOP, sorted(files)
    assert all((path / "__init__.py").is_file() for path in shown if path.is_dir())


def test_no_function_is_too_long() -> None:
    long = [
        f"{path.relative_to(PACKAGE)}: {function.name}, {lines} lines"
        for path in sorted(PACKAGE.rglob("*.py"))
        for function in functions(path)
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > LONGEST_FUNCTION_LINES
    ]
    assert not long


def test_no_public_callable_has_too_many_parameters() -> None:
    many = [
        f"{path.relative_to(PACKAGE)}: {name}, {count} parameters"
        for path in sorted(PACKAGE.rglob("*.py"))
        for name, function, bound in public_callables(path)
        if (count := parameter_count(function, bound)) > MOST_PARAMETERS
    ]
    assert not many


def test_parameters_are_counted_as_a_caller_sees_them(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        "def one(a, /, b, *c, d, **e): ...\ndef _two(a): ...\n@click.command()\ndef three(a, b): ...\n"
        "class Four:\n    def __init__(self, a, b): ...\n    @staticmethod\n    def five(a): ...\n"
        "    def _six(self): ...\n"
    )
    counts = {name: parameter_count(function, bound) for name, function, bound in public_callables(path)}
    assert counts == {"one": 5, "Four.__init__": 2, "Four.five": 1}


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
