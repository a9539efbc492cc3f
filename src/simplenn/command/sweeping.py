"""A sweep, from its jobs to its files: what the launcher hands groups of runs to. Imports torch only to train."""

import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, read_write

from simplenn import signals
from simplenn.command import gate
from simplenn.command.prepared_group import PreparedGroup
from simplenn.command.proofs import Proofs
from simplenn.command.workers import made_in_worker, write_failure
from simplenn.errors import Refused
from simplenn.groups import RunGroup
from simplenn.planning import overrides_given

if TYPE_CHECKING:
    from simplenn.sweep.record import SweepRecord
    from simplenn.training import SweepProgress

log = logging.getLogger(__name__)

SECONDS_BETWEEN = 60  # two writings of a running sweep's tables


class RunFailed(RuntimeError):
    """A job of a sweep ended with the status `failed`; the others went on."""


class Sweeping:
    """The sweep of one command; a launcher's batched counterpart to a task function."""

    def __init__(self) -> None:
        self._sweep: DictConfig | None = None  # the command's configuration, once its jobs have been checked
        self._planned: list[RunGroup] = []  # every run of the sweep that is known so far
        self._prepared: list[PreparedGroup] = []
        self._proofs = Proofs()
        self._progress: SweepProgress | None = None
        self._tables_written = time.monotonic()

    def __reduce__(self) -> tuple[Any, ...]:
        # a launcher that pickles the task function does so for each job: without the plan of all
        return made_in_worker, (type(self), os.getpid())

    def fail(self, num: int, message: str) -> None:
        """Notes that a job has failed whose process was killed."""
        for group in self._planned:
            if num in group.nums and self._sweep is not None:
                run = list(group.nums).index(num)
                write_failure(Path(self._sweep.hydra.sweep.dir) / group.subdirs[run], group.seeds[run], message)

    def per_run(self, key: str, value: Any) -> bool:
        """Seed and optimizer numbers are each run's own."""
        from simplenn.config.schema import switches

        if key == "seed":
            return isinstance(value, int)
        if key.rpartition(".")[2] in switches():
            return False
        numbers = value if isinstance(value, list) and value else [value]
        return key.rpartition(".")[0] == "optimizer" and all(type(number) in (int, float) for number in numbers)

    def check(self, groups: Sequence[RunGroup], sweep: DictConfig) -> None:
        """Refuses the sweep (`Refused`) before anything is written, else makes its directory."""
        num_overrides = len(overrides_given(sweep))  # the claim of the directory adds to them
        self._take_on(groups, sweep, claim=True)
        for group in groups:
            _move_to_directory(group, sweep, num_overrides)

    def prepare(self, groups: Sequence[RunGroup], sweep: DictConfig) -> list[PreparedGroup]:
        """The groups of one launch, each with what trains it. Those that have not been checked are checked now, in the
        directory that the sweep has. Raises `Refused`."""
        self._take_on([group for group in groups if group.checked is None], sweep, claim=False)
        prepared = [self._prepare(group, sweep) for group in groups]
        self._prepared += prepared
        return prepared

    def _take_on(self, groups: Sequence[RunGroup], sweep: DictConfig, *, claim: bool) -> None:
        _refuse_shared_subdirs(groups)
        gate.check_sweep(groups, sweep, claim=claim)
        self._sweep = sweep
        self._planned += groups
        for group in groups:
            self._proofs.plan(group)

    def _prepare(self, group: RunGroup, sweep: DictConfig) -> PreparedGroup:
        proof = self._proofs.of(group, sweep.max_stack)
        if proof.reason is not None:
            return PreparedGroup(group, proof, sweep.max_stack)
        if group.cfg.trainer.get("compile") and not proof.compiles:
            from simplenn.stacking import with_compiler

            group.checked = with_compiler(group.cfg, False)
        progress = self._shown_progress(sweep)
        progress.expect(len(group), len(group) * group.cfg.trainer.max_epochs)
        return PreparedGroup(group, proof, sweep.max_stack, [progress], self._write_tables_now_and_then)

    def _shown_progress(self, sweep: DictConfig) -> "SweepProgress":
        """One for all stacks of the sweep."""
        from simplenn.training import SweepProgress

        if self._progress is None:
            self._progress = SweepProgress("none" if sweep.quiet else sweep.progress)
        return self._progress

    def _write_tables_now_and_then(self) -> None:
        """Those of a long sweep's finished stacks: what a kill leaves of it."""
        if time.monotonic() > self._tables_written + SECONDS_BETWEEN:
            self._record().write_tables()
            self._tables_written = time.monotonic()

    def finish(self) -> int:
        """Writes the sweep's files and says how its runs ended; the exit status for that. Does nothing before a sweep
        has begun."""
        if self._sweep is None:
            return 0
        if self._progress is not None:
            self._progress.close()
        from simplenn.sweep import summary

        record = self._record()
        with signals.deferred():
            record.write_tables()
            record.write_directories(self._sweep.run_dirs)
        summary.say_sweep(record)
        if self._sweep.verify and not record.interrupted:
            record.attempt("verify", _verify, record, self._sweep.verify)
        return 1 if set(record.counts) - {"done"} or record.attempt.failed else 0

    def _record(self) -> "SweepRecord":
        from simplenn.sweep.attempts import Attempts
        from simplenn.sweep.record import SweepRecord

        assert self._sweep is not None
        attempt, stacked = Attempts(), []
        for prepared in self._prepared:
            if count := prepared.num_trained:
                what = f"put together {count:,} runs from {prepared.group.names[0]} on"
                attempt(what, lambda group: stacked.append(group.trained()), prepared)
        return SweepRecord(self._sweep, self._planned, stacked, attempt)


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
        except BaseException:
            with suppress(Exception):  # the first error is the one to tell
                sweeping.finish()
            raise
        if status := sweeping.finish():
            sys.exit(status)

    return run


def _refuse_shared_subdirs(groups: Sequence[RunGroup]) -> None:
    counts = Counter(subdir for group in groups for subdir in group.subdirs)
    for subdir, count in counts.most_common(1):
        if count > 1:
            raise Refused(
                f"hydra.sweep.subdir must give each job a place of its own, got {subdir} for {count} of them; "
                "try leaving it out"
            )


def _move_to_directory(group: RunGroup, sweep: DictConfig, num_overrides: int) -> None:
    """Gives jobs that were composed before the sweep claimed its directory that directory. Of the overrides that the
    sweep has for Hydra, they have the first `num_overrides`, and their own behind them."""
    with read_write(group.composed):
        group.composed.hydra.sweep.dir = sweep.hydra.sweep.dir
        own = overrides_given(group.composed)[num_overrides:]
        group.composed.hydra.overrides.hydra = [*overrides_given(sweep), *own]


def _verify(record: "SweepRecord", count: int) -> None:
    from simplenn.command.verification import verify

    if not verify(record.stacked, count):
        record.attempt.failed = True
