"""The batches of R runs at once, each run's in the order that it has alone. Knows nothing of networks.

Shapes: R runs, S distinct seeds, N samples, B batch.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Sampler

from simplenn.data import EpochBatches, shuffled


class StackBatches(Sampler[Any]):
    """Sample numbers [R, B] a batch, by each run's seed; where the runs `agree`, the lists of one run alone.

    Takes the arguments of `EpochBatches`, which `TensorDataModule` passes, after `seeds` and `light`: light batches
    are those of the first run alone, for a stack that takes its whole epoch from `orders`.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        light: bool,
        num_samples: int,
        batch_size: int,
        *,
        shuffle: bool = False,
        **alone: Any,
    ) -> None:
        alone["seed"] = seeds[0]
        self.agree = agree(seeds, shuffle)
        self._alone = EpochBatches(num_samples, batch_size, shuffle=shuffle, **alone)
        self._light = light
        self._num_samples = num_samples
        self._batch_size = batch_size
        self._seeds = sorted(set(seeds))
        place = {seed: i for i, seed in enumerate(self._seeds)}
        self._place = torch.tensor([place[seed] for seed in seeds])
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at each epoch's start; epochs count from 0."""
        self._epoch = epoch
        self._alone.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._alone)

    def __iter__(self) -> Iterator[Any]:
        if self.agree or self._light:
            yield from self._alone
            return
        orders = self._orders_by_seed()
        for start in range(0, self._num_samples, self._batch_size):
            yield orders[:, start : start + self._batch_size][self._place]

    def orders(self) -> tuple[Tensor, Tensor | None]:
        """This epoch's orders [S, N], and [R] each run's row of them; `None` where all have the one."""
        if self.agree:
            return torch.tensor([[number for batch in self._alone for number in batch]]), None
        return self._orders_by_seed(), self._place

    def _orders_by_seed(self) -> Tensor:
        """[S, N]."""
        return torch.stack([shuffled(self._num_samples, seed, self._epoch) for seed in self._seeds])


def agree(seeds: Sequence[int], shuffle: bool) -> bool:
    """Whether all runs see the same batches."""
    return not shuffle or len(set(seeds)) == 1
