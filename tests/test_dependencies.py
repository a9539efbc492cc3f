"""What pyproject.toml declares is what the package needs."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
from conftest import ROOT
from packaging.requirements import Requirement

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DECLARED = {requirement.name: requirement for requirement in map(Requirement, PROJECT["dependencies"])}
OWN = {"simplenn", "hydra_plugins"}
# Of an extra: imported within functions, where the user has asked for what takes it.
OPTIONAL = {requirement.name for requirement in map(Requirement, PROJECT["optional-dependencies"]["dask"])}
BOUNDED = ("torch", "lightning", "hydra-core", "omegaconf", "tensorboard")


def imported(folder: Path) -> set[str]:
    """The top-level names that the files below import, in functions and for type checkers too."""
    names = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                names.add(str(node.module).partition(".")[0])
            elif isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
    return names - set(sys.stdlib_module_names) - OWN


def test_what_is_imported_is_declared_and_no_more() -> None:
    """A package that only comes along with another may stay away with its next release."""
    distributions = packages_distributions()
    missing = {name: [name.replace("_", "-")] for name in imported(ROOT / "src") if name not in distributions}
    assert {name for names in missing.values() for name in names} <= OPTIONAL
    needed = {distributions[name][0].lower() for name in imported(ROOT / "src") if name not in missing}
    assert needed - OPTIONAL == set(DECLARED)
    assert needed & OPTIONAL in (OPTIONAL, set())  # without the extra, none is there


@pytest.mark.parametrize("name", DECLARED)
def test_what_the_tests_run_with_is_within_the_bounds(name: str) -> None:
    """And it is what constraints.txt pins."""
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    pinned = {package.lower(): number for package, number in pinned.items()}
    assert version(name).partition("+")[0] in DECLARED[name].specifier
    assert pinned[name] in DECLARED[name].specifier


@pytest.mark.parametrize("name", BOUNDED)
def test_a_package_whose_inner_workings_are_used_has_an_upper_bound(name: str) -> None:
    """Of the next minor release: not one that is merely the next patch, and not a major one."""
    (bound,) = [part.version for part in DECLARED[name].specifier if part.operator == "<"]
    major, minor, *_ = version(name).split(".")
    assert bound == f"{major}.{int(minor) + 1}"
