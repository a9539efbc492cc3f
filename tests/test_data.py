import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from simplenn.data import EpochBatches, PostDataModule, SumDataModule, shuffled


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 2**32 - 1), st.integers(0, 9))
def test_the_order_is_that_of_seed_and_epoch(n: int, batch_size: int, seed: int, epoch: int) -> None:
    """Every sample once an epoch, in an order that `(seed, epoch)` alone decide, by numpy's way to make streams."""
    batches = EpochBatches(n, batch_size, shuffle=True, seed=seed)
    batches.set_epoch(epoch)
    stream = np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0]
    flat = [i for batch in batches for i in batch]
    assert flat == torch.randperm(n, generator=torch.Generator().manual_seed(int(stream))).tolist()
    assert sorted(flat) == list(range(n))
    assert len(list(batches)) == len(batches)


def test_no_two_seeds_share_an_order() -> None:
    """Over neighbouring seeds and epochs, each pair has an order of its own."""
    orders = {tuple(shuffled(32, seed, epoch).tolist()) for seed in range(20) for epoch in range(20)}
    assert len(orders) == 400


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 40), st.integers(1, 20), st.integers(1, 5))
def test_processes_share_each_batch(n: int, batch_size: int, num_replicas: int) -> None:
    """Together the processes see each sample of a batch once; only one that has none of it gets a sample that doesn't
    count.
    """
    alone = list(EpochBatches(n, batch_size, shuffle=True))
    shared = [
        EpochBatches(n, batch_size, shuffle=True, rank=rank, num_replicas=num_replicas) for rank in range(num_replicas)
    ]
    parts = [list(batches) for batches in shared]
    for number, batch in enumerate(alone):
        counted = []
        for batches, part in zip(shared, parts, strict=True):
            own, whole = batches.share(number)
            assert whole == len(batch)
            assert len(part[number]) == max(own, 1)
            assert set(part[number]) <= set(batch)
            counted += part[number][:own]
        assert sorted(counted) == sorted(batch)


def test_the_sum_data_are_what_they_are_said_to_be() -> None:
    """Inputs uniform in [0, 5) and [5, 10), the target their sum; each split its own; the seed decides them."""
    data, again, other = SumDataModule(num_features=4), SumDataModule(num_features=4), SumDataModule(4, seed=1)
    for module in (data, again, other):
        module.setup("fit")
    assert data.train is not None and data.val is not None and data.test is not None
    assert data.extrapolation is not None and again.train is not None and other.train is not None
    assert [len(part) for part in (data.train, data.val, data.test, data.extrapolation)] == [256, 128, 128, 128]
    for part, low in ((data.train, 0), (data.val, 0), (data.test, 0), (data.extrapolation, 5)):
        x, y = part.tensors
        assert x.shape[1] == 4
        assert low <= x.min() < low + 0.3
        assert low + 4.7 < x.max() < low + 5
        assert torch.equal(y, x.sum(dim=1, keepdim=True))
    assert torch.equal(data.train.tensors[0], again.train.tensors[0])
    assert not torch.equal(data.train.tensors[0], other.train.tensors[0])
    assert not torch.equal(data.train.tensors[0][:128], data.val.tensors[0])


def test_a_split_keeps_its_samples_when_another_changes_its_size() -> None:
    small, large = SumDataModule(num_train=8), SumDataModule(num_train=800)
    small.setup("fit")
    large.setup("fit")
    assert small.val is not None and large.val is not None
    assert torch.equal(small.val.tensors[0], large.val.tensors[0])


def test_noise_has_its_standard_deviation_and_spares_the_test_set() -> None:
    data = SumDataModule(num_train=20_000, noise=0.5)
    data.setup("fit")
    assert data.train is not None and data.test is not None
    x, y = data.train.tensors
    assert abs(float((y - x.sum(dim=1, keepdim=True)).std()) - 0.5) < 0.02
    x, y = data.test.tensors
    assert torch.equal(y, x.sum(dim=1, keepdim=True))


def test_the_tutorials_samples_come_whole_and_in_order() -> None:
    data = PostDataModule()
    data.setup("fit")
    (batch,) = list(data.train_dataloader())
    assert batch[0].tolist() == [[1, 2, 3], [2, 3, 4], [3, 4, 5]]
    assert batch[1].tolist() == [[6], [9], [12]]
    assert data.val_dataloader() == []
