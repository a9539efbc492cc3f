"""A trained network in Python: what it takes, what it gives, what it refuses."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars
import pytest
import torch
from conftest import composed
from omegaconf import OmegaConf

import simplenn
from simplenn.errors import ConfigError
from simplenn.evaluation import load_run, predict
from simplenn.rundir.result import Result
from simplenn.rundir.run import Run

ROWS = [[1.0, 2.0, 3.0], [4.0, 0.5, 2.25]]


@pytest.fixture
def run(train_run: Callable[..., Result], tmp_path: Path) -> Path:
    train_run("run", "trainer.max_epochs=2")
    (tmp_path / "run" / ".hydra").mkdir()
    OmegaConf.save(composed("trainer.max_epochs=2"), tmp_path / "run" / ".hydra" / "config.yaml", resolve=True)
    return tmp_path / "run"


@pytest.mark.parametrize("which", ["best", "last"])
def test_numbers_give_what_predict_gives(which: str, run: Path) -> None:
    """A row gives a number, rows of whatever kind give an array."""
    network = simplenn.load_run(run, which)
    expected = predict(*load_run(Run(run), which)[:2], ROWS)[:, 0].numpy()
    assert network(ROWS[0]) == network(*ROWS[0]) == network(np.array(ROWS[0])) == expected[0]
    assert isinstance(network(ROWS[0]), float)
    for rows in (ROWS, np.array(ROWS, np.float32), polars.DataFrame(ROWS, orient="row"), [np.array(r) for r in ROWS]):
        found = network(rows)
        assert isinstance(found, np.ndarray) and found.shape == (2,)
        np.testing.assert_array_equal(found, expected)
    assert network([]).shape == network(np.empty((0, 3))).shape == (0,)


def test_tensors_give_tensors_with_gradients(run: Path) -> None:
    """As the plain module does; in evaluation mode."""
    network = simplenn.load_run(run)
    x = torch.tensor(ROWS, requires_grad=True)
    assert torch.equal(network(x), network.network(x)) and network(x).shape == (2, 1)
    (gradient,) = torch.autograd.grad(network(x).sum(), x)
    assert gradient.shape == x.shape
    assert not network.training and network.epoch == 2
    assert network.config["optimizer"]["_target_"] == "torch.optim.SGD"
    assert len(list(network.parameters())) == 4
    x, y = network.data.train.tensors  # pyright: ignore[reportAttributeAccessIssue]
    assert torch.equal(x.sum(dim=1, keepdim=True), y)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([1.0, 2.0], "row 1 must have 3 numbers, got 2"),
        ([[1.0, 2.0, 3.0], [1.0, 2.0]], "rows of numbers of one length"),
        (["a", "b", "c"], "a network takes rows of numbers"),
        ([1.0, float("nan"), 2.0], r"row 1 must be finite numbers, got \[1\.0, nan, 2\.0\]; leave it out"),
        ([[1.0, 2.0, 3.0], [1.0, 2.0, float("inf")]], "row 2 must be finite numbers"),
        ([[1e39, 0.0, 0.0]], "row 1 must stay within single precision"),
    ],
)
def test_what_is_no_row_of_numbers_is_refused_in_one_line(given: list, message: str, run: Path) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        simplenn.load_run(run)(given)
    assert "\n" not in str(refusal.value)


def test_what_cant_be_trusted_is_refused(run: Path, tmp_path: Path) -> None:
    """A damaged checkpoint, code that isn't allowed, a directory that isn't a run's, another checkpoint."""
    with pytest.raises(ConfigError, match="checkpoint must be 'best' or 'last', got 'first'"):
        simplenn.load_run(run, "first")
    with pytest.raises(ConfigError, match="is not a run's directory"):
        simplenn.load_run(tmp_path)
    path = run / "checkpoints" / "best.ckpt"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="damaged"):
        simplenn.load_run(run)
    config = OmegaConf.load(run / ".hydra" / "config.yaml")
    config.model = {"_target_": "shaped.Embedding"}
    OmegaConf.save(config, run / ".hydra" / "config.yaml")
    with pytest.raises(ConfigError, match=r"model\._target_ must name a class in torch"):
        simplenn.load_run(run, "last")
