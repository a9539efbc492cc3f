"""A sweep, from its jobs to its files: what the launcher hands groups of jobs to. Imports torch only to train.

Shapes: R runs of a group.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from omegaconf import DictConfig, read_write

from simplenn import gate
from simplenn.interruption import Interrupted

log = logging.getLogger(__name__)


class RunFailed(RuntimeError):
    """A job of a sweep ended with the status `failed`; the others went on."""


class Group(Protocol):
    """Jobs whose configurations differ in `columns` alone, by full key."""

    config: DictConfig
    nums: list[int]
    jobs: list[Sequence[str]]
    columns: dict[str, list[Any]]

    def subdir(self, index: int) -> str: ...


class Sweeping:
    """The sweep of one command; a launcher's batched counterpart to a task function."""

    def __init__(self) -> None:
        self._sweep: DictConfig | None = None
        self._batches: list[Any] = []

    def per_run(self, key: str, value: Any) -> bool:
        """Seed and optimizer numbers are each run's own."""
        if key == "seed":
            return isinstance(value, int)
        numbers = value if isinstance(value, list) and value else [value]
        return key.startswith("optimizer.") and all(type(number) in (int, float) for number in numbers)

    def check(self, groups: Sequence[Group], sweep: DictConfig) -> None:
        """Refuses the sweep (`gate.Refused`) before anything is written, else takes its directory, once."""
        gate.check_sweep(groups, sweep, take=self._sweep is None)
        self._sweep = sweep
        for group in groups:
            _place(group.config, sweep)

    def why_not(self, group: Group) -> str | None:
        return "not yet"

    def train(self, group: Group) -> list[float]:
        raise NotImplementedError

    def finish(self) -> int:
        """Says how the runs ended; the exit status for it. Does nothing where no sweep has begun."""
        if self._sweep is None:
            return 0
        from simplenn import summary

        counts = summary.say_sweep(Path(self._sweep.hydra.sweep.dir))
        return 1 if set(counts) - {"done"} else 0


def batched_by(batched: Any) -> Callable[[Any], Any]:
    """Gives a task function its batched counterpart, for a launcher that has a use for it."""

    def mark(task: Any) -> Any:
        task.batched = batched
        return task

    return mark


def finished(main: Callable[[], Any], sweeping: Sweeping) -> Callable[[], None]:
    """The command with its sweep brought to an end, whatever ends it: Hydra calls no one when a job fails."""

    def run() -> None:
        try:
            main()
        except RunFailed:
            pass  # said where it happened, and counted by `finish`
        except Interrupted:
            sweeping.finish()
            raise
        if status := sweeping.finish():
            sys.exit(status)

    return run


def _place(config: DictConfig, sweep: DictConfig) -> None:
    """Gives a job that was composed before the sweep took its directory that directory."""
    with read_write(config):
        config.hydra.sweep.dir = sweep.hydra.sweep.dir
        config.hydra.overrides.hydra = [
            *(word for word in sweep.hydra.overrides.hydra),
            *(word for word in config.hydra.overrides.hydra if word.startswith("hydra.sweep.subdir=")),
        ]
