"""What the network takes and gives is held against the data once, before anything is written."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import composed, script
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from simplenn.data import TensorDataModule
from simplenn.errors import ConfigError
from simplenn.training.rehearsal import rehearse


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


class Flat(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input)[:, 0]


class Pair(nn.Linear):
    def forward(self, input: Tensor) -> Any:
        return super().forward(input), input


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
        }
        self.train = TensorDataset(*samples[self.kind]) if self.kind in samples else None


class Loaded(Table):
    """Its tensors are no batches: the loader makes these."""

    def train_dataloader(self) -> DataLoader:
        self.setup("fit")
        assert self.train is not None
        x, y = self.train.tensors
        return DataLoader(TensorDataset(x, y[:, None]), batch_size=8)


def own(thing: type, **arguments: Any) -> dict[str, Any]:
    return {"_target_": f"test_shapes.{thing.__name__}", **arguments}


def linear(kind: type = nn.Linear, width: int = 3, outputs: int = 1) -> dict[str, Any]:
    target = own(kind) if kind is not nn.Linear else {"_target_": "torch.nn.Linear"}
    return {**target, "in_features": width, "out_features": outputs}


def rehearsed(model: dict[str, Any], data: dict[str, Any], *overrides: str) -> None:
    cfg = composed("trainer=cpu", *overrides)
    cfg.model, cfg.data, cfg.allow = model, data, ["test_shapes"]
    rehearse(cfg)


@pytest.mark.parametrize(
    ("model", "kind", "message"),
    [
        (linear(outputs=2), "right", r"model must give one number a sample, \[2, 1\] for inputs .*, got \[2, 2\]"),
        (linear(Flat), "right", r"model must give one number a sample, .*, got \[2\]; try nn.Linear"),
        (linear(Pair), "right", "model must give one number a sample, .*, got tuple"),
        (linear(width=4), "right", r"model cannot be run on data of shape \[2, 3\]: RuntimeError: mat1 and mat2"),
        (linear(), "doubles", "model cannot be run on data .* same dtype"),
        (linear(), "targets [N]", r"data must have one target a sample, .*, got \[2\]; try y.reshape\(-1, 1\)"),
        (linear(), "two targets", r"data must have one target a sample, .*, got \[2, 2\]"),
        (linear(), "no targets", "data must have inputs and targets, got 1 tensors"),
        (linear(), "empty", "data must have training samples, got none"),
        (linear(), "absent", "data must have training samples, got none"),
        (linear(), "unreadable", "data cannot be set up as configured: FileNotFoundError: no table.csv"),
    ],
)
def test_what_would_train_to_nonsense_is_refused_in_one_line(model: dict[str, Any], kind: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        rehearsed(model, own(Table, kind=kind))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("precision", ["32-true", "64-true", "bf16-mixed", "bf16-true"])
@pytest.mark.parametrize("model", [own(Convolution), own(Embedding), own(Scaled), linear()])
def test_any_network_from_features_to_one_number_passes(model: dict[str, Any], precision: str) -> None:
    """In every precision that the CPU trains in; in double precision, doubles too."""
    kind = "doubles" if precision == "64-true" else "right"
    rehearsed(model, own(Table, kind=kind), f"trainer.precision={precision}")


def test_data_that_make_their_own_batches_are_not_judged_by_their_tensors() -> None:
    rehearsed(linear(), own(Loaded, kind="targets [N]"))


@pytest.mark.parametrize("words", [["name=x"], ["-m", "name=x", "model.hidden=4,5", "seed=1,2"]])
def test_a_run_or_a_sweep_that_is_refused_for_its_shapes_leaves_nothing(words: list[str], tmp_path: Path) -> None:
    refused = script("train.py", *words, "model.num_features=4", "trainer=cpu", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("model cannot be run on data")
    assert refused.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
