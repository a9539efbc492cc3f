"""The runs and the sweeps at a path, as a person names it: a run, a folder of runs, a sweep, a folder of all of them.

Imports neither torch nor TensorBoard.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from simplenn.config import did_you_mean
from simplenn.errors import ConfigError
from simplenn.rundir.hydra_folder import hydra_file
from simplenn.scripts import script_command
from simplenn.sweep.results import has_sweep

DEEPEST = 4  # folders below the one that is named: outputs/sweeps/<sweep>/runs, and one of the user's own


@dataclass
class Found:
    """Directories of runs, those written last first, and of sweeps. No run of a sweep is among the runs."""

    path: Path
    runs: list[Path] = field(default_factory=list)
    sweeps: list[Path] = field(default_factory=list)


def find(path: Path) -> Found:
    """Raises `ConfigError` where there is neither a run nor a sweep."""
    if not path.is_dir():
        raise ConfigError(f"{path} must be the directory of a run, of a sweep, or of several; {_near(path)}")
    found = Found(path)
    _look(path, found, DEEPEST)
    if not found.runs and not found.sweeps:
        raise ConfigError(f"{path} has neither a run nor a sweep; train one with {script_command('train.py')}")
    found.runs.sort(key=_written, reverse=True)
    found.sweeps.sort(key=_written, reverse=True)
    return found


def is_run(path: Path) -> bool:
    return hydra_file(path, "config.yaml").is_file() or bool(event_files(path))


def event_files(directory: Path) -> list[Path]:
    """As TensorBoard takes them."""
    return sorted(directory.glob("*tfevents*"))


def _look(path: Path, found: Found, deeper: int) -> None:
    if has_sweep(path):
        found.sweeps.append(path)
    elif is_run(path):
        found.runs.append(path)
    elif deeper:
        with os.scandir(path) as entries:
            names = [e.name for e in entries if e.is_dir() and not e.name.startswith(".")]
        for name in sorted(names):
            if not name.endswith(".damaged"):
                _look(path / name, found, deeper - 1)


def _written(path: Path) -> tuple[float, str]:
    files = event_files(path) or [path]
    return files[-1].stat().st_mtime, path.name


def _near(path: Path) -> str:
    beside = path.parent
    if (beside.parent / "results.csv").is_file():
        return f"write it with {script_command('extract.py', beside.parent, path.name)}"
    names = sorted(entry.name for entry in beside.iterdir() if entry.is_dir()) if beside.is_dir() else []
    return did_you_mean(path.name, names) if names else f"train one with {script_command('train.py')}"
