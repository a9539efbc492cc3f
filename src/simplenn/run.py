"""A run on disk: its name, its files, its result. Knows nothing of training."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from simplenn.config import ConfigError, nearest

STATUSES = ("done", "diverged", "failed", "interrupted")
PACKAGES = ("simplenn", "torch", "lightning", "hydra-core", "tensorboard")


def package_versions() -> dict[str, str]:
    return {name: version(name) for name in PACKAGES}


@dataclass(frozen=True)
class Result:
    """How a run ended. `epoch` counts completed epochs from 1; for a diverged run, the epoch that diverged."""

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
        return self.metrics.get("val/loss", self.metrics.get("train/loss", float("nan")))

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
            return [str(word) for word in OmegaConf.load(path)]
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

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the directory against a second process. Raises `ConfigError` where another has it."""
        handle = os.open(self.directory, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise ConfigError(f"{self.directory} is in use by another process; wait for it to end") from None
        finally:
            os.close(handle)


def write_atomically(path: Path, data: bytes, durable: bool = True) -> None:
    """The whole file or the one before it, whatever happens; `durable` outlives a power cut too."""
    with replacing(path, durable) as temporary:
        temporary.write_bytes(data)


@contextmanager
def replacing(path: Path, durable: bool = True) -> Iterator[Path]:
    """A path to write a file to, which takes the place of `path` once it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        if durable:
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def refuse_taken(directory: Path) -> None:
    """Raises `ConfigError` where the directory is there already."""
    if directory.exists():
        raise _taken(directory)


def _taken(directory: Path) -> ConfigError:
    return ConfigError(
        f"name must be new, got {directory.name!r}, which exists in {directory.parent}; "
        f"try name={_free(directory).name}, or resume=true to go on with it"
    )


def reserve(directory: Path, *, numbered: bool) -> Path:
    """The directory, new and this process's own, or where `numbered`, the first free one with a number behind it.

    Raises `ConfigError` where it is taken. Exclusive `mkdir` decides between two that ask at one moment.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    candidate = directory
    while True:
        try:
            candidate.mkdir()
        except FileExistsError:
            if not numbered:
                raise _taken(directory) from None
            candidate = _free(directory)
        else:
            return candidate


def find_run(path: Path) -> Run:
    """The run at a path. Raises `ConfigError`, naming the nearest, where there is none."""
    if not (path / ".hydra" / "config.yaml").is_file():
        raise ConfigError(_not_a_run(path))
    return Run(path)


def _free(directory: Path) -> Path:
    number = 2
    while (free := directory.with_name(f"{directory.name}_{number}")).exists():
        number += 1
    return free


def _not_a_run(path: Path) -> str:
    beside = path.parent
    runs = sorted(entry.name for entry in beside.iterdir() if (entry / ".hydra").is_dir()) if beside.is_dir() else []
    hint = nearest(path.name, runs[:50]) if runs else "train one with python scripts/train.py"
    return f"{path} is not a run's directory; {hint}"
