"""Groups of runs cut into stacks for several workers. The cut changes no run's numbers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simplenn.command.prepared_group import PreparedGroup

if TYPE_CHECKING:
    from simplenn.groups.outcome import Outcome

STACKS_FOR_EACH = 2  # worker: more even out what takes differently long, but each costs as much again as a run


@dataclass
class Piece:
    """A stack of a group: its runs by their places, what they go on from, and the number of its part."""

    prepared: PreparedGroup
    runs: range
    number: int
    start: "Outcome | None" = None


def pieces_of(groups: Sequence[PreparedGroup], num_workers: int, numbers: Iterator[int]) -> Iterator[Piece]:
    """Stacks of much the same size, two for each worker; more where there are more groups, or memory asks for it.

    Runs that go on from a part of just these keep its number, where they fit into one stack.
    """
    from simplenn.groups.joining import take_outcome

    total = sum(len(prepared.group) for prepared in groups)
    for prepared in groups:
        num_runs = len(prepared.group)
        most = min(prepared.most_together(), -(-total // (STACKS_FOR_EACH * num_workers)))
        num_pieces = -(-num_runs // most)
        start, own_number = prepared.start()
        for k in range(num_pieces):
            runs = range(k * num_runs // num_pieces, (k + 1) * num_runs // num_pieces)
            number = next(numbers) if own_number is None or num_pieces > 1 else own_number
            own = None if start is None else take_outcome(start, runs, start.seconds * len(runs) / num_runs)
            yield Piece(prepared, runs, number, own)
