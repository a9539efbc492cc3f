"""A group of runs that is ready to train: why it can't train as stacks, else its stacks' training.

Imports torch only to train.
"""

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from simplenn import signals
from simplenn.groups import RunGroup

if TYPE_CHECKING:
    from simplenn.groups.outcome import Outcome
    from simplenn.stacking import Proof

log = logging.getLogger(__name__)


class PreparedGroup:
    """`reason` says why the group's runs must train one by one, `None` where they train as stacks of at most
    `max_stack`; `after_stack` is called after each of these."""

    def __init__(
        self,
        group: RunGroup,
        proof: "Proof",
        max_stack: int | None,
        callbacks: Sequence[Any] = (),
        after_stack: Callable[[], None] = lambda: None,
    ) -> None:
        self.group = group
        self.reason = proof.reason
        self._initial = proof.initial
        self._max_stack = max_stack
        self._callbacks = callbacks
        self._after_stack = after_stack
        self._outcomes: list[Outcome] = []

    def train(self) -> list[float]:
        """Trains the group's runs, stack by stack; the objectives of those that have trained. Where a stack fails, its
        runs and those behind it are left to train one by one, so that each reports its own error.

        Raises `Interrupted`.
        """
        from simplenn.groups.metrics import objectives
        from simplenn.stacking import train_in_stacks

        signals.begin_work()
        stacks = train_in_stacks(
            self.group.cfg, self.group.columns, self._max_stack, self._callbacks, initial=self._initial
        )
        try:
            for _, outcome in stacks:
                self._outcomes.append(outcome)
                if outcome.interruption is not None:
                    log.warning("interrupted by %s", outcome.interruption.signal_name)
                    raise outcome.interruption
                self._after_stack()
        except Exception as error:
            log.warning("a stack failed (%s: %s); its runs train one by one", type(error).__name__, error)
        return [value for outcome in self._outcomes for value in objectives(outcome).tolist()]

    @property
    def num_trained(self) -> int:
        """How many runs have trained: the group's first ones."""
        return sum(len(outcome.status) for outcome in self._outcomes)

    def trained(self) -> RunGroup:
        """The runs that have trained, with their outcome."""
        from simplenn.groups.joining import join_outcomes

        own = self.group if self.num_trained == len(self.group) else self.group.take(range(self.num_trained))
        outcome = join_outcomes(self._outcomes) if len(self._outcomes) > 1 else self._outcomes[0]
        return own.trained(outcome, stacked=True)
