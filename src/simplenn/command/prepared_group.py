"""A group of runs that is ready to train: why it can't train as stacks, else its stacks' training and what they leave.

Imports torch only to train.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simplenn import signals
from simplenn.command.failures import Stopped
from simplenn.groups import RunGroup
from simplenn.rundir import Unwritable
from simplenn.sweep.attempts import Attempts

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from torch import Tensor

    from simplenn.groups.outcome import Outcome
    from simplenn.stacking.initial_weights import InitialWeights

log = logging.getLogger(__name__)

MOST_RAISING = 10  # runs that raise by themselves before any has trained, after which no stack is tried any more


class PreparedGroup:
    """`reason` says why the group's runs must train one by one, `None` where they train as stacks of at most
    `max_stack`, `compiled` or not, each of which leaves a part in `sweep` as it ends; `after_stack` is called then."""

    def __init__(
        self,
        group: RunGroup,
        reason: str | None,
        sweep: Path,
        *,
        initial: "InitialWeights | None" = None,
        compiled: bool = False,
        max_stack: int | None = None,
        callbacks: Sequence[Any] = (),
        attempt: Attempts | None = None,
        with_directories: bool = False,
        after_stack: Callable[[], None] = lambda: None,
    ) -> None:
        self.group = group
        self.reason = reason
        self._sweep = sweep
        self._initial = initial
        self._compiled = compiled
        self._max_stack = max_stack
        self._callbacks = callbacks
        self._attempt = attempt or Attempts()
        self._with_directories = with_directories
        self._after_stack = after_stack
        self._number: int | None = None  # of the part that the present stack leaves

    def train(self) -> dict[int, float]:
        """Trains the group's runs, stack by stack; the objectives of those that have trained, by job number. The runs
        that a stack can't train with, as they raise, are left to train one by one, so that each reports its own error.

        Raises `Interrupted`, and `Stopped` where the system doesn't write what a stack leaves.
        """
        from simplenn.stacking import train_in_stacks

        signals.begin_work()

        start = self._start()
        stacks = train_in_stacks(
            self.training_cfg,
            self.group.columns,
            self._max_stack,
            self._callbacks,
            initial=self._initial,
            start=start,
            keep=self._keep,
        )
        values: dict[int, float] = {}
        num_raising = 0
        for runs, outcome in stacks:
            if outcome is None:
                num_raising += 1
                if num_raising == MOST_RAISING and not values:
                    break  # as likely all do: trained one by one, they say why, and `on_error` may stop them
                continue
            values |= self.record(runs, outcome, self._number)
            if outcome.interruption is not None:
                log.warning("interrupted by %s", outcome.interruption.signal_name)
                raise outcome.interruption
            del outcome  # it would stay in memory while the next stack trains
            self._after_stack()
        return values

    def record(self, runs: Sequence[int], outcome: "Outcome", number: int | None) -> dict[int, float]:
        """Writes what a stack of these runs has left, as the part of this number, or the next; the objectives by job
        number. Raises `Stopped` where the system doesn't write."""
        from simplenn.groups.metrics import objectives

        self._number = number
        trained = self._trained(runs, outcome)
        with signals.deferred():
            self._end(trained)
        return dict(zip(trained.nums, objectives(outcome).tolist(), strict=True))

    def record_failure(self, runs: Sequence[int], message: str, number: int) -> None:
        """Notes that these runs have failed, and left nothing else. Raises `Stopped` where the system doesn't write."""
        import torch

        from simplenn.groups.outcome import Outcome, Snapshot

        assert self._initial is not None
        weights = self._initial([self.group.seeds[run] for run in runs])
        nothing = Snapshot(torch.full((len(runs),), -1), weights, {})
        status, messages, epochs = ["failed"] * len(runs), [message] * len(runs), [0] * len(runs)
        self.record(runs, Outcome(status, messages, epochs, [], {}, nothing, nothing, {}, 0.0), number)

    @property
    def training_cfg(self) -> "DictConfig":
        """The configuration that its stacks train by: it says whether they are compiled."""
        from simplenn.stacking import with_compiler

        return with_compiler(self.group.cfg, self._compiled)

    def most_together(self) -> int:
        """How many runs a stack may have."""
        from simplenn.stacking import default_max_stack

        return self._max_stack or default_max_stack(self.group.cfg, self.group.columns)

    @property
    def weights(self) -> "Mapping[str, Tensor]":
        """[1, ...] by name, of one of the runs: what there is, and its shapes."""
        assert self._initial is not None
        return self._initial(self.group.seeds[:1])

    def start(self) -> "tuple[Outcome | None, int | None]":
        """What the training of all runs goes on from, and the number of the part that has just these; `None` where
        there is none."""
        return self._start(), self._number

    def _start(self) -> "Outcome | None":
        """What the training goes on from; `None` where it begins."""
        if self.group.part is None:
            return None
        from simplenn.sweep.parts import left_part, read_group

        part = left_part(self._sweep, self.group.part)
        if len(part.runs()) == len(self.group):
            self._number = part.number  # whole, and so it takes its predecessor's place
        before = read_group(part, self.group.rows)
        self.group.code = before.code if before.ended.steps else {}
        return before.outcome

    def _keep(self, runs: Sequence[int], outcome: "Outcome") -> None:
        """Writes what a stack in training can go on from. If that can't be done, the training goes on all the same."""
        try:
            self._write(self._trained(runs, outcome), finished=False)
        except Exception as error:
            reason = "" if isinstance(error, Unwritable) else f"{type(error).__name__}: "
            log.warning("the stack in training has no checkpoint: %s", reason + " ".join(str(error).split()))

    def _trained(self, runs: Sequence[int], outcome: "Outcome") -> RunGroup:
        own = self.group if len(runs) == len(self.group) else self.group.take(runs)
        return own.trained(outcome, stacked=True)

    def _end(self, trained: RunGroup) -> None:
        """Writes what a stack leaves. An error of one stack costs no other one's, but a system that doesn't write ends
        the sweep. Raises `Stopped`."""
        finished = trained.ended.interruption is None
        of_runs = f"{len(trained):,} runs, {trained.names[0]} to {trained.names[-1]}"
        is_written = self._attempt(f"write the part of {of_runs}", lambda: self._write(trained, finished=finished))
        if self._attempt.unwritable:
            raise Stopped("what has been trained can't be written; the command that goes on trains the rest")
        if is_written and finished and self._with_directories:
            self._attempt(f"write the directories of {of_runs}", self._write_directories, trained)

    def _write(self, trained: RunGroup, *, finished: bool) -> None:
        from simplenn.sweep.parts import next_number, write_part

        if self._number is None:
            self._number = next_number(self._sweep)
        write_part(self._sweep, self._number, trained, finished=finished)
        if finished:
            self._number = None

    def _write_directories(self, trained: RunGroup) -> None:
        from simplenn.sweep.record import write_directories_of

        write_directories_of(trained, self._sweep)
