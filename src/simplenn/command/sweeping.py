"""A sweep, from its jobs to its files: what the launcher hands groups of jobs to. Imports torch only to train.

Shapes: R runs of a group.
"""

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from omegaconf import DictConfig, read_write

from simplenn import signals
from simplenn.command import gate
from simplenn.command.proofs import Planned, Proofs
from simplenn.errors import Refused
from simplenn.planning.words import given, is_hydras, values_of
from simplenn.rundir.run import run_name

if TYPE_CHECKING:
    from simplenn.sweep.record import SweepRecord

log = logging.getLogger(__name__)

SECONDS_BETWEEN = 60  # two writings of a running sweep's tables


class RunFailed(RuntimeError):
    """A job of a sweep ended with the status `failed`; the others went on."""


class Group(Protocol):
    """Jobs whose configurations differ in `columns` alone: R values by full key."""

    config: DictConfig
    nums: list[int]
    jobs: list[Sequence[str]]
    columns: dict[str, list[Any]]

    def subdir(self, index: int) -> str: ...


@dataclass
class Trained:
    """A checked group, and how far it has come: its stacks' outcomes, in order."""

    group: Group
    cfg: DictConfig
    outcomes: list[Any] = field(default_factory=list)
    together: bool = False  # decided by `why_not`
    initial: Any = None  # the runs' initial weights, once they have been made
    expected: bool = False  # by the progress

    @property
    def columns(self) -> dict[str, list[Any]]:
        return self.group.columns or {"seed": [self.cfg.seed] * len(self.group.nums)}

    @property
    def planned(self) -> Planned:
        return Planned(self.cfg, self.columns, lambda run: run_name(self.group.subdir(run)))

    @property
    def words(self) -> dict[str, str]:
        """What the jobs were told, by key: all of it of the first job, and of the others what isn't in columns."""
        return values_of(self.group.jobs[0])


class Sweeping:
    """The sweep of one command; a launcher's batched counterpart to a task function."""

    def __init__(self) -> None:
        self._sweep: DictConfig | None = None
        self._groups: dict[int, Trained] = {}
        self._proofs = Proofs()
        self._progress: Any = None
        self._kept = time.monotonic()

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

    def check(self, groups: Sequence[Group], sweep: DictConfig) -> None:
        """Refuses the sweep (`gate.Refused`) before anything is written, else takes its directory, once."""
        places = Counter(group.subdir(run) for group in groups for run in range(len(group.nums)))
        for place, count in places.most_common(1):
            if count > 1:
                raise Refused(
                    f"hydra.sweep.subdir must give each job a place of its own, got {place} for {count} of them; "
                    "try leaving it out"
                )
        new = [group for group in groups if id(group) not in self._groups]
        foreign = not gate.checks_first(sweep)  # then the directory is taken already
        configs = gate.check_sweep(new, sweep, take=self._sweep is None and not foreign)
        self._sweep = sweep
        for group, cfg in zip(new, configs, strict=True):
            _place(group, sweep)
            trained = Trained(group, cfg)
            self._proofs.plan(trained.planned)
            self._take_on(trained)

    def _take_on(self, trained: Trained) -> None:
        """From now on these jobs are this group's: a batch of a sweep takes them over from the plan of the whole."""
        nums = set(trained.group.nums)
        for key in [key for key, other in self._groups.items() if not nums.isdisjoint(other.group.nums)]:
            del self._groups[key]
        self._groups[id(trained.group)] = trained

    def why_not(self, group: Group) -> str | None:
        """Why the group's runs don't train together."""
        assert self._sweep is not None
        trained = self._groups[id(group)]
        proof = self._proofs.of(trained.planned, self._sweep.max_stack)
        trained.together = proof.reason is None
        trained.initial = proof.initial
        if trained.cfg.trainer.get("compile"):
            trained.cfg.trainer.compile = proof.compiles
        return proof.reason

    def train(self, group: Group) -> list[float]:
        """Trains the group's runs, stack by stack; their objectives."""
        from simplenn.groups.metrics import objectives
        from simplenn.stacking import train_in_stacks

        assert self._sweep is not None
        trained = self._groups[id(group)]
        stacks = train_in_stacks(
            trained.cfg, trained.columns, self._sweep.max_stack, self._callbacks(), initial=trained.initial
        )
        try:
            for _, outcome in stacks:
                trained.outcomes.append(outcome)
                if outcome.interruption is not None:
                    log.warning("interrupted by %s", outcome.interruption.signal_name)
                    raise outcome.interruption
                self._keep_now_and_then()
        except Exception as error:  # a network that fails after some epochs, say: each run shall tell for itself
            log.warning("a stack failed (%s: %s); its runs train one by one", type(error).__name__, error)
        return [value for outcome in trained.outcomes for value in objectives(outcome).tolist()]

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
            record.attempt("verify", self._verify, record)
        return 1 if set(record.counts) - {"done"} or record.attempt.failed else 0

    def _verify(self, record: "SweepRecord") -> None:
        from simplenn.command.verification import verify

        assert self._sweep is not None
        if not verify(record.batches, self._sweep.verify):
            record.attempt.failed = True

    def _record(self) -> "SweepRecord":
        from simplenn.sweep.record import SweepRecord

        assert self._sweep is not None
        return SweepRecord(self._sweep, list(self._groups.values()))

    def _keep_now_and_then(self) -> None:
        """Writes the tables of a long sweep's finished stacks: what a kill leaves of it."""
        if time.monotonic() > self._kept + SECONDS_BETWEEN:
            self._record().write_tables()
            self._kept = time.monotonic()

    def _callbacks(self) -> list[Any]:
        """One progress for all stacks of the sweep."""
        if self._progress is None:
            from simplenn.training.progress import SweepProgress

            assert self._sweep is not None
            self._progress = SweepProgress("none" if self._sweep.quiet else self._sweep.progress)
        for trained in self._groups.values():
            if trained.together and not trained.expected:
                trained.expected = True
                num_runs = len(trained.group.nums)
                self._progress.expect(num_runs, num_runs * trained.cfg.trainer.max_epochs)
        return [self._progress]


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


def _place(group: Group, sweep: DictConfig) -> None:
    """Gives jobs that were composed before the sweep took its directory that directory."""
    own = [word for word in group.jobs[0] if is_hydras(word)]
    with read_write(group.config):
        group.config.hydra.sweep.dir = sweep.hydra.sweep.dir
        group.config.hydra.overrides.hydra = [*given(sweep), *own]
