"""A group of runs that is ready to train: why it can't train as stacks, else its stacks' training.

Imports torch only to train.
"""

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from simplenn.groups import RunGroup

if TYPE_CHECKING:
    from simplenn.groups.outcome import Outcome
    from simplenn.stacking import Proof

log = logging.getLogger(__name__)


class PreparedGroup:
    """`reason` says why the group's runs must train one by one, `None` where they train as stacks of at most
    `max_stack`; `after_stack` is called with the runs of each of these as they ended, and none of them is kept."""

    def __init__(
        self,
        group: RunGroup,
        proof: "Proof",
        max_stack: int | None,
        callbacks: Sequence[Any] = (),
        after_stack: "Callable[[RunGroup], None]" = lambda group: None,
    ) -> None:
        self.group = group
        self.reason = proof.reason
        self._initial = proof.initial
        self._max_stack = max_stack
        self._callbacks = callbacks
        self._after_stack = after_stack
        self.num_trained = 0  # how many runs have trained: the group's first ones

    def train(self) -> list[float]:
        """Trains the group's runs, stack by stack; the objectives of those that have trained. Where a stack fails, its
        runs and those behind it are left to train one by one, so that each reports its own error.

        Raises `Interrupted`.
        """
        from simplenn.groups.metrics import objectives
        from simplenn.stacking import train_in_stacks

        stacks = train_in_stacks(
            self.group.cfg, self.group.columns, self._max_stack, self._callbacks, initial=self._initial
        )
        values: list[float] = []
        try:
            for runs, outcome in stacks:
                values += objectives(outcome).tolist()
                self._end(runs, outcome)
                if outcome.interruption is not None:
                    log.warning("interrupted by %s", outcome.interruption.signal_name)
                    raise outcome.interruption
        except Exception as error:
            log.warning("a stack failed (%s: %s); its runs train one by one", type(error).__name__, error)
        return values

    def _end(self, runs: range, outcome: "Outcome") -> None:
        self.num_trained = runs.stop
        own = self.group if len(runs) == len(self.group) else self.group.take(runs)
        self._after_stack(own.trained(outcome, stacked=True))
