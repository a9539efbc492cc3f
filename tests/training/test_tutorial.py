"""The tutorial's plain loop, written out, is the oracle of `experiment=post`."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import ROOT, script
from torch import nn

from simplenn.rundir import checkpoint
from simplenn.rundir.metrics import read_rows
from simplenn.rundir.result import Result
from simplenn.rundir.run import Run


class SimpleNN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer1 = nn.Linear(3, 4)
        self.relu = nn.ReLU()
        self.layer2 = nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer2(self.relu(self.layer1(x)))


def plain_loop(seed: int, num_epochs: int = 100) -> tuple[list[float], dict[str, torch.Tensor]]:
    torch.manual_seed(seed)
    inputs = torch.tensor([[1.0, 2.0, 3.0], [2.0, 3.0, 4.0], [3.0, 4.0, 5.0]])
    targets = torch.tensor([[6.0], [9.0], [12.0]])
    model = SimpleNN()
    criterion = nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    losses = []
    for _ in range(num_epochs):
        outputs = model(inputs)
        loss = criterion(outputs, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, model.state_dict()


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
def test_post_equals_the_tutorial_to_the_bit(seed: int, train_run: Callable[..., Result], tmp_path: Path) -> None:
    """With one seed, every loss and every final weight of `experiment=post` are those of the plain loop."""
    result = train_run("post", "experiment=post", f"seed={seed}")
    losses, weights = plain_loop(seed)
    run = Run(tmp_path / "post")
    assert [row["train/loss"] for row in read_rows(run.metrics_file)] == losses
    assert result.status == "done"
    assert result.epoch == 100
    state = checkpoint.load(run.checkpoint("last"))["state_dict"]
    assert len(state) == len(weights) == 4
    for name, weight in weights.items():
        assert torch.equal(state[f"network.{name}"], weight)


def test_post_prints_what_the_tutorial_prints(tmp_path: Path) -> None:
    """A line every 10 epochs with the plain loop's loss, then the model's output; where it is, how to review it."""
    printed = script("train.py", "experiment=post", "trainer=cpu", "name=post", cwd=tmp_path)
    losses, _ = plain_loop(15)  # the experiment's own seed
    expected = [f"Epoch [{epoch}/100], Loss: {losses[epoch - 1]:.4f}" for epoch in range(10, 101, 10)]
    lines = printed.stdout.splitlines()
    assert printed.returncode == 0, printed.stderr
    assert printed.stderr == ""
    assert lines[:10] == expected
    assert lines[10] == "Model output:"
    assert lines[11].startswith("  [1.0, 2.0, 3.0] -> ")
    assert lines[-2:] == ["run:    outputs/runs/post", f"review: python {ROOT}/scripts/review.py outputs/runs/post"]
