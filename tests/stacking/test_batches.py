"""The batches of many runs at once."""

import math
from collections.abc import Callable
from functools import wraps

import numpy as np
import pytest
import torch
from torch import Tensor

from simplenn import data
from simplenn.data import EpochBatches
from simplenn.stacking.batches import StackBatches, is_as_known, orders_of


@pytest.mark.parametrize(("num_samples", "batch_size"), [(10, 4), (8, 8), (3, 1)])
def test_batches_are_those_of_each_run_alone(num_samples: int, batch_size: int) -> None:
    """In every epoch, each run of a stack sees the batches that it sees alone."""
    seeds = [3, 0, 3, 1, 2**32 - 1]
    together = StackBatches(seeds, num_samples, batch_size, shuffle=True)
    assert len(together) == math.ceil(num_samples / batch_size)
    for epoch in (0, 1, 2, 7):
        together.set_epoch(epoch)
        orders, row_of_run = together.orders()
        for r, seed in enumerate(seeds):
            alone = EpochBatches(num_samples, batch_size, shuffle=True, seed=seed)
            alone.set_epoch(epoch)
            assert orders[row_of_run[r]].tolist() == [number for batch in alone for number in batch]
        first = EpochBatches(num_samples, batch_size, shuffle=True, seed=seeds[0])
        first.set_epoch(epoch)
        assert list(together) == list(first)
    in_order = StackBatches(seeds, num_samples, batch_size)
    assert list(in_order) == list(EpochBatches(num_samples, batch_size))
    assert in_order.orders()[0].tolist() == [list(range(num_samples))] and not in_order.orders()[1].any()


def rolled(num_samples: int, seed: int, epoch: int) -> Tensor:
    return torch.arange(num_samples).roll(seed + epoch)


def of_few_seeds(num_samples: int, seed: int, epoch: int) -> Tensor:
    own_seed = int(np.random.SeedSequence([seed % 100, epoch]).generate_state(1, np.uint64)[0])
    return torch.randperm(num_samples, generator=torch.Generator().manual_seed(own_seed))


@wraps(data.shuffled)
def decorated(num_samples: int, seed: int, epoch: int) -> Tensor:
    return rolled(num_samples, seed, epoch)


@pytest.mark.parametrize(
    "edited", [rolled, of_few_seeds, decorated, lambda num, seed, epoch: torch.arange(num).roll(seed)]
)
def test_an_edited_order_is_that_of_the_stack(
    edited: Callable[[int, int, int], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it may be the one that is known for some seeds, or by chance."""
    seeds = [1, 3, 250]
    assert is_as_known(data.shuffled)
    monkeypatch.setattr(data, "shuffled", edited)
    assert orders_of(5, seeds, 1).tolist() == [edited(5, seed, 1).tolist() for seed in seeds]
