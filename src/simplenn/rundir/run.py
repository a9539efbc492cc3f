"""A run's directory: what is where in it, and the lock that keeps other processes out."""

import io
import logging
import os
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from simplenn.config import check_config, did_you_mean, parse_config, without_length
from simplenn.config import identity as identity_of
from simplenn.errors import ConfigError
from simplenn.rundir.atomic import remove_left_overs, rename, restore_directory, set_aside, write_atomically
from simplenn.rundir.hydra_folder import NAME, hydra_file, noted_identity, read_hydra_file, write_hydra_folder
from simplenn.rundir.lock import lock, locked
from simplenn.rundir.result import Result, parsed
from simplenn.scripts import script_command

log = logging.getLogger(__name__)

NUM = re.compile(rb"^    num: (\d+)$", re.MULTILINE)  # of hydra.job, in hydra.yaml: YAML takes long for many runs
# The names in a directory of which nothing is lost: the lock, the log, and what a process had begun to write.
WORTHLESS = re.compile(r"\.lock|[^.].*\.log|\..+\.\d+")


@dataclass(frozen=True)
class Run:
    """A run's directory and what is where in it."""

    directory: Path

    @property
    def config(self) -> DictConfig:
        """The configuration that the run was started with. Raises `ConfigError` where there is none, or one that is
        damaged, or that refers to what is outside of it, as to a variable of the reader's."""
        try:
            text = read_hydra_file(self.directory, "config.yaml")
        except FileNotFoundError:
            raise ConfigError(_not_a_run(self.directory)) from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{self.directory} must hold a run's configuration, but can't be read: {error}"
            ) from error
        return parse_config(text, hydra_file(self.directory, "config.yaml"))

    @property
    def overrides(self) -> list[str]:
        """What was given on the command line. Raises `ConfigError`."""
        return [str(override) for override in _plain(self._read("overrides.yaml", "overrides", ListConfig))]

    @property
    def choices(self) -> dict[str, str]:
        """The file that was chosen of each group, `optimizer: adam`; empty where that isn't known. Nothing else of
        Hydra's node counts, and it is only ever compared. Raises `ConfigError`."""
        if not hydra_file(self.directory, "hydra.yaml").exists():
            return {}
        node = _plain(self._read("hydra.yaml", "settings of Hydra", DictConfig))
        for key in ("hydra", "runtime", "choices"):
            node = node.get(key) if isinstance(node, dict) else None
        return {str(group): str(choice) for group, choice in node.items()} if isinstance(node, dict) else {}

    @property
    def is_told(self) -> bool:
        """Whether it is known what was given on the command line."""
        return hydra_file(self.directory, "overrides.yaml").is_file()

    @property
    def num(self) -> int:
        """The number of the run's job in its sweep; -1 where it is in none, or nothing says so."""
        try:
            found = NUM.search(hydra_file(self.directory, "hydra.yaml").read_bytes())
        except OSError:
            return -1
        return int(found[1]) if found else -1

    def write_hydra_folder(self, files: Mapping[str, bytes], identity: str) -> None:
        """Writes the files that `config`, `overrides` and `choices` are read from. Raises `Unwritable`."""
        write_hydra_folder(self.directory, files, identity)

    def is_of(self, identity: str) -> bool:
        """Whether this is the run's identity, as its configuration has it; so is any where there is none, as where a
        run was trained from Python. Raises `ConfigError`."""
        if noted_identity(self.directory) == identity or not hydra_file(self.directory, "config.yaml").exists():
            return True
        return identity_of(check_config(self.config)) == identity

    def _read(self, name: str, what: str, kind: type) -> Any:
        path = hydra_file(self.directory, name)
        try:
            node = OmegaConf.load(io.StringIO(read_hydra_file(self.directory, name)))
        except FileNotFoundError:
            raise ConfigError(_not_a_run(self.directory)) from None
        except ConfigError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"{path} must hold a run's {what}, but can't be read: {reason}") from error
        if not isinstance(node, kind) or (kind is DictConfig and not node):
            raise ConfigError(f"{path} must hold a run's {what}, got {_plain(node)!r:.60}; restore the file")
        return node

    def tidy(self) -> None:
        """Removes what a kill has left half written. The run must be locked."""
        restore_directory(self.directory / NAME)
        remove_left_overs(self.directory)
        remove_left_overs(self.directory / "checkpoints")

    @property
    def metrics_file(self) -> Path:
        return self.directory / "metrics.csv"

    def checkpoint(self, which: str) -> Path:
        """`which` is `best` or `last`; or for a moment `next`, which is to become `last` once that is `best`."""
        return self.directory / "checkpoints" / f"{which}.ckpt"

    def take_next(self) -> None:
        """`last` becomes `best`, and `next` `last`; as often as a kill may have it begun."""
        last, best = self.checkpoint("last"), self.checkpoint("best")
        write_atomically(best, last.read_bytes(), durable=False)
        rename(self.checkpoint("next"), last)

    @property
    def result_file(self) -> Path:
        return self.directory / "result.json"

    def result(self) -> Result | None:
        """`None` while the run is not finished. A damaged file, or another run's, is set aside, with a warning, and
        counts as none. Raises `ConfigError` where it is another's than the run's and the configuration is damaged."""
        try:
            result = parsed(self.result_file.read_text())
            if result.identity and not self.is_of(without_length(result.identity)):
                raise ValueError("it is another run's")
            return result
        except FileNotFoundError:
            return None
        except ConfigError:
            raise
        except ValueError as error:
            aside = set_aside(self.result_file)
            log.warning(
                "%s is damaged: %s; set aside as %s, the run counts as unfinished", self.result_file, error, aside.name
            )
            return None

    def write_result(self, result: Result) -> None:
        write_atomically(self.result_file, result.text.encode())

    def lock(self) -> None:
        """Holds the directory against other processes until `locked` has taken the lock over and ended.

        The gate takes it, for the training that follows in this process. Raises `ConfigError` where another has it.
        """
        lock(self.directory)

    def locked(self) -> AbstractContextManager[None]:
        """Holds the directory against other processes. Raises `ConfigError` where another has it."""
        return locked(self.directory)


def find_run(path: Path) -> Run:
    """The run at a path. Raises `ConfigError`, naming the nearest, where there is none."""
    if not hydra_file(path, "config.yaml").is_file():
        raise ConfigError(_not_a_run(path))
    return Run(path)


def is_unused(path: Path) -> bool:
    """Whether a directory that is there has nothing of a run: a kill before the run began leaves no more than a log
    and temporary files."""
    try:
        return all(map(WORTHLESS.fullmatch, os.listdir(path)))
    except OSError:
        return False


def _not_a_run(path: Path) -> str:
    beside = path.parent
    if (beside.parent / "results.csv").is_file():
        command = script_command("extract.py", beside.parent, path.name)
        return f"{path} is not a run's directory; write it with {command}"
    if (path / "multirun.yaml").is_file():
        return f"{path} is a sweep's directory, and no run's; see {script_command('report.py', path)}"
    if is_unused(path) and os.listdir(path):
        return f"{path} has nothing of a run yet, as it was ended before it began; start it without resume=true"
    runs = sorted(entry.name for entry in beside.iterdir() if (entry / NAME).is_dir()) if beside.is_dir() else []
    hint = did_you_mean(path.name, runs) if runs else f"train one with {script_command('train.py')}"
    return f"{path} is not a run's directory; {hint}"


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=False)
