"""The orders in which R runs see the samples, each run's the one that it has by itself. Knows no networks.

Shapes: R runs, S distinct seeds, N samples, B batch.
"""

import ast
import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from textwrap import dedent
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Sampler

from simplenn import data
from simplenn.data import EpochBatches
from simplenn.stacking.seed_sequences import states


class StackBatches(Sampler[list[int]]):
    """Yields the sample numbers of the first run's batches, which Lightning's loop is driven by; `orders` has those of
    all runs. So a batch goes to the device once, and the runs' own are taken from the samples there.

    `seeds` are those of the R runs; `draw` gives orders as `orders_of` does. The other arguments are those of
    `EpochBatches`, which `TensorDataModule` passes; the one seed among them is not used.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        num_samples: int,
        batch_size: int,
        *,
        shuffle: bool = False,
        draw: Callable[[int, Sequence[int], int], Tensor] | None = None,
        **others: Any,
    ) -> None:
        self._draw = draw or orders_of
        others["seed"] = seeds[0]
        self._of_first_run = EpochBatches(num_samples, batch_size, shuffle=shuffle, **others)
        self._num_samples = num_samples
        self._is_same = same_batches(seeds, shuffle)
        self._distinct_seeds = sorted(set(seeds))
        rows = {seed: row for row, seed in enumerate(self._distinct_seeds)}
        self._row_of_run = torch.tensor([0 if self._is_same else rows[seed] for seed in seeds])
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of each epoch; epochs count from 0."""
        self._epoch = epoch
        self._of_first_run.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._of_first_run)

    def __iter__(self) -> Iterator[list[int]]:
        yield from self._of_first_run

    def orders(self) -> tuple[Tensor, Tensor]:
        """This epoch's orders of all samples, [S, N] or one for all, and [R] each run's row of them."""
        if self._is_same:
            return torch.tensor([[number for batch in self for number in batch]]), self._row_of_run
        return self._draw(self._num_samples, self._distinct_seeds, self._epoch), self._row_of_run


# `data.shuffled` as it is drawn here, many at once; somebody may edit it.
SHUFFLED = """
    own_seed = int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0])
    return torch.randperm(num_samples, generator=torch.Generator().manual_seed(own_seed))
"""


def orders_of(num_samples: int, seeds: Sequence[int], epoch: int) -> Tensor:
    """[S, N]: `data.shuffled` for each seed, in a fifth of the time."""
    if not is_as_known(data.shuffled):
        return torch.stack([data.shuffled(num_samples, seed, epoch) for seed in seeds])
    orders, generator = torch.empty(len(seeds), num_samples, dtype=torch.int64), torch.Generator()
    for order, state in zip(orders.unbind(), states(seeds, epoch).tolist(), strict=True):
        torch.randperm(num_samples, generator=generator.manual_seed(state), out=order)
    return orders


@cache
def is_as_known(shuffled: Callable[..., Tensor]) -> bool:
    """Whether it says just what `SHUFFLED` does, comments and docstring aside."""
    if getattr(shuffled, "__globals__", None) is not vars(data) or hasattr(shuffled, "__wrapped__"):
        return False
    try:
        (function,) = ast.parse(dedent(inspect.getsource(shuffled))).body
    except (OSError, SyntaxError, ValueError):  # there is no file, or more than a function on its lines
        return False
    if not isinstance(function, ast.FunctionDef) or function.decorator_list:
        return False
    names = [argument.arg for argument in function.args.args]
    statements = function.body[1:] if ast.get_docstring(function) is not None else function.body
    known = ast.parse(dedent(SHUFFLED)).body
    return names == ["num_samples", "seed", "epoch"] and [*map(ast.dump, statements)] == [*map(ast.dump, known)]


def same_batches(seeds: Sequence[int], shuffle: bool) -> bool:
    """Whether runs with these seeds all see the same batches in the same order."""
    return not shuffle or len(set(seeds)) == 1
