"""Data are set up once: for one run, for the stacks of a sweep, for each run that trains by itself."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import composed, script
from lightning.pytorch.trainer.states import TrainerFn
from torch.utils.data import Subset, TensorDataset

from simplenn import setup
from simplenn.config.checking import check_config
from simplenn.data import TensorDataModule
from simplenn.setup import build_data, build_run, keep_data, kept_data, share_data, take_data
from simplenn.stacking import train_stack

MODULE = """
import json
import os
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import TensorDataset

from simplenn.data import TensorDataModule


class Counted(TensorDataModule):
    def __init__(self, **_) -> None:
        super().__init__(batch_size=2)

    def setup(self, stage: str) -> None:
        table = Path(os.environ["COUNTED_TABLE"])
        with open(f"{table}.reads", "a") as reads:
            reads.write(stage + " ")
        x = torch.tensor(json.loads(table.read_text()))
        y = x.sum(dim=1, keepdim=True)
        self.train, self.val, self.test = TensorDataset(x, y), TensorDataset(x[:2], y[:2]), TensorDataset(x, y)


class OneByOne(nn.Linear):
    def __init__(self, **_) -> None:
        super().__init__(3, 1)
        self.register_buffer("unused", torch.zeros(1))
"""
ROWS = [[0.1, 0.2, 0.3], [0.4, 0.1, 0.0], [0.2, 0.2, 0.9], [0.5, 0.3, 0.1]]


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What makes a command train on a table whose reads are counted."""
    (tmp_path / "counting.py").write_text(MODULE)
    (tmp_path / "table").write_text(json.dumps(ROWS))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("COUNTED_TABLE", str(tmp_path / "table"))
    return ["data._target_=counting.Counted", "allow=[counting]", "trainer=cpu", "trainer.max_epochs=2", "name=x"]


def reads(folder: Path) -> list[str]:
    """The stages that the table was read for since this was last asked."""
    path = folder / "table.reads"
    stages = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return [stage.lower().removeprefix("trainerfn.") for stage in stages]


def test_one_run_reads_its_file_once(words: list[str], tmp_path: Path) -> None:
    """By the real command: check, graph, training, figure and printed outputs; so does its evaluation."""
    trained = script("train.py", *words, cwd=tmp_path)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert reads(tmp_path) == ["fit"]
    run = str(tmp_path / "outputs" / "runs" / "x")
    evaluated = script("evaluate.py", run, "--allow", "counting", cwd=tmp_path)
    assert evaluated.returncode == 0, evaluated.stderr
    assert reads(tmp_path) == ["test"]


def test_a_sweep_reads_its_file_once_beside_the_proofs(words: list[str], tmp_path: Path) -> None:
    """Two groups of three seeds, in two stacks each, with the figures of their directories; a proof reads the file once
    for each seed that it compares."""
    swept = ["-m", "optimizer=sgd,adam", "optimizer.lr=0.01,0.02", "seed=0,1,2", "max_stack=3"]
    trained = script("train.py", *swept, *words, cwd=tmp_path)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert "one by one" not in trained.stdout
    assert reads(tmp_path) == ["fit"] * (1 + 2 * 3)


def test_runs_that_train_by_themselves_read_the_file_once_each(words: list[str], tmp_path: Path) -> None:
    """And once for the proof, which finds out that they must."""
    swept = ["-m", "seed=0,1,2", "model._target_=counting.OneByOne"]
    trained = script("train.py", *swept, *words, cwd=tmp_path)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert len(reads(tmp_path)) == 3


def test_kept_data_are_given_away_once_and_those_of_stacks_never() -> None:
    cfg = check_config(composed("data.seed=4711"))
    data = build_data(cfg)
    assert take_data(cfg) is None
    keep_data(cfg, data)
    other = cfg.copy()
    other.seed += 1
    assert take_data(other) is None
    assert kept_data(cfg) is data and take_data(cfg) is data and take_data(cfg) is None
    shared = share_data(cfg)
    assert share_data(cfg) is shared and take_data(cfg) is None


def test_data_too_large_to_wait_are_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "MOST_BYTES_WAITING", 0)
    cfg = check_config(composed("data.seed=4712"))
    assert share_data(cfg) is not share_data(cfg)


def test_a_stage_is_set_up_once_until_it_is_torn_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """However Lightning names it."""
    from simplenn.data import SumDataModule

    stages: list[str] = []
    monkeypatch.setattr(SumDataModule, "setup", lambda data, stage: stages.append(stage))
    monkeypatch.setattr(SumDataModule, "teardown", lambda data, stage: None, raising=False)
    data = build_data(check_config(composed()))
    for stage in ("fit", TrainerFn.FITTING, "test"):
        data.setup(stage)
    assert stages == ["fit", "test"]
    data.teardown("fit")
    data.setup("fit")
    assert stages == ["fit", "test", "fit"]


class Part(TensorDataModule):
    """A user's data, of which the training samples are no `TensorDataset`."""

    def setup(self, stage: str) -> None:
        x = torch.arange(12.0).view(4, 3)
        whole = TensorDataset(x, x.sum(dim=1, keepdim=True))
        self.train = Subset(whole, [0, 1, 2])  # pyright: ignore[reportAttributeAccessIssue]


def test_only_data_that_can_be_measured_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """And at most so many: the oldest make way."""
    monkeypatch.setattr(setup, "_waiting", {})
    cfg = check_config(composed("trainer=cpu"))
    part = Part(batch_size=2)
    part.setup("fit")
    keep_data(cfg, part)
    assert kept_data(cfg) is None
    for number in range(setup.MOST_WAITING + 1):
        cfg.data.seed = number
        keep_data(cfg, build_data(cfg))
    assert len(setup._waiting) == setup.MOST_WAITING and kept_data(cfg) is not None
    cfg.data.seed = 0
    assert kept_data(cfg) is None


def test_data_that_wait_hold_on_to_no_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor to its trainer: the next stack needs the memory."""
    monkeypatch.setattr(setup, "_waiting", {})
    cfg = check_config(composed("trainer=cpu", "quiet=true", "trainer.max_epochs=1", "data.num_train=32"))
    data = share_data(cfg)
    train_stack(cfg, {"seed": [0, 1]})
    assert kept_data(cfg) is data and data.trainer is None and "make_batches" not in vars(data)


class Drawn(TensorDataModule):
    """Data from the global random states, drawn where each is made."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = random.random()

    def setup(self, stage: str) -> None:
        x = torch.rand(8, 3) + float(np.random.rand())
        self.train = TensorDataset(x, self.factor * x.sum(1, keepdim=True))


def test_data_from_the_global_random_state_are_of_the_seed_alone() -> None:
    """The same beside another network and after other draws, as on resume; and the draws around go on unchanged."""
    tensors = []
    for hidden, seed in ((4, 1), (9, 1), (4, 2)):
        cfg = composed(f"model.hidden={hidden}", f"seed={seed}")
        cfg.data, cfg.allow = {"_target_": f"{__name__}.Drawn"}, [__name__.partition(".")[0]]
        cfg.model.num_features = 3
        _, data = build_run(cfg)
        torch.rand(hidden)
        before = torch.get_rng_state()
        data.setup("fit")
        assert torch.equal(before, torch.get_rng_state())
        tensors.append(torch.cat([*data.train.tensors], dim=1))  # pyright: ignore[reportAttributeAccessIssue]
    assert torch.equal(tensors[0], tensors[1]) and not torch.equal(tensors[0], tensors[2])
