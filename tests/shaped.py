"""Networks and data of shapes that a user's own may have, right and wrong."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from simplenn.data import TensorDataModule


class Convolution(nn.Module):
    """Its first weight is [4, 1, 2]."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(1, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x[:, None])


class Embedding(nn.Module):
    """Its first weight is [6, 4]; numbers from 6 on are refused."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.last = nn.Embedding(6, 4), nn.Linear(12, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.embedding(x.long()).flatten(1))


class Scaled(nn.Module):
    """Its first weight is a number."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.layer = nn.Parameter(torch.ones(())), nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.layer(x)


class Factor(nn.Module):
    """One number is all that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x.sum(dim=1, keepdim=True)


class Flat(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input)[:, 0]


class Pair(nn.Linear):
    def forward(self, input: Tensor) -> Any:
        return super().forward(input), input


class Crash(nn.Linear):
    """Raises in `forward`, or in its constructor."""

    def __init__(self, at_once: bool = False) -> None:
        super().__init__(3, 1)
        if at_once:
            raise ValueError("no room")

    def forward(self, input: Tensor) -> Tensor:
        return {"x": input}["Rooms"]


class WithoutLr(torch.optim.SGD):
    def __init__(self, params: Any, step_size: float) -> None:
        torch.optim.Optimizer.__init__(self, params, {"step_size": step_size})


class Table(TensorDataModule):
    """30 samples of three numbers and their sum, in one of the ways in which a user's own may be wrong."""

    def __init__(self, kind: str = "right") -> None:
        super().__init__(batch_size=8)
        self.kind = kind

    def setup(self, stage: str) -> None:
        x = (torch.arange(90.0) % 5).view(30, 3)
        y = x.sum(dim=1, keepdim=True)
        if self.kind == "unreadable":
            raise FileNotFoundError("no table.csv")
        samples = {
            "right": (x, y),
            "empty": (x[:0], y[:0]),
            "targets [N]": (x, y[:, 0]),
            "two targets": (x, y.repeat(1, 2)),
            "no targets": (x,),
            "doubles": (x.double(), y.double()),
            "other validation": (x, y),
            "no validation": (x, y),
        }
        if self.kind == "other validation":
            self.val = TensorDataset(torch.zeros(5, 7), torch.zeros(5, 1))
        if self.kind == "no validation":
            self.val = TensorDataset(x[:0], y[:0])
        self.train = TensorDataset(*samples[self.kind]) if self.kind in samples else None


class Loaded(Table):
    """Its tensors are no batches: the loader makes these."""

    def train_dataloader(self) -> DataLoader:
        self.setup("fit")
        assert self.train is not None
        x, y = self.train.tensors
        return DataLoader(TensorDataset(x, y[:, None]), batch_size=8)
