"""All runs of one sweep, however they were trained: the tables and directories to write, the best of them.

Shapes: R runs.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from omegaconf import DictConfig

from simplenn.groups.run_group import Alone, Batch, join, objectives
from simplenn.metric import cost, objective_of
from simplenn.planning.single_run import arguments
from simplenn.planning.words import is_hydras, swept_keys
from simplenn.rundir.run import Run, Unwritable, run_name
from simplenn.setup import build_run, share_data
from simplenn.sweep.attempts import Attempts
from simplenn.sweep.part import parts_of_alone
from simplenn.sweep.run_files.directories import wanted, write_directories
from simplenn.sweep.store import write_store


@dataclass(frozen=True)
class Best:
    """The run with the best objective; `alone` are the arguments that train it by itself."""

    name: str
    metric: str
    value: float
    alone: list[str]


class SweepRecord:
    """`sweep` is the command's configuration, `groups` are `sweeping.Trained`. Runs beyond a group's outcomes have
    trained one by one, in their directories.

    What goes wrong with one group's files costs nothing of another's: see `attempt`.
    """

    def __init__(self, sweep: DictConfig, groups: Sequence[Any]) -> None:
        self._sweep = sweep
        self.directory = directory = Path(sweep.hydra.sweep.dir)
        self.attempt = Attempts()
        self._outcomes = [outcome for trained in groups for outcome in trained.outcomes]
        keys = swept_keys([job for trained in groups for job in trained.group.jobs])
        self.batches: list[Batch] = []
        for trained in groups:
            if trained.outcomes:
                first = run_name(trained.group.subdir(0))
                what = f"put together {_num_together(trained):,} runs from {first} on"
                self.attempt(what, lambda own: self.batches.append(_batch(own, keys)), trained)
        alone = [(trained, _begun(directory, trained)) for trained in groups]
        self._alone = _alone(alone, keys)
        self._results = [Run(directory / subdir).result() for subdir in self._alone.subdirs]
        self._overrides = [_overrides(trained.group.jobs[run]) for trained, runs in alone for run in runs]

    @cached_property
    def counts(self) -> Counter[str]:
        """Runs by status."""
        counts = Counter(status for outcome in self._outcomes for status in outcome.status)
        return counts + Counter(result.status if result else "interrupted" for result in self._results)

    @property
    def interrupted(self) -> bool:
        return bool(self.counts["interrupted"])

    def write_tables(self) -> None:
        """The sweep's own files, where any of its runs has begun."""
        if not self.counts:
            return
        self.attempt("write the sweep's tables", self._write_tables)

    def _write_tables(self) -> None:
        try:
            write_store(self.directory, self.batches, self._alone)
        except Unwritable:
            raise
        except Exception:
            batches, alone = self._sound()
            if batches or alone:
                write_store(self.directory, batches, alone)

    def _sound(self) -> tuple[list[Batch], Alone]:
        """The runs of which tables can be written, found by trying each group for itself."""
        with TemporaryDirectory(dir=self.directory) as folder:
            batches = [
                batch
                for batch in self.batches
                if self.attempt(f"write tables of {_shown(batch.names)}", write_store, Path(folder), [batch])
            ]
        own = [self._alone.take([run]) for run in range(len(self._alone))]
        runs = [
            run
            for run, one in enumerate(own)
            if self.attempt(f"write tables of {_shown(one.names)}", parts_of_alone, one, self.directory)
        ]
        return batches, self._alone.take(runs)

    def write_directories(self, run_dirs: str) -> None:
        """The directories of stacked runs by `run_dirs`: auto, all or none."""
        if wanted(run_dirs, sum(self.counts.values())):
            for batch in self.batches:
                self.attempt(f"write the directories of {_shown(batch.names)}", self._write_directories, batch)

    def _write_directories(self, batch: Batch) -> None:
        write_directories(batch, self.directory, *build_run(batch.cfg, share_data(batch.cfg)))

    def best(self) -> Best | None:
        """`None` where no run is done."""
        found: list[Best] = []
        for batch in self.batches:
            values = objectives(batch.outcome)
            run = int(np.nanargmin(np.where(np.isnan(values), np.inf, values)))
            tag = objective_of(batch.outcome.curves)
            value = cost(tag, float(values[run]))
            found.append(Best(batch.names[run], tag, value, arguments(self._sweep, batch.overrides[run])))
        for name, result, overrides in zip(self._alone.names, self._results, self._overrides, strict=True):
            if result is not None:
                tag = objective_of(result.metrics)
                found.append(Best(name, tag, cost(tag, result.objective), arguments(self._sweep, overrides)))
        finite = (best for best in found if np.isfinite(best.value))
        return min(finite, key=lambda best: cost(best.metric, best.value), default=None)


def _batch(trained: Any, keys: Sequence[str]) -> Batch:
    """The group's runs that have trained: the first, where a signal came between."""
    outcome = join(trained.outcomes) if len(trained.outcomes) > 1 else trained.outcomes[0]
    runs = range(len(outcome.status))
    subdirs = [trained.group.subdir(run) for run in runs]
    return Batch(
        cfg=trained.cfg,
        composed=trained.group.config,
        columns={key: values[: len(runs)] for key, values in trained.columns.items()},
        names=[run_name(subdir) for subdir in subdirs],
        subdirs=subdirs,
        overrides=[_overrides(trained.group.jobs[run]) for run in runs],
        nums=trained.group.nums[: len(runs)],
        swept=_swept(trained, keys, runs),
        outcome=outcome,
    )


def _alone(begun: Sequence[tuple[Any, list[int]]], keys: Sequence[str]) -> Alone:
    alone = Alone([], [], [], {key: [] for key in keys})
    for trained, runs in begun:
        subdirs = [trained.group.subdir(run) for run in runs]
        alone.names.extend(map(run_name, subdirs))
        alone.subdirs.extend(subdirs)
        alone.nums.extend(trained.group.nums[run] for run in runs)
        for key, values in _swept(trained, keys, runs).items():
            alone.swept[key].extend(values)
    return alone


def _begun(directory: Path, trained: Any) -> list[int]:
    rest = range(_num_together(trained), len(trained.group.nums))
    return [run for run in rest if (directory / trained.group.subdir(run)).is_dir()]


def _num_together(trained: Any) -> int:
    return sum(len(outcome.status) for outcome in trained.outcomes)


def _shown(names: Sequence[str]) -> str:
    """Which runs, in a few words."""
    return names[0] if len(names) == 1 else f"{len(names):,} runs, {names[0]} to {names[-1]}"


def _swept(trained: Any, keys: Sequence[str], runs: Sequence[int]) -> dict[str, list[Any]]:
    columns = trained.group.columns
    return {
        key: [columns[key][run] for run in runs] if key in columns else [trained.words.get(key)] * len(runs)
        for key in keys
    }


def _overrides(job: Sequence[str]) -> list[str]:
    """Without Hydra's own, as Hydra hands them to a job."""
    return [word for word in job if not is_hydras(word)]
