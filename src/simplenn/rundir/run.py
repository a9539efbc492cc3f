"""A run on disk: its name, its files, its result. Knows nothing of training."""

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from simplenn.config import did_you_mean
from simplenn.errors import ConfigError
from simplenn.metric import cost, objective_of

STATUSES = ("done", "diverged", "failed", "interrupted")
PACKAGES = ("simplenn", "torch", "lightning", "hydra-core", "tensorboard")
OS_ERROR = re.compile(r"\(os error (\d+)\)")


def package_versions() -> dict[str, str]:
    return {name: version(name) for name in PACKAGES}


@dataclass(frozen=True)
class Result:
    """How a run ended. `epoch` counts completed epochs from 1; for a diverged run, the epoch that diverged.

    `best` are all metrics of the epoch with the best objective.
    """

    status: str
    epoch: int
    metrics: dict[str, float]
    best: dict[str, float]
    seed: int
    seconds: float
    versions: dict[str, str]
    message: str = ""

    @property
    def objective(self) -> float:
        """What a search minimises: the final validation loss, else the training loss; infinite unless done."""
        if self.status != "done":
            return float("inf")
        tag = objective_of(self.metrics)
        return cost(tag, self.metrics.get(tag, float("nan")))

    @property
    def text(self) -> str:
        """The content of `result.json`. (Python's own indentation takes ten times as long, for 10,000 of them.)"""
        return "{\n" + ",\n".join(f'  "{key}": {_indented(value)}' for key, value in vars(self).items()) + "\n}\n"


def _indented(value: Any) -> str:
    if not isinstance(value, dict) or not value:
        return json.dumps(value)
    return "{\n    " + json.dumps(value, separators=(",\n    ", ": "))[1:-1] + "\n  }"


@dataclass(frozen=True)
class Run:
    """A run's directory and what is where in it."""

    directory: Path

    @property
    def config(self) -> DictConfig:
        """The configuration that the run was started with. Raises `ConfigError` where there is none."""
        path = self.directory / ".hydra" / "config.yaml"
        try:
            cfg = OmegaConf.load(path)
        except FileNotFoundError:
            raise ConfigError(_not_a_run(self.directory)) from None
        except Exception as error:
            raise ConfigError(f"{path} must hold a run's configuration, but can't be read: {error}") from error
        if not isinstance(cfg, DictConfig):
            raise ConfigError(f"{path} must hold a run's configuration, got {cfg!r:.60}")
        return cfg

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


class Unwritable(OSError):
    """A file of the run's that the system doesn't write, as the disk is full, say."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raises `Unwritable`, which names the file and the reason, in place of an `OSError`."""
    try:
        yield
    except Exception as error:
        # safetensors and polars raise errors of their own, which have the system's number in their text
        found = OS_ERROR.search(str(error))
        if not found and not isinstance(error, OSError):
            raise
        number = int(found[1]) if found else getattr(error, "errno", None)
        unwritable = Unwritable(f"{path} can't be written: {os.strerror(number) if number else error}")
        unwritable.errno = number
        raise unwritable from error


def write_atomically(path: Path, data: bytes, durable: bool = True) -> None:
    """The whole file or the one before it, whatever happens; `durable` outlives a power cut too.

    Raises `Unwritable`.
    """
    with replacing(path, durable) as temporary:
        temporary.write_bytes(data)


@contextmanager
def replacing(path: Path, durable: bool = True) -> Iterator[Path]:
    """A path to write a file to, which takes the place of `path` once it is whole. Raises `Unwritable`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            if durable:  # else the name could be on the disk before the content is
                with temporary.open("rb") as stream:
                    os.fsync(stream.fileno())
            temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


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
