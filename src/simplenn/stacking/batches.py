"""The batches of R runs at once, each run's in the order that it has when it trains by itself. Knows no networks.

Shapes: R runs, S distinct seeds, N samples, B batch.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Sampler

from simplenn.data import EpochBatches, shuffled


class StackBatches(Sampler[Any]):
    """Yields the sample numbers of a batch for every run, [R, B]; where all runs see the same batches, one list [B].

    `seeds` are those of the R runs. The other arguments are those of `EpochBatches`, which `TensorDataModule` passes;
    the one seed among them is not used.
    """

    def __init__(
        self, seeds: Sequence[int], num_samples: int, batch_size: int, *, shuffle: bool = False, **others: Any
    ) -> None:
        others["seed"] = seeds[0]
        self.same = same_batches(seeds, shuffle)
        self.batches_of_first_run = EpochBatches(num_samples, batch_size, shuffle=shuffle, **others)
        self._num_samples = num_samples
        self._batch_size = batch_size
        self._distinct_seeds = sorted(set(seeds))
        rows = {seed: row for row, seed in enumerate(self._distinct_seeds)}
        self.row_of_run = torch.tensor([rows[seed] for seed in seeds])  # [R], of `orders_by_seed`
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of each epoch; epochs count from 0."""
        self._epoch = epoch
        self.batches_of_first_run.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.batches_of_first_run)

    def __iter__(self) -> Iterator[Any]:
        if self.same:
            yield from self.batches_of_first_run
            return
        orders = self.orders_by_seed()
        for start in range(0, self._num_samples, self._batch_size):
            yield orders[:, start : start + self._batch_size][self.row_of_run]

    def orders_by_seed(self) -> Tensor:
        """[S, N]: this epoch's order of all samples, for each distinct seed."""
        return torch.stack([shuffled(self._num_samples, seed, self._epoch) for seed in self._distinct_seeds])


def same_batches(seeds: Sequence[int], shuffle: bool) -> bool:
    """Whether runs with these seeds all see the same batches in the same order."""
    return not shuffle or len(set(seeds)) == 1
