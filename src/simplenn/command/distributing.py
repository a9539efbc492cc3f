"""The groups of one launch, trained by a cluster's workers: what these are sent, what is recorded of what comes back.

The command alone writes into the sweep's directory. Imports torch only to train.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from simplenn import signals
from simplenn.cluster.unit import Corrupt, Result, Unit, pack
from simplenn.cluster.working import versions
from simplenn.command.failures import Failures, Stopped
from simplenn.command.pieces import Piece, pieces_of
from simplenn.command.prepared_group import PreparedGroup
from simplenn.command.single_elsewhere import Single
from simplenn.groups import RunGroup
from simplenn.rundir import Result as RunResult
from simplenn.rundir import code_of
from simplenn.signals import Interrupted

if TYPE_CHECKING:
    from simplenn.cluster.connection import Connection
    from simplenn.groups.outcome import Outcome
    from simplenn.training import RemoteProgress

log = logging.getLogger(__name__)


class Distribution:
    """One launch. `run_single(num)` runs a job of Hydra's, whose task asks `single` for its result."""

    def __init__(
        self,
        connection: "Connection",
        threads: int | None,
        sweep: Path,
        progress: "RemoteProgress",
        failures: Failures,
        run_single: Callable[[int], Any],
    ) -> None:
        from simplenn.cluster.dispatch import Dispatcher

        self._connection = connection
        self._threads = threads
        self._sweep = sweep
        self._progress = progress
        self._failures = failures
        self._run_single = run_single
        self._dispatcher = Dispatcher(connection, self._tell)
        self._versions = versions()
        self._present: Single | None = None  # whose job is being run
        self._values: dict[int, float] = {}
        self._returns: dict[int, Any] = {}  # of the jobs that ran one by one

    def train(self, groups: Sequence[PreparedGroup]) -> tuple[dict[int, float], dict[int, Any]]:
        """Objectives of the runs that trained in stacks, and what `run_single` returned for the others, by job number.

        Raises `Interrupted`, and `Stopped` where no more is to be tried: what the workers have by then is recorded.
        """
        from simplenn.sweep.parts import next_number

        signals.begin_work()
        self._numbers: Iterator[int] = count(next_number(self._sweep))
        stacked = [prepared for prepared in groups if prepared.reason is None]
        for piece in pieces_of(stacked, max(1, len(self._connection.addresses)), self._numbers):
            self._add(piece)
        for prepared in groups:
            if prepared.reason is not None:
                for run in range(len(prepared.group)):
                    self._add(Single(prepared.group, run))
        try:
            for work, result in self._dispatcher.ended():
                self._take(work.about, work.number, result)
        except (Interrupted, Stopped) as error:
            self._record_rest(error)
            raise
        return self._values, self._returns

    def single(self, cfg: DictConfig, directory: Path) -> RunResult | None:
        """What the job that is being run has come to; `None` where it has only been sent."""
        assert self._present is not None
        return self._present.take(cfg, directory)

    def _add(self, about: Piece | Single) -> None:
        from simplenn.cluster.dispatch import Work

        def make(number: int, token: str) -> Unit:
            of = self._unit_of_piece if isinstance(about, Piece) else self._unit_of_single
            return of(about, number, token)  # pyright: ignore[reportArgumentType]

        self._dispatcher.waiting.append(Work(about, make))

    def _unit_of_piece(self, piece: Piece, number: int, token: str) -> Unit:
        from simplenn.cluster.outcomes import plain

        group = piece.prepared.group
        return Unit(
            **self._shared(piece.prepared.training_cfg, number, token),
            columns={key: values[piece.runs.start : piece.runs.stop] for key, values in group.columns.items()},
            start=None if piece.start is None else pack(plain(piece.start)),
        )

    def _unit_of_single(self, single: Single, number: int, token: str) -> Unit:
        self._run(single)
        assert single.cfg is not None
        return Unit(**self._shared(single.cfg, number, token), columns={}, files=single.files, name=single.name)

    def _shared(self, cfg: DictConfig, number: int, token: str) -> dict[str, Any]:
        values: Any = OmegaConf.to_container(cfg, resolve=True)
        expected = self._versions | code_of(cfg)
        kind = {"number": number, "token": token, "threads": self._threads, "expected": expected}
        return {"cfg": values, "allow": list(cfg.allow), **kind}

    def _run(self, single: Single) -> Any:
        self._present = single
        try:
            return self._run_single(single.num)
        finally:
            self._present = None

    def _tell(self, about: Piece | Single, number: int, how_far: dict[str, Any]) -> None:
        if isinstance(about, Piece):
            self._progress.told(number, **how_far)

    def _take(self, about: Piece | Single, number: int, result: Result | str) -> None:
        """Records what has come back."""
        if isinstance(about, Piece):
            self._take_piece(about, number, result)
        else:
            self._take_single(about, result)

    def _take_piece(self, piece: Piece, number: int, result: Result | str) -> None:
        prepared, runs = piece.prepared, piece.runs
        run_epochs = len(runs) * prepared.group.cfg.trainer.max_epochs
        try:
            outcomes = [] if isinstance(result, str) else _checked(piece, result)
        except Corrupt as error:
            result, outcomes = str(error), []
        is_done = not isinstance(result, str) and not result.signal
        self._progress.ended(number, len(runs) * is_done, run_epochs * is_done)
        if isinstance(result, str):
            self._fail(piece, result)
            return
        for message in result.log:
            logging.getLogger(message.logger).log(message.level, "%s", message.text)
        trained: set[int] = set()
        for place, (own, outcome) in enumerate(outcomes):
            part = piece.number if place == 0 else next(self._numbers)
            self._values |= prepared.record(own, outcome, part)
            trained.update(own)
        if result.signal:
            return
        if outcomes:
            self._failures.stacked()
        for run in runs:  # what a stack can't train with
            if run not in trained:
                self._add(Single(prepared.group, run))

    def _fail(self, piece: Piece, reason: str) -> None:
        group = piece.prepared.group
        first, last = (group.names[piece.runs[k]] for k in (0, -1))
        log.error("failed: %d runs, %s to %s: %s", len(piece.runs), first, last, reason)
        piece.prepared.record_failure(piece.runs, reason, piece.number)
        self._failures.note("failed", reason)
        if stop := self._failures.reason_to_stop:
            raise Stopped(stop)

    def _take_single(self, single: Single, result: Result | str) -> None:
        if isinstance(result, Result):
            try:
                single.refuse_other(result)
            except Corrupt as error:
                result = str(error)
        single.returned = result
        self._returns[single.num] = self._run(single)

    def _record_rest(self, error: Interrupted | Stopped) -> None:
        """What the workers have of what was begun."""
        import signal

        signum = signal.Signals[error.signal_name] if isinstance(error, Interrupted) else signal.SIGTERM
        with signals.deferred():
            ended = list(self._dispatcher.end(signum))
            self._connection.close()  # the workers end first: what they had is here by now, or lost
            for work, result in ended:
                if isinstance(result, Result):
                    self._take(work.about, work.number, result)
        if isinstance(error, Interrupted):
            log.warning("interrupted by %s", error.signal_name)


def _checked(piece: Piece, result: Result) -> "list[tuple[Sequence[int], Outcome]]":
    """The outcomes that came back, with the places of their runs in the group. Raises `Corrupt`."""
    from simplenn.cluster.outcomes import check_outcome, outcome_of

    group: RunGroup = piece.prepared.group
    found, after = [], 0
    for first, last, content in result.outcomes:
        if not after <= first < last <= len(piece.runs):
            raise Corrupt(f"what a worker sent back isn't of the runs that it was sent: it has runs {first} to {last}")
        outcome = outcome_of(content, result.signal if "interrupted" in content["status"] else "")
        check_outcome(outcome, last - first, group.cfg.trainer.max_epochs, piece.prepared.weights)
        found.append((piece.runs[first:last], outcome))
        after = last
    return found
