"""Trains any number of runs of one configuration as stacks: cut by memory, halved where one of them can't be trained.

Shapes: R runs.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig

from simplenn.groups.columns import Columns, num_runs_of
from simplenn.groups.joining import take_outcome
from simplenn.groups.outcome import Outcome
from simplenn.stacking.engine import with_compiler
from simplenn.stacking.initial_weights import InitialWeights
from simplenn.stacking.memory import default_max_stack, is_out_of_memory, release
from simplenn.stacking.reasons import CannotCompile
from simplenn.stacking.training import Attempt, attempt_stack

log = logging.getLogger(__name__)

Keep = Callable[[range, Outcome], None]


class _Stack(NamedTuple):
    """Runs that are to be trained together, and what they go on from."""

    runs: range
    start: Outcome | None

    def after(self, attempt: Attempt) -> "_Stack":
        """What is left to train of it after an attempt that raised."""
        return _Stack(self.runs, attempt.outcome or self.start)

    def cut(self, size: int) -> "list[_Stack]":
        """In pieces of at most so many runs."""
        pieces = [self.runs[first : first + size] for first in range(0, len(self.runs), size)]
        if len(pieces) == 1:
            return [self]
        return [_Stack(piece, self._start_of(range(k * size, k * size + len(piece)))) for k, piece in enumerate(pieces)]

    def _start_of(self, places: Sequence[int]) -> Outcome | None:
        if self.start is None:
            return None
        return take_outcome(self.start, places, self.start.seconds * len(places) / len(self.runs))


def train_in_stacks(
    cfg: DictConfig,
    columns: Columns,
    max_stack: int | None = None,
    callbacks: Sequence[Callback] = (),
    directory: Path | None = None,
    initial: InitialWeights | None = None,
    start: Outcome | None = None,
    keep: Keep | None = None,
) -> Iterator[tuple[range, Outcome | None]]:
    """Trains the runs in stacks of at most `max_stack`; yields the numbers of each stack's runs and their outcome.

    `start` is what all of the runs go on from, and `keep` is called now and then with the runs in training and what
    they have so far. A stack that doesn't fit in memory is halved and tried again, and so is one that raises, whose
    halves go on from its last completed epoch. What raises even by itself is yielded without an outcome. A stack that
    was interrupted is the last.
    """
    initial, known = initial or InitialWeights(cfg), {}
    size = max_stack or default_max_stack(cfg, columns)
    rest = deque(_Stack(range(num_runs_of(columns)), start).cut(size))
    is_known = False  # whether it has been said that stacks are halved
    while rest:
        stack = rest.popleft()
        own = {key: values[stack.runs.start : stack.runs.stop] for key, values in columns.items()}
        of_runs = None if keep is None else partial(keep, stack.runs)
        try:
            attempt = attempt_stack(cfg, own, callbacks, directory, initial, stack.start, of_runs, known)
        except Exception as error:  # before the training began, as where its weights don't fit in memory
            attempt = Attempt(None, error)
        if attempt.error is None:
            is_last = attempt.outcome is not None and attempt.outcome.interruption is not None
            outcome = [attempt.outcome]
            del attempt  # what is yielded doesn't stay here while the next stack trains
            yield stack.runs, outcome.pop()
            if is_last:
                return
            continue
        attempt.error.__traceback__ = None  # which keeps the stack's tensors alive
        if isinstance(attempt.error, CannotCompile):
            log.info("trainer.compile=true is ignored: %s", attempt.error)
            cfg = with_compiler(cfg, False)
            rest.appendleft(stack)
            continue
        is_memory = is_out_of_memory(attempt.error)
        if len(stack.runs) == 1:
            if is_memory:
                raise attempt.error
            yield stack.runs, None
            continue
        half = -(-len(stack.runs) // 2)
        if is_memory:
            log.info("a stack of %d runs doesn't fit in memory; trying again with %d", len(stack.runs), half)
            rest = _cut_smaller([stack, *rest], half)
            release()
            continue
        if not is_known:
            log.warning("%s", _halved(stack, attempt))
        is_known = True
        rest.extendleft(reversed(stack.after(attempt).cut(half)))


def _cut_smaller(stacks: Sequence[_Stack], size: int) -> "deque[_Stack]":
    """All of these, which follow each other, as stacks of at most so many runs."""
    if all(stack.start is None for stack in stacks):
        stacks = [_Stack(range(stacks[0].runs.start, stacks[-1].runs.stop), None)]
    return deque(piece for stack in stacks for piece in stack.cut(size))


def _halved(stack: _Stack, attempt: Attempt) -> str:
    reached = stack.after(attempt).start
    epochs = len(reached.steps) if reached is not None else 0
    reason = f"{type(attempt.error).__name__}: {' '.join(str(attempt.error).split())}"
    return (
        f"a stack of {len(stack.runs)} runs failed in epoch {epochs + 1} ({reason:.300}); it is halved until the run "
        f"that fails is by itself, and the others go on from epoch {epochs}"
    )
