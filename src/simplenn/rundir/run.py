"""A run's directory: what is where in it, and the lock that keeps other processes out."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from simplenn.config import did_you_mean, read_config
from simplenn.errors import ConfigError
from simplenn.rundir.atomic import write_atomically
from simplenn.rundir.result import Result


@dataclass(frozen=True)
class Run:
    """A run's directory and what is where in it."""

    directory: Path

    @property
    def config(self) -> DictConfig:
        """The configuration that the run was started with. Raises `ConfigError` where there is none."""
        path = self.directory / ".hydra" / "config.yaml"
        try:
            return read_config(path)
        except FileNotFoundError:
            raise ConfigError(_not_a_run(self.directory)) from None

    @property
    def overrides(self) -> list[str]:
        """What was given on the command line."""
        path = self.directory / ".hydra" / "overrides.yaml"
        try:
            overrides: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
            return [str(override) for override in overrides]
        except Exception as error:
            raise ConfigError(f"{path} must hold a run's overrides, but can't be read: {error}") from error

    @property
    def metrics_file(self) -> Path:
        return self.directory / "metrics.csv"

    def checkpoint(self, which: str) -> Path:
        """`which` is `best` or `last`."""
        return self.directory / "checkpoints" / f"{which}.ckpt"

    @property
    def result_file(self) -> Path:
        return self.directory / "result.json"

    def result(self) -> Result | None:
        """`None` while the run is not finished; a file that is no result counts as none."""
        try:
            return Result(**json.loads(self.result_file.read_text()))
        except (FileNotFoundError, TypeError, ValueError):
            return None

    def write_result(self, result: Result) -> None:
        write_atomically(self.result_file, result.text.encode())

    def lock(self) -> None:
        """Holds the directory against other processes until `locked` has taken the lock over and ended.

        The gate takes it, for the training that follows in this process. Raises `ConfigError` where another has it.
        """
        _handed_over[self.directory.resolve()] = self._take_lock()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the directory against other processes. Raises `ConfigError` where another has it."""
        handle = _handed_over.pop(self.directory.resolve(), None)
        if handle is None:
            handle = self._take_lock()
        try:
            yield
        finally:
            os.close(handle)

    def _take_lock(self) -> int:
        handle = os.open(self.directory, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            if not isinstance(error, BlockingIOError):
                raise
            raise ConfigError(f"{self.directory} is in use by another process; wait for it to end") from None
        return handle


# Descriptors of `Run.lock`, by directory: a second lock of one directory in one process would be refused, too.
_handed_over: dict[Path, int] = {}


def find_run(path: Path) -> Run:
    """The run at a path. Raises `ConfigError`, naming the nearest, where there is none."""
    if not (path / ".hydra" / "config.yaml").is_file():
        raise ConfigError(_not_a_run(path))
    return Run(path)


def _not_a_run(path: Path) -> str:
    beside = path.parent
    if (beside.parent / "results.csv").is_file():
        return f"{path} is not a run's directory; write it with python scripts/extract.py {beside.parent} '{path.name}'"
    runs = sorted(entry.name for entry in beside.iterdir() if (entry / ".hydra").is_dir()) if beside.is_dir() else []
    hint = did_you_mean(path.name, runs) if runs else "train one with python scripts/train.py"
    return f"{path} is not a run's directory; {hint}"
