"""A sweep, from its jobs to its files: what the launcher hands groups of runs to. Imports torch only to train."""

import logging
import sys
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
from simplenn.errors import Refused
from simplenn.groups import RunGroup
from simplenn.planning import overrides_given
from simplenn.sweep.attempts import Attempts

if TYPE_CHECKING:
    from simplenn.sweep.record import SweepRecord
    from simplenn.training import SweepProgress

log = logging.getLogger(__name__)


class RunFailed(RuntimeError):
    """A job of a sweep ended with the status `failed`; the others went on."""


class Sweeping:
    """The sweep of one command; a launcher's batched counterpart to a task function."""

    def __init__(self) -> None:
        self._sweep: DictConfig | None = None  # the command's configuration, once its jobs have been checked
        self._planned: list[RunGroup] = []  # every run of the sweep that is known so far
        self._attempt = Attempts()
        self._proofs = Proofs()
        self._progress: SweepProgress | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()  # a launcher that pickles the task function does so for each job: without the plan of all

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
        return [self._prepare(group, sweep) for group in groups]

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
        return PreparedGroup(group, proof, sweep.max_stack, [progress], self._write_part)

    def _shown_progress(self, sweep: DictConfig) -> "SweepProgress":
        """One for all stacks of the sweep."""
        from simplenn.training import SweepProgress

        if self._progress is None:
            self._progress = SweepProgress("none" if sweep.quiet else sweep.progress)
        return self._progress

    def _write_part(self, group: RunGroup) -> None:
        """What a stack has left, and the directories of its runs."""
        from simplenn.sweep.parts import next_number, write_part
        from simplenn.sweep.run_directories import are_wanted

        assert self._sweep is not None
        sweep, run_dirs = Path(self._sweep.hydra.sweep.dir), self._sweep.run_dirs
        finished = group.ended.interruption is None
        attempt = Attempts()  # of this stack: a disk that was full may have room by the next
        with signals.deferred():
            what = f"write the part of {len(group):,} runs from {group.names[0]} on"
            attempt(what, lambda: write_part(sweep, next_number(sweep), group, finished=finished))
            if are_wanted(run_dirs, sum(map(len, self._planned))):
                from simplenn.sweep.record import write_directories_of

                attempt(f"write the directories from {group.names[0]} on", write_directories_of, group, sweep)
        self._attempt.failed |= attempt.failed

    def finish(self) -> int:
        """Writes the sweep's files and says how its runs ended; the exit status for that. Does nothing before a sweep
        has begun."""
        if self._sweep is None:
            return 0
        if self._progress is not None:
            self._progress.close()
        from simplenn.sweep import summary
        from simplenn.sweep.record import SweepRecord

        record = SweepRecord(Path(self._sweep.hydra.sweep.dir), self._sweep, self._attempt)
        with signals.deferred():
            record.write_table()
            record.write_directories(self._sweep.run_dirs)
        summary.say_sweep(record)
        if self._sweep.verify and not record.interrupted:
            record.attempt("verify", _verify, record, self._sweep.verify)
        return 1 if set(record.counts) - {"done"} or record.attempt.failed else 0


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
    from simplenn.command.verification import verify_parts
    from simplenn.sweep.parts import find_parts

    if not verify_parts(find_parts(record.directory), count):
        record.attempt.failed = True
