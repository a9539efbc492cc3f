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
from torch import Tensor

from simplenn.groups import RunGroup
from simplenn.groups.metrics import final_values, objectives
from simplenn.groups.outcome import Outcome
from simplenn.metric import cost, objective_of
from simplenn.planning import arguments, swept_keys, values_of
from simplenn.rundir import Run, Unwritable, read_rows
from simplenn.setup import build_run, share_data
from simplenn.sweep.attempts import Attempts
from simplenn.sweep.run_directories import are_wanted
from simplenn.sweep.run_files.directories import write_directories
from simplenn.sweep.single_runs import final_weights, outcome_of
from simplenn.sweep.store import write_store


@dataclass(frozen=True)
class BestRun:
    """The run with the best objective; `arguments` of train.py train it by itself."""

    name: str
    metric: str
    value: float
    arguments: list[str]


class SweepRecord:
    """`sweep` is the command's configuration, `planned` are all of its groups, `stacked` the runs of these that have
    trained as stacks. Those that have not, but have a directory, have trained one by one.

    What goes wrong with one group's files costs nothing of another's: it is tried by `attempt`.
    """

    def __init__(self, directory: Path, sweep: DictConfig, attempt: Attempts) -> None:
        from simplenn.sweep.inventory import _num_of
        from simplenn.sweep.parts import find_parts, read_group
        from simplenn.sweep.run_directories import run_directories

        self._sweep = sweep
        self.directory = directory
        self.attempt = attempt
        self.stacked = stacked = [read_group(p) for p in find_parts(directory)]
        subdirs = {s for g in stacked for s in g.subdirs}
        self._single = []
        for d in run_directories(directory):
            sub = d.relative_to(directory).as_posix()
            if sub not in subdirs:
                run = Run(d)
                g = RunGroup(
                    run.config, [_num_of(run)], [run.overrides], {"seed": [run.config.seed]}, [sub], checked=run.config
                )
                self._single.append(g.trained(self._read(run), stacked=False))
        planned = self._groups
        keys = swept_keys([overrides for group in planned for overrides in group.overrides])
        for group in self._groups:
            group.swept = _swept(group, keys)

    def _trained_singly(self, group: RunGroup, stacked: set[int]) -> list[RunGroup]:
        """Each a group by itself, as their weights may differ in shape."""
        singles = []
        for run, (num, subdir) in enumerate(zip(group.nums, group.subdirs, strict=True)):
            directory = Run(self.directory / subdir)
            if num in stacked or not directory.directory.is_dir():
                continue
            singles.append(group.take([run]).trained(self._read(directory), stacked=False))
        return singles

    def _read(self, run: Run) -> Outcome:
        rows: list[dict[str, float]] = []
        weights: dict[str, Tensor] = {}
        self.attempt(f"read {run.metrics_file}", lambda: rows.extend(read_rows(run.metrics_file)))
        self.attempt(f"read {run.checkpoint('last')}", lambda: weights.update(final_weights(run)))
        return outcome_of(run, rows, weights)

    @property
    def _groups(self) -> list[RunGroup]:
        return [*self.stacked, *self._single]

    @cached_property
    def counts(self) -> Counter[str]:
        """Runs by status."""
        return Counter(status for group in self._groups for status in group.ended.status)

    @property
    def failures(self) -> list[tuple[str, str]]:
        return [
            (name, message)
            for group in self._groups
            for name, status, message in zip(group.names, group.ended.status, group.ended.message, strict=True)
            if status == "failed"
        ]

    @property
    def interrupted(self) -> bool:
        return bool(self.counts["interrupted"])

    write_table = property(lambda self: self.write_tables)

    def write_tables(self) -> None:
        """The sweep's own files, where any of its runs has begun."""
        if self._groups:
            self.attempt("write the sweep's tables", self._write_tables)

    def _write_tables(self) -> None:
        try:
            from simplenn.sweep.results import write_results

            groups = self._groups
            write_results(
                self.directory / "results.csv",
                groups,
                np.argsort([num for group in groups for num in group.nums], kind="stable"),
            )
        except Unwritable:
            raise
        except Exception:
            sound = self._writable()
            if sound:
                write_store(self.directory, sound)

    def _writable(self) -> list[RunGroup]:
        """The groups of which tables can be written, found by trying each for itself."""
        with TemporaryDirectory(dir=self.directory) as folder:
            return [
                group
                for group in self._groups
                if self.attempt(f"write tables of {_named(group)}", write_store, Path(folder), [group])
            ]

    def write_directories(self, run_dirs: str) -> None:
        """The directories of stacked runs by `run_dirs`: auto, all or none."""
        if are_wanted(run_dirs, sum(self.counts.values())):
            for group in self.stacked:
                self.attempt(f"write the directories of {_named(group)}", self._write_directories, group)

    def _write_directories(self, group: RunGroup) -> None:
        write_directories(group, self.directory, *build_run(group.cfg, share_data(group.cfg)))

    def best(self) -> BestRun | None:
        """`None` where no run is done."""
        best: tuple[float, RunGroup, int] | None = None
        for group in self._groups:
            costs = objectives(group.ended)
            costs = np.where(np.isfinite(costs), costs, np.inf)
            run = int(costs.argmin())
            if np.isfinite(costs[run]) and (best is None or costs[run] < best[0]):
                best = float(costs[run]), group, run
        if best is None:
            return None
        value, group, run = best
        tag = objective_of(final_values(group.ended))
        return BestRun(group.names[run], tag, cost(tag, value), arguments(self._sweep, group.overrides[run]))


def _swept(group: RunGroup, keys: Sequence[str]) -> dict[str, list[Any]]:
    """The values of the swept keys: a column's as it is, any other key's as the command has it."""
    texts = values_of(group.overrides[0])
    return {key: group.columns[key] if key in group.columns else [texts.get(key)] * len(group) for key in keys}


def _named(group: RunGroup) -> str:
    """Which runs, in a few words."""
    names = group.names
    return names[0] if len(group) == 1 else f"{len(group):,} runs, {names[0]} to {names[-1]}"
