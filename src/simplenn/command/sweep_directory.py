"""The directory of a sweep that a command goes on with: whether it is one."""

from pathlib import Path

from omegaconf import DictConfig

from simplenn.command import directory
from simplenn.config import root_keys
from simplenn.errors import ConfigError
from simplenn.sweep.multirun import read_multirun
from simplenn.sweep.parts import refuse_old_layout


def existing(sweep: DictConfig) -> Path | None:
    """The directory that the command names, if it is there; `None` where the sweep is to be new.

    Raises `ConfigError` where it is something else than a sweep of this repo's.
    """
    if not directory.is_named(sweep, "sweep"):
        return None
    path = directory.requested_directory(sweep, "sweep")
    if not path.exists():
        return None
    fix = "try another name" if sweep.name is not None else "try another hydra.sweep.dir"
    if not path.is_dir():
        raise ConfigError(f"{path} must be a sweep's directory or new, and is a file; {fix}")
    refuse_old_layout(path)
    if not is_empty(path) and not has_parts(path) and not is_sweep(path):
        raise ConfigError(f"{path} must be a sweep of this repo's or new, and holds other files; {fix}")
    return path


def is_empty(path: Path) -> bool:
    """Whether there is nothing in the directory but what a killed start leaves."""
    return all(entry.name.startswith(".") for entry in path.iterdir())


def has_parts(path: Path) -> bool:
    """Whether there is what a sweep of this repo's has trained, whatever has become of its `multirun.yaml`."""
    return (path / "results.csv.sha256").is_file() or any(path.glob("stacks/*/structure.json"))


def is_sweep(path: Path) -> bool:
    """Whether the directory holds a sweep of this repo's: its `multirun.yaml` has our keys."""
    return set(root_keys()) - {"rerun", "on_error"} <= read_multirun(path).keys()


def is_told(path: Path) -> bool:
    """Whether the sweep's `multirun.yaml` can be read."""
    try:
        return is_sweep(path)
    except ConfigError:
        return False
