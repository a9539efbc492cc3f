"""All runs of one sweep, however they were trained: the tables and directories to write, the best of them.

Shapes: R runs.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from hydra_plugins.vectorized.words import is_hydras, swept_keys
from simplenn.alone import arguments
from simplenn.run import Run
from simplenn.sweep.batch import Alone, Batch, join, objectives
from simplenn.sweep.directories import wanted, write_directories
from simplenn.sweep.store import write_store
from simplenn.training import build_run


@dataclass(frozen=True)
class Best:
    """The run with the lowest objective; `alone` are the arguments that train it by itself."""

    name: str
    metric: str
    value: float
    alone: list[str]


class SweepRecord:
    """`sweep` is the command's configuration, `groups` are `sweeping.Trained`. Runs beyond a group's outcomes have
    trained one by one, in their directories.
    """

    def __init__(self, sweep: DictConfig, groups: Sequence[Any]) -> None:
        self._sweep = sweep
        self.directory = directory = Path(sweep.hydra.sweep.dir)
        keys = swept_keys([job for trained in groups for job in trained.group.jobs])
        self.batches = [_batch(trained, keys) for trained in groups if trained.outcomes]
        alone = [(trained, _begun(directory, trained)) for trained in groups]
        self._alone = _alone(alone, keys)
        self._results = [Run(directory / subdir).result() for subdir in self._alone.subdirs]
        self._overrides = [_overrides(trained.group.jobs[run]) for trained, runs in alone for run in runs]

    @cached_property
    def counts(self) -> Counter[str]:
        """Runs by status."""
        counts = Counter(status for batch in self.batches for status in batch.outcome.status)
        return counts + Counter(result.status if result else "interrupted" for result in self._results)

    @property
    def interrupted(self) -> bool:
        return bool(self.counts["interrupted"])

    def write_tables(self) -> None:
        """The sweep's own files, where any of its runs has begun."""
        if not self.counts:
            return
        write_store(self.directory, self.batches, self._alone if len(self._alone) else None)

    def write_directories(self, run_dirs: str) -> None:
        """The directories of stacked runs by `run_dirs`: auto, all or none."""
        if wanted(run_dirs, sum(self.counts.values())):
            for batch in self.batches:
                write_directories(batch, self.directory, *build_run(batch.cfg))

    def best(self) -> Best | None:
        """`None` where no run is done."""
        found: list[Best] = []
        for batch in self.batches:
            values = objectives(batch.outcome)
            run = int(np.nanargmin(np.where(np.isnan(values), np.inf, values)))
            metric = "val/loss" if "val/loss" in batch.outcome.curves else "train/loss"
            found.append(
                Best(batch.names[run], metric, float(values[run]), arguments(self._sweep, batch.overrides[run]))
            )
        for name, result, overrides in zip(self._alone.names, self._results, self._overrides, strict=True):
            if result is not None:
                metric = "val/loss" if "val/loss" in result.metrics else "train/loss"
                found.append(Best(name, metric, result.objective, arguments(self._sweep, overrides)))
        return min((best for best in found if np.isfinite(best.value)), key=lambda best: best.value, default=None)


def run_name(subdir: str) -> str:
    """A run's name, by its place in the sweep."""
    return subdir.removeprefix("runs/")


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
    together = sum(len(outcome.status) for outcome in trained.outcomes)
    return [run for run in range(together, len(trained.group.nums)) if (directory / trained.group.subdir(run)).is_dir()]


def _swept(trained: Any, keys: Sequence[str], runs: Sequence[int]) -> dict[str, list[Any]]:
    columns = trained.group.columns
    return {
        key: [columns[key][run] for run in runs] if key in columns else [trained.words.get(key)] * len(runs)
        for key in keys
    }


def _overrides(job: Sequence[str]) -> list[str]:
    """Without Hydra's own, as Hydra hands them to a job."""
    return [word for word in job if not is_hydras(word)]
