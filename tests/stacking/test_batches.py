"""The batches of many runs at once."""

import math

import pytest

from simplenn.data import EpochBatches
from simplenn.stacking.batches import StackBatches


@pytest.mark.parametrize(("num_samples", "batch_size"), [(10, 4), (8, 8), (3, 1)])
def test_batches_are_those_of_each_run_alone(num_samples: int, batch_size: int) -> None:
    """In every epoch, each run of a stack sees the batches that it sees alone."""
    seeds = [3, 0, 3, 1, 2**32 - 1]
    together = StackBatches(seeds, num_samples, batch_size, shuffle=True)
    assert len(together) == math.ceil(num_samples / batch_size)
    for epoch in (0, 1, 2, 7):
        together.set_epoch(epoch)
        batches = list(together)
        for r, seed in enumerate(seeds):
            alone = EpochBatches(num_samples, batch_size, shuffle=True, seed=seed)
            alone.set_epoch(epoch)
            assert [batch[r].tolist() for batch in batches] == list(alone)
    assert list(StackBatches(seeds, num_samples, batch_size)) == list(EpochBatches(num_samples, batch_size))
