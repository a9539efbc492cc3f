"""A sweep, from its jobs to its files: what the launcher hands groups of runs to. Imports torch only to train."""

import logging
import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, read_write

from simplenn import signals
from simplenn.command import gate
from simplenn.command.elsewhere import Elsewhere
from simplenn.command.failures import Failures, Stopped, reason_not_to_begin
from simplenn.command.going_on import GoingOn, go_on_singly
from simplenn.command.prepared_group import PreparedGroup
from simplenn.command.proofs import Proofs
from simplenn.command.refusals import in_one_line
from simplenn.command.worked_in import directories
from simplenn.command.workers import made_in_worker, write_failure
from simplenn.errors import Refused
from simplenn.groups import RunGroup
from simplenn.planning import Plan, key_of, overrides_given
from simplenn.sweep.attempts import Attempts

if TYPE_CHECKING:
    from simplenn.training import SweepProgress

log = logging.getLogger(__name__)


class RunFailed(RuntimeError):
    """A job of a sweep ended with the status `failed`; the others went on."""


class Sweeping:
    """The sweep of one command; a launcher's batched counterpart to a task function."""

    def __init__(self) -> None:
        self._sweep: DictConfig | None = None  # the command's configuration, once its jobs have been checked
        self._going_on: GoingOn | None = None  # what its directory holds, where our own sweeper has asked for that
        self._proofs = Proofs()
        self._progress: SweepProgress | None = None
        self._stopped = ""
        self._attempt = Attempts()
        self._elsewhere: Elsewhere | None = None  # where a launcher has others train than this process
        self.failures: Failures | None = None  # of this process's runs; `None` in a process that a launcher has started

    def __reduce__(self) -> tuple[Any, ...]:
        # a launcher that pickles the task function does so for each job: without the plan of all
        return made_in_worker, (type(self), os.getpid())

    def fail(self, num: int, message: str) -> None:
        """Notes that a job has failed whose process was killed."""
        assert self._sweep is not None and self._going_on is not None
        for group in self._going_on.plan.groups:
            if num in group.nums:
                run = group.nums.index(num)
                write_failure(Path(self._sweep.hydra.sweep.dir) / group.subdirs[run], group, run, message)

    def per_run(self, key: str, value: Any) -> bool:
        """Seed and optimizer numbers are each run's own."""
        from simplenn.config.schema import switches

        if key == "seed":
            return isinstance(value, int)
        if key.rpartition(".")[2] in switches():
            return False
        numbers = value if isinstance(value, list) and value else [value]
        return key.rpartition(".")[0] == "optimizer" and all(type(number) in (int, float) for number in numbers)

    def check(self, plan: Plan, sweep: DictConfig) -> Plan:
        """Refuses the sweep (`Refused`) before anything is written, else makes its directory, or takes the one that is
        there; what is still to be trained."""
        num_overrides = len(overrides_given(sweep))  # the claim of the directory adds to them
        with gate.closed_on_errors():
            _refuse_shared_subdirs(plan.groups)
            gate.check_groups(plan.groups, sweep)
            if self._elsewhere is not None:
                self._elsewhere.check()
            going_on = GoingOn(plan, sweep)
            if going_on.is_left:
                if self._elsewhere is not None and going_on.plan.jobs:
                    self._elsewhere.connect(sweep, going_on.plan.groups)
                gate.rehearse_groups(going_on.plan.groups)
                going_on.begin()
            else:
                going_on.leave()
        # Whether runs can train together is asked of all of them, so that a rest trains as the whole would have.
        self._take_on(going_on.asked.groups, sweep)
        self._going_on = going_on
        # Groups that were one before some of its runs were found in the directory share what they were composed from.
        for composed in {id(group.composed): group.composed for group in going_on.plan.groups}.values():
            _move_to_directory(composed, sweep, num_overrides)
        going_on.say()
        return going_on.plan

    def prepare(self, groups: Sequence[RunGroup], sweep: DictConfig) -> list[PreparedGroup]:
        """The groups of one launch, each with what trains it. Those that have not been checked, as their sweeper is one
        of Hydra's, are checked now, in the directory that the sweep has. Raises `Refused`."""
        unknown = [group for group in groups if group.checked is None]
        if unknown:
            with gate.closed_on_errors():
                _refuse_shared_subdirs(unknown)
                gate.check_groups(unknown, sweep)
                gate.rehearse_groups(unknown)
            self._take_on(unknown, sweep)
        return [self._prepare(group, sweep) for group in groups]

    def _take_on(self, groups: Sequence[RunGroup], sweep: DictConfig) -> None:
        self._sweep = sweep
        directories["sweep"] = Path(sweep.hydra.sweep.dir)
        self.failures = self.failures or Failures(sweep.on_error)
        for group in groups:
            self._proofs.plan(group)

    def _prepare(self, group: RunGroup, sweep: DictConfig) -> PreparedGroup:
        assert self.failures is not None
        directory = Path(sweep.hydra.sweep.dir)
        if group.begun_singly:
            return PreparedGroup(group, "they go on from where they were, each by itself", directory)
        proof = self._proofs.of(group)
        if proof.reason is not None:
            go_on_singly(group, directory)
            return PreparedGroup(group, proof.reason, directory)
        if group.cfg.trainer.get("compile") is True and not proof.compiles:
            from simplenn.stacking import with_compiler

            group.checked = with_compiler(group.cfg, False)  # by which `verify` holds runs to their own bits
        progress = self._shown_progress(sweep)
        progress.expect(len(group), len(group) * group.cfg.trainer.max_epochs)
        return PreparedGroup(
            group,
            None,
            directory,
            initial=proof.initial,
            compiled=proof.compiles,
            max_stack=sweep.max_stack,
            callbacks=[progress],
            attempt=self._attempt,
            with_directories=self._with_directories(sweep, len(group)),
            after_stack=self.failures.stacked,
        )

    def train_elsewhere(self, launcher: Mapping[str, Any]) -> None:
        """From now on groups are trained by the workers of a cluster, which these keys of the launcher's describe."""
        self._elsewhere = Elsewhere(launcher)

    def distribute(
        self, prepared: Sequence[PreparedGroup], run_single: Callable[[int], Any]
    ) -> tuple[dict[int, float], dict[int, Any]]:
        """Trains the groups elsewhere; the objectives of the runs that trained in stacks, and what `run_single(num)`
        returned for the others. It is called twice for each: to send the run, and to record what came back."""
        assert self._elsewhere is not None and self._sweep is not None and self.failures is not None
        with gate.closed_on_errors():
            self._elsewhere.check()
            self._elsewhere.connect(self._sweep, [one.group for one in prepared])
        return self._elsewhere.train(
            prepared, self._sweep, self._shown_progress(self._sweep), self.failures, run_single
        )

    def train_single(self, cfg: DictConfig, directory: Path, sweep: Path) -> float:
        """Trains a run of the sweep by itself, in its directory; its objective. Raises `RunFailed` where it fails, and
        `Stopped` where no more are to be tried after it."""
        from simplenn.rundir import Run
        from simplenn.training import train

        cfg.progress = "none"  # a line a job says enough
        if self.failures is None and (reason := reason_not_to_begin(sweep, cfg.on_error)):
            raise RunFailed(f"{directory} is not trained: {reason}")
        result = train(cfg, directory) if self._elsewhere is None else self._elsewhere.single(cfg, directory)
        if result is None:
            return math.nan  # nobody asks for it
        failures = self.failures or Failures("continue")
        failures.ended(Run(directory), result.status, result.message)
        if result.status in ("failed", "interrupted"):  # a signal has been raised
            raise RunFailed(f"{directory}: {result.message}")
        return result.objective

    def _with_directories(self, sweep: DictConfig, num_runs: int) -> bool:
        from simplenn.sweep.run_directories import are_wanted

        num_of_sweep = self._going_on.num_runs if self._going_on is not None else num_runs
        return are_wanted(sweep.run_dirs, num_of_sweep)

    def _shown_progress(self, sweep: DictConfig) -> "SweepProgress":
        """One for all stacks of the sweep."""
        from simplenn.training import RemoteProgress, SweepProgress

        if self._progress is None:
            kind = SweepProgress if self._elsewhere is None else RemoteProgress
            is_told = "progress" in map(key_of, overrides_given(sweep, "task"))  # not by an experiment, for one run
            self._progress = kind("none" if sweep.quiet else sweep.progress if is_told else "auto")
        return self._progress

    def stop(self, reason: str) -> None:
        """Notes why runs are left that have not been tried."""
        self._stopped = reason

    def finish(self, *, is_cut_short: bool = False) -> int:
        """Writes the sweep's table and says how its runs ended; the exit status for that. Does nothing before a sweep
        has begun."""
        if self._elsewhere is not None:
            self._elsewhere.close()
        if self._sweep is None or (self._going_on is not None and not self._going_on.is_begun):
            return 0
        if self._progress is not None:
            self._progress.close()
        from simplenn.command.finishing import finish

        with signals.deferred():
            return finish(self._sweep, self._going_on, self._attempt, self._stopped, is_cut_short=is_cut_short)


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
        except Stopped as error:
            sweeping.stop(error.reason)
        except BaseException:
            try:
                sweeping.finish(is_cut_short=True)
            except Exception as error:  # not instead of the first one, but beside it
                log.error("the sweep's files could not all be written: %s", in_one_line(error))
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


def _move_to_directory(composed: DictConfig, sweep: DictConfig, num_overrides: int) -> None:
    """Gives jobs that were composed before the sweep claimed its directory that directory. Of the overrides that the
    sweep has for Hydra, they have the first `num_overrides`, and their own behind them."""
    with read_write(composed):
        composed.hydra.sweep.dir = sweep.hydra.sweep.dir
        own = overrides_given(composed)[num_overrides:]
        composed.hydra.overrides.hydra = [*overrides_given(sweep), *own]
