"""The rooms of the package: each may import what its `__init__.py` names, and imports point down only."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGE = ROOT / "src" / "simplenn"
PLUGINS = ROOT / "src" / "hydra_plugins" / "vectorized"
# From the ground up: a room, or a module beside the rooms, may import only from floors below its own.
FLOORS = (
    ("compiler", "errors", "scripts", "signals"),
    ("rank", "metric", "network", "data"),
    ("regressor", "config"),
    ("setup", "rundir"),
    ("groups",),
    ("planning",),
    ("training",),
    ("stacking", "sweep", "evaluation"),
    ("cluster", "report"),
    ("command",),
    ("notebook", "explanation"),
)
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def imports_of(path: Path) -> Iterator[str]:
    """Every name of simplenn's that a file imports, in functions and for type checkers too: `rundir`, `data`, ..."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} has a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("simplenn."))


def files_of(name: str) -> list[Path]:
    folder = PACKAGE / name
    return list(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def may_import(room: Path) -> set[str]:
    docstring = ast.get_docstring(ast.parse((room / "__init__.py").read_text())) or ""
    (names,) = re.findall(r"^May import: ([\w,\s]+)\.$", docstring, re.MULTILINE)
    return set(re.split(r",\s+", names))


def test_every_file_of_the_package_has_a_floor() -> None:
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert modules | set(ROOMS) == set(FLOOR_OF)


@pytest.mark.parametrize("name", FLOOR_OF)
def test_imports_point_down(name: str) -> None:
    """So that there is no circle, whatever is imported within functions."""
    for path in files_of(name):
        for other in set(imports_of(path)) - {name}:
            assert FLOOR_OF[other] < FLOOR_OF[name], f"{path} imports {other}"


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_what_it_says(room: str) -> None:
    """No more, and no less: the line in its `__init__.py` is the truth."""
    imported = {other for path in files_of(room) for other in imports_of(path)} - {room}
    assert imported == may_import(PACKAGE / room)


def exports_of(room: str) -> set[str]:
    tree = ast.parse((PACKAGE / room / "__init__.py").read_text())
    lists = [
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    return {name for value in lists for name in ast.literal_eval(value)}


@pytest.mark.parametrize("room", ROOMS)
def test_what_a_room_exports_is_imported_from_the_room(room: str) -> None:
    """Its `__init__.py` is the table of contents: whoever comes from outside takes a name from there."""
    outside = [path for path in [*PACKAGE.rglob("*.py"), *PLUGINS.glob("*.py")] if PACKAGE / room not in path.parents]
    for path in outside:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"simplenn.{room}."):
                deep = {alias.name for alias in node.names} & exports_of(room)
                assert not deep, f"{path} imports {deep} from {node.module}, and not from simplenn.{room}"


def test_the_plugins_know_no_model() -> None:
    imported = {other for path in PLUGINS.glob("*.py") for other in imports_of(path)}
    assert imported == may_import(PLUGINS)


def test_the_package_imports_no_plugin() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert "import hydra_plugins" not in path.read_text() and "from hydra_plugins" not in path.read_text(), path
