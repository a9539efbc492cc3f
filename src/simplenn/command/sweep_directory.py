"""The directory of a sweep that a command goes on with: whether it is one, and what its last command asked for."""

from hashlib import sha256
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from simplenn.command import directory
from simplenn.config import parse_plain, root_keys
from simplenn.errors import ConfigError
from simplenn.rundir import write_atomically
from simplenn.sweep.parts import refuse_old_layout

MULTIRUN = "multirun.yaml"
MOST_BYTES = 2**24  # of it: the command may name each seed
SUM = "# sha256 "  # in the last line, of all lines before it


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


def write_multirun(path: Path, sweep: DictConfig) -> None:
    """Writes what the command asks for as Hydra would, and its checksum. Raises `Unwritable`."""
    text = OmegaConf.to_yaml(sweep)
    write_atomically(path / MULTIRUN, f"{text}{SUM}{_digest(text)}\n".encode())


def read_multirun(path: Path) -> dict[str, Any]:
    """The configuration of the sweep's last command, with nothing in it resolved; empty where there is none.

    Raises `ConfigError` where the file is damaged. One without a checksum, as Hydra writes it, is read as it is.
    """
    file = path / MULTIRUN
    try:
        text = file.read_text()
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} must hold a sweep's configuration, but can't be read: {error}") from error
    content = parse_plain(text, file, MOST_BYTES)
    body, label, digest = text.rpartition(SUM)
    if label and digest != f"{_digest(body)}\n":
        raise ConfigError(
            f"{file} must be as the sweep's command wrote it, and its checksum is not the one in its last line; "
            "give that command in full, or delete the line if the change is meant"
        )
    return content if isinstance(content, dict) else {}


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
