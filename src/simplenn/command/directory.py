"""The directory that a command works in, and no other command beside it.

`kind` is `run` or `sweep`, as in Hydra's keys `hydra.run.dir` and `hydra.sweep.dir`.
"""

import re
import shlex
import time
from pathlib import Path

from omegaconf import DictConfig, open_dict, read_write

from simplenn.errors import ConfigError
from simplenn.planning.overrides import overrides_given, quoted_path

SECONDS_TO_WAIT = 1800  # as long as torch lets processes wait for each other


def wanted(config: DictConfig, kind: str) -> Path:
    """The directory that the command asks for: by Hydra's own key, by `name`, or a time stamp."""
    directory = Path(config.hydra[kind].dir)
    return directory if _explicit(config, kind) or config.name is None else directory.parent / config.name


def is_named(config: DictConfig, kind: str) -> bool:
    """Whether the command says which directory; a time stamp is none that a user asks for."""
    return config.name is not None or _explicit(config, kind)


def refuse_taken(config: DictConfig, kind: str) -> None:
    """Raises `ConfigError` where the directory that the command names is there already."""
    if is_named(config, kind) and wanted(config, kind).exists():
        raise _taken(config, kind)


def claim(config: DictConfig, kind: str) -> Path:
    """Makes the command a directory that no other has, and writes its name into the configuration.

    Raises `ConfigError` where a named one is taken.
    """
    try:
        directory = reserve(wanted(config, kind), numbered=not is_named(config, kind))
    except FileExistsError:
        raise _taken(config, kind) from None
    assign(config, kind, directory)
    return directory


def join(config: DictConfig) -> None:
    """Waits for the directory that the run's main process claims, and writes its name into the configuration.

    Raises `ConfigError` where a named one is taken, or none comes.
    """
    directory = wanted(config, "run")
    if any((directory / name).exists() for name in ("result.json", "checkpoints")):  # no new run has trained yet
        raise _taken(config, "run")
    begun = time.monotonic()
    while not directory.exists():
        if time.monotonic() > begun + SECONDS_TO_WAIT:
            raise ConfigError(f"{directory} must be made by the run's main process, on a file system that all nodes "
                              f"share, and isn't there after {SECONDS_TO_WAIT // 60} minutes")  # fmt: skip
        time.sleep(0.1)
    assign(config, "run", directory)


def assign(config: DictConfig, kind: str, directory: Path) -> None:
    """Writes a directory's name into the configuration."""
    with read_write(config), open_dict(config):
        config.hydra[kind].dir = str(directory)
        # each job of a sweep is composed anew, from the overrides
        config.hydra.overrides.hydra.append(f"hydra.{kind}.dir={quoted_path(directory)}")


def reserve(directory: Path, *, numbered: bool) -> Path:
    """The directory, new and this process's own, or where `numbered`, the first free one with a number behind it.

    Raises `FileExistsError` where it is taken. Exclusive `mkdir` decides between two that ask at one moment.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    candidate = directory
    while True:
        try:
            candidate.mkdir()
        except FileExistsError:
            if not numbered:
                raise
            candidate = _free(directory)
        else:
            return candidate


def _explicit(config: DictConfig, kind: str) -> bool:
    return any(word.startswith(f"hydra.{kind}.dir=") for word in overrides_given(config))


def _taken(config: DictConfig, kind: str) -> ConfigError:
    directory = wanted(config, kind)
    free = _free(directory)
    go_on = ", or resume=true to go on with it" if kind == "run" else ""
    if _explicit(config, kind):
        key = f"hydra.{kind}.dir"
        plain = re.fullmatch(r"[\w./-]+", str(free)) is not None
        fix = f"{key}={free if plain else quoted_path(free)}"
        return ConfigError(f"{key} must be new, got {str(directory)!r}, which exists; try {shlex.quote(fix)}{go_on}")
    return ConfigError(
        f"name must be new, got {directory.name!r}, which exists in {directory.parent}; try name={free.name}{go_on}"
    )


def _free(directory: Path) -> Path:
    number = 2
    while (free := directory.with_name(f"{directory.name}_{number}")).exists():
        number += 1
    return free
