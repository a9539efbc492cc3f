"""The best epoch, its metrics and its weights: of a run alone, of a run in a stack, with other metrics."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import composed
from torch import Tensor

from simplenn import metric
from simplenn.config.checking import check_config
from simplenn.groups.run_group import best_rows, best_values, objectives
from simplenn.metric import Metric
from simplenn.regressor import Regressor
from simplenn.rundir import checkpoint
from simplenn.rundir.metrics import read_rows
from simplenn.rundir.run import Result, Run
from simplenn.setup import build_run
from simplenn.stacking import Outcome, prove, train_stack

TrainRun = Callable[..., Result]
LUCKLESS = ["experiment=post", "optimizer.lr=0.08685", "seed=27"]  # whose loss jumps to thousands in one step


def loss_of(overrides: list[str], weights: dict[str, Tensor], split: str) -> float:
    """The loss on all samples of a split as one batch, by the plain formula."""
    regressor, data = build_run(check_config(composed("trainer=cpu", *overrides)))
    regressor.load_state_dict(weights)
    data.setup("fit")
    x, y = getattr(data, split).tensors
    with torch.no_grad():
        return float(torch.nn.functional.mse_loss(regressor(x), y))


@pytest.mark.parametrize(
    ("overrides", "split"),
    [(LUCKLESS, "train"), (["data=sum", "optimizer.lr=0.1", "trainer.max_epochs=6"], "val")],
)
def test_the_best_weights_are_those_that_the_best_loss_was_measured_on(
    train_run: TrainRun, tmp_path: Path, overrides: list[str], split: str
) -> None:
    """To the bit, alone and in a stack, with validation data and without; the values are those of one epoch."""
    result = train_run("alone", *overrides)
    rows = read_rows(Run(tmp_path / "alone").metrics_file)
    tag = f"{split}/loss"
    best = min(rows, key=lambda row: row[tag])
    assert result.best == {name: value for name, value in best.items() if name not in ("epoch", "step", "lr")}
    kept = checkpoint.load(Run(tmp_path / "alone").checkpoint("best"))
    assert loss_of(overrides, kept["state_dict"], split) == best[tag]
    assert checkpoint.epochs_completed(kept) == best["epoch"] - (split == "train")

    cfg = check_config(composed("quiet=true", "trainer=cpu", *overrides))
    outcome = train_stack(cfg, {"seed": [cfg.seed, 1], "optimizer.lr": [cfg.optimizer.lr, 0.01]})
    assert {name: values[0] for name, values in best_values(outcome).items()} == result.best
    assert all(torch.equal(weight, outcome.best.weights[name][0]) for name, weight in kept["state_dict"].items())


@pytest.fixture
def with_r2(monkeypatch: pytest.MonkeyPatch) -> None:
    """A metric of which more is better, and that is undefined in some epochs."""
    metrics = Regressor.metrics

    def extended(self: Regressor, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        found = metrics(self, prediction, target)
        r2 = 1 - found["loss"] / target.var()
        return found | {"r2": torch.where(r2 < -1, torch.nan, r2)}

    monkeypatch.setattr(Regressor, "metrics", extended)
    monkeypatch.setitem(metric.METRICS, "r2", Metric(less_is_better=False, may_be_nan=True))


@pytest.mark.parametrize("objective", ["loss", "r2"])
def test_a_metric_says_which_way_is_better_and_whether_it_may_be_undefined(
    with_r2: None, objective: str, train_run: TrainRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An undefined value is an empty cell and no divergence; the best epoch is the objective's, in its own direction,
    alone and in a stack."""
    monkeypatch.setattr(metric, "OBJECTIVE", objective)
    for reader in ("simplenn.groups.run_group", "simplenn.stacking.recorder"):
        monkeypatch.setattr(f"{reader}.OBJECTIVE", objective)
    words = ["data=sum", "optimizer=adam", "optimizer.lr=0.05", "trainer.max_epochs=8"]
    result = train_run("alone", *words)
    rows = read_rows(Run(tmp_path / "alone").metrics_file)
    assert result.status == "done" and "val/r2" not in rows[0] and rows[-1]["val/r2"] > 0
    value = f"val/{objective}"
    having = [row for row in rows if value in row]
    chosen = (min if objective == "loss" else max)(having, key=lambda row: row[value])
    assert result.best["val/r2"] == chosen["val/r2"] and result.best["train/mae"] == chosen["train/mae"]
    assert result.objective == (rows[-1][value] if objective == "loss" else -rows[-1][value])

    cfg = check_config(composed("quiet=true", "trainer=cpu", *words))
    columns: dict[str, list[Any]] = {"seed": [0, 1]}
    assert prove(cfg, columns).reason is None
    outcome = train_stack(cfg, columns)
    assert outcome.status == ["done", "done"]
    assert outcome.curves["val/r2"][:, 0].isnan().tolist() == ["val/r2" not in row for row in rows]
    assert best_rows(outcome)[0] == chosen["epoch"] - 1 and objectives(outcome)[0] == result.objective
    assert_kept(outcome, Run(tmp_path / "alone"))


def assert_kept(outcome: Outcome, run: Run) -> None:
    kept = checkpoint.load(run.checkpoint("best"))["state_dict"]
    assert all(torch.equal(weight, outcome.best.weights[name][0]) for name, weight in kept.items())


def test_an_undeclared_metric_that_is_undefined_is_a_divergence(
    with_r2: None, train_run: TrainRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(metric.METRICS, "r2")
    assert train_run("alone", "data=sum", "trainer.max_epochs=2").message.startswith("diverged: a metric became")
