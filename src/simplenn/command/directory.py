"""The directory that a command works in, and no other command beside it.

`kind` is `run` or `sweep`, as in Hydra's keys `hydra.run.dir` and `hydra.sweep.dir`.
"""

import os
import shlex
import time
from pathlib import Path

from omegaconf import DictConfig, open_dict, read_write

from simplenn.errors import ConfigError
from simplenn.planning import as_text, key_of, overrides_given
from simplenn.rundir import Run, is_unused, writing
from simplenn.rundir.lock import NAME as LOCK

SECONDS_TO_WAIT = 1800  # as long as torch lets processes wait for each other


def requested_directory(config: DictConfig, kind: str) -> Path:
    """The directory that the command asks for: by Hydra's own key, by `name`, or a time stamp."""
    directory = Path(config.hydra[kind].dir)
    if directory.name in ("", ".."):  # as the working directory is written
        directory = Path(os.path.abspath(directory))
    name = name_of(config)
    return directory if _by_hydras_key(config, kind) or name is None else directory.parent / name


def name_of(config: DictConfig) -> str | None:
    """The key `name` as it was typed: Hydra reads 42 as a number and true as a truth value, and both are names.

    Raises `ConfigError` where it isn't a file name.
    """
    from simplenn.config import check_name

    if config.name is None or isinstance(config.name, str):
        return check_name(config.name)
    typed = [o.partition("=")[2] for o in overrides_given(config, "task") if key_of(o) == "name"]
    return check_name(typed[-1] if typed else str(config.name))


def is_named(config: DictConfig, kind: str) -> bool:
    """Whether the command says which directory it wants, rather than take one named by a time stamp."""
    return config.name is not None or _by_hydras_key(config, kind)


def refuse_taken(config: DictConfig, kind: str) -> None:
    """Raises `ConfigError` where the directory that the command names exists and has anything of value."""
    if is_named(config, kind) and requested_directory(config, kind).exists() and not _is_left_over(config, kind):
        raise _taken(config, kind)


def claim(config: DictConfig, kind: str) -> Path:
    """Makes the command a directory that no other has, and writes its name into the configuration.

    One that a run was to have which was killed before it began is as good as new: of two commands that find one, the
    lock gives it to one. Raises `ConfigError` where a named one is taken, and `Unwritable` where none can be made.
    """
    try:
        directory = reserve(requested_directory(config, kind), numbered=not is_named(config, kind))
    except FileExistsError:
        if not _is_left_over(config, kind):
            raise _taken(config, kind) from None
        directory = requested_directory(config, kind)
    assign(config, kind, directory)
    return directory


def own(config: DictConfig, run: Run) -> None:
    """Locks the directory that has been claimed. Raises `ConfigError` where another command was faster."""
    run.lock()
    if not is_unused(run.directory):  # it took the directory over, and has even ended
        raise _taken(config, "run")
    run.tidy()


def join(config: DictConfig) -> None:
    """Waits for the directory that the run's main process claims, and writes its name into the configuration.

    Raises `ConfigError` where a named one is taken, or none appears.
    """
    directory = requested_directory(config, "run")
    if any((directory / name).exists() for name in ("result.json", "checkpoints")):  # no new run has trained yet
        raise _taken(config, "run")
    begun = time.monotonic()
    while not directory.exists():
        if time.monotonic() > begun + SECONDS_TO_WAIT:
            raise ConfigError(
                f"{directory} must be made by the run's main process, on a file system that all nodes share, "
                f"and isn't there after {SECONDS_TO_WAIT // 60} minutes"
            )
        time.sleep(0.1)
    assign(config, "run", directory)


def assign(config: DictConfig, kind: str, directory: Path) -> None:
    """Writes a directory's name into the configuration."""
    with read_write(config), open_dict(config):
        config.hydra[kind].dir = str(directory)
        # Each job of a sweep is composed from the overrides, without this configuration.
        config.hydra.overrides.hydra.append(f"hydra.{kind}.dir={as_text(str(directory))}")


def reserve(directory: Path, *, numbered: bool) -> Path:
    """Makes the directory, or where it exists and `numbered`, the first free one with a number behind its name.

    Of two processes that ask at one moment, an exclusive `mkdir` gives it to one. Raises `FileExistsError` where it is
    taken, and `Unwritable` where it can't be made.
    """
    with writing(directory):
        directory.parent.mkdir(parents=True, exist_ok=True)
    candidate = directory
    while True:
        try:
            candidate.mkdir()
        except FileExistsError:
            if not numbered:
                raise
            candidate = _free(directory)
        except OSError:
            with writing(directory):
                raise
        else:
            return candidate


def _is_left_over(config: DictConfig, kind: str) -> bool:
    """Whether the directory is that of a run which was killed before it began. An empty one that is named by its path
    may be anyone's."""
    directory = requested_directory(config, kind)
    is_ours = not _by_hydras_key(config, kind) or (directory / LOCK).exists()
    return kind == "run" and is_ours and is_unused(directory)


def _by_hydras_key(config: DictConfig, kind: str) -> bool:
    return any(override.startswith(f"hydra.{kind}.dir=") for override in overrides_given(config))


def _taken(config: DictConfig, kind: str) -> ConfigError:
    directory = requested_directory(config, kind)
    free = _free(directory)
    go_on = ", or resume=true to go on with it" if kind == "run" else ""
    if _by_hydras_key(config, kind):
        key = f"hydra.{kind}.dir"
        fix = f"{key}={as_text(str(free))}"
        return ConfigError(f"{key} must be new, got {str(directory)!r}, which exists; try {shlex.quote(fix)}{go_on}")
    fix = f"name={as_text(free.name)}"
    return ConfigError(
        f"name must be new, got {directory.name!r}, which exists in {directory.parent}; try {shlex.quote(fix)}{go_on}"
    )


def _free(directory: Path) -> Path:
    number = 2
    while (free := directory.with_name(f"{directory.name}_{number}")).exists():
        number += 1
    return free
