"""Data sets that live in tensors, and the order in which a run sees them. Knows nothing of the network.

Shapes: N samples, B batch, F features.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler, TensorDataset

EVALUATION_BATCH = 4096


def shuffled(num_samples: int, seed: int, epoch: int) -> Tensor:
    """[N]: the numbers of all samples in an order of this seed's and epoch's own; epochs count from 0."""
    # A hash of the pair: with seed + epoch, seed 1 would have in epoch 0 the order that seed 0 has in epoch 1.
    own_seed = int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0])
    return torch.randperm(num_samples, generator=torch.Generator().manual_seed(own_seed))


class EpochBatches(Sampler[list[int]]):
    """Lists of sample numbers, one a batch; the order in epoch `e` depends on `(seed, e)` alone.

    With several processes, each takes every `num_replicas`-th sample of each batch, so that together they
    train on the batches that one process would. A process that is left without one gets the batch's first
    sample in its stead, which `share` doesn't count.
    """

    def __init__(
        self,
        num_samples: int,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        rank: int = 0,
        num_replicas: int = 1,
    ) -> None:
        self._num_samples = num_samples
        self._batch_size = batch_size
        self._shuffle = shuffle
        self._seed = seed
        self._epoch = 0
        self._rank = rank
        self._num_replicas = num_replicas

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at each epoch's start; epochs count from 0."""
        self._epoch = epoch

    def __len__(self) -> int:
        return math.ceil(self._num_samples / self._batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        order = list(range(self._num_samples))
        if self._shuffle:
            order = shuffled(self._num_samples, self._seed, self._epoch).tolist()
        for start in range(0, len(order), self._batch_size):
            batch = order[start : start + self._batch_size]
            own = batch[self._rank :: self._num_replicas]
            # A process without a sample must take part all the same, as the others wait for it at each step.
            yield own if own else batch[:1]

    def share(self, number: int) -> tuple[int, int]:
        """How many samples of the epoch's batch `number` (from 0) are this process's, and how many it has in all."""
        whole = min(self._batch_size, self._num_samples - number * self._batch_size)
        return len(range(self._rank, whole, self._num_replicas)), whole


class TensorDataModule(L.LightningDataModule):
    """Whole batches of tensors by one index operation each.

    A subclass sets `train`, `val`, `test` and `extrapolation` in `setup`; those that it leaves `None` are
    skipped. `batch_size=None` is the full batch. `shuffle_seed` is the run's seed, set before training;
    `make_batches` is called as `EpochBatches` is, and gives the sample numbers of each training batch; a stack puts a
    function in its place that gives them for all of its runs.
    """

    shuffle_seed: int = 0
    make_batches: Callable[..., Sampler[Any]] = EpochBatches

    def __init__(self, batch_size: int | None = None, shuffle: bool = True) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.train: TensorDataset | None = None
        self.val: TensorDataset | None = None
        self.test: TensorDataset | None = None
        self.extrapolation: TensorDataset | None = None

    def train_dataloader(self) -> DataLoader:
        assert self.train is not None
        rank, num_replicas = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        batches = self.make_batches(
            len(self.train),
            self.batch_size or len(self.train),
            shuffle=self.shuffle,
            seed=self.shuffle_seed,
            rank=rank,
            num_replicas=num_replicas,
        )
        return _loader(self.train, batches)

    def val_dataloader(self) -> list[DataLoader]:
        return [] if self.val is None else [_evaluation_loader(self.val)]

    def test_dataloader(self) -> dict[str, DataLoader]:
        """The loaders by the name under which their metrics are shown."""
        sets = {"test": self.test, "extrapolation": self.extrapolation}
        return {name: _evaluation_loader(samples) for name, samples in sets.items() if samples is not None}


def _loader(samples: TensorDataset, batches: Sampler[Any]) -> DataLoader:
    # batch_size=None hands each batch's numbers to the data set as they are: one index operation a batch.
    # The generator keeps the loader from drawing its base seed from the global stream.
    return DataLoader(samples, sampler=batches, batch_size=None, generator=torch.Generator())


def _evaluation_loader(samples: TensorDataset) -> DataLoader:
    return _loader(samples, EpochBatches(len(samples), EVALUATION_BATCH))


class SumDataModule(TensorDataModule):
    """Learn to add: inputs uniform in [0, 5), the target their sum, plus an extrapolation set in [5, 10).

    `noise` is the standard deviation of Gaussian noise on the training and validation targets. `seed` fixes
    the data; each split is drawn with a seed of its own, so that the size of one doesn't change another.
    """

    def __init__(
        self,
        num_features: int = 3,
        num_train: int = 256,
        num_val: int = 128,
        num_test: int = 128,
        noise: float = 0.0,
        batch_size: int | None = 32,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size=batch_size)
        self.num_features = num_features
        self.num_train = num_train
        self.num_val = num_val
        self.num_test = num_test
        self.noise = noise
        self.seed = seed

    def setup(self, stage: str) -> None:
        self.train = self._draw(0, self.num_train, 0.0, 5.0, self.noise)
        self.val = self._draw(1, self.num_val, 0.0, 5.0, self.noise) if self.num_val else None
        self.test = self._draw(2, self.num_test, 0.0, 5.0)
        self.extrapolation = self._draw(3, self.num_test, 5.0, 10.0)

    def _draw(self, split: int, num_samples: int, low: float, high: float, noise: float = 0.0) -> TensorDataset:
        own_seed = int(np.random.SeedSequence([self.seed, split]).generate_state(1, np.uint64)[0])
        generator = torch.Generator().manual_seed(own_seed)
        x = low + (high - low) * torch.rand(num_samples, self.num_features, generator=generator)
        y = x.sum(dim=1, keepdim=True)
        return TensorDataset(x, y + noise * torch.randn(y.shape, generator=generator) if noise else y)


class PostDataModule(SumDataModule):
    """The tutorial's three samples as one full batch in their own order, without validation.

    The test and extrapolation sets are those of `SumDataModule`.
    """

    def __init__(self, num_features: int = 3, num_test: int = 128, seed: int = 0) -> None:
        super().__init__(num_features, num_train=3, num_val=0, num_test=num_test, batch_size=None, seed=seed)
        self.shuffle = False

    def setup(self, stage: str) -> None:
        super().setup(stage)
        x: Tensor = torch.arange(3.0)[:, None] + torch.arange(1.0, self.num_features + 1)
        self.train = TensorDataset(x, x.sum(dim=1, keepdim=True))
