"""Metrics that are no means of batches; the best epoch, its metrics and its weights: alone, in a stack, compiled."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import composed
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch import LightningModule
from omegaconf import DictConfig
from torch import Tensor
from torchmetrics import R2Score

from simplenn import metric
from simplenn.config.checking import check_config
from simplenn.groups.metrics import best_rows, best_values, final_values, objectives
from simplenn.metric import METRICS, Metric, is_best_so_far, mean_squared_error, means_of_batch, metrics_of_epoch
from simplenn.regressor import Regressor
from simplenn.rundir import checkpoint
from simplenn.rundir.metrics import read_rows
from simplenn.rundir.result import Result
from simplenn.rundir.run import Run
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
    [
        (LUCKLESS, "train"),
        (["data=sum", "data.num_train=96", "data.num_val=40", "optimizer.lr=0.1", "trainer.max_epochs=6"], "val"),
    ],
)
def test_the_best_weights_are_those_that_the_best_loss_was_measured_on(
    train_run: TrainRun, tmp_path: Path, overrides: list[str], split: str
) -> None:
    """To the bit, alone and in a stack, with validation data and without; the values are those of one epoch."""
    result = train_run("alone", *overrides)
    rows = read_rows(Run(tmp_path / "alone").metrics_file)
    tag = f"{split}/loss"
    best = min(rows, key=lambda row: row[tag])
    assert result.best == {name: value for name, value in best.items() if name not in ("epoch", "step", "train/lr")}
    kept = checkpoint.load(Run(tmp_path / "alone").checkpoint("best"))
    assert loss_of(overrides, kept["state_dict"], split) == best[tag]
    assert checkpoint.epochs_completed(kept) == best["epoch"] - (split == "train")

    cfg = check_config(composed("quiet=true", "trainer=cpu", *overrides))
    outcome = train_stack(cfg, {"seed": [cfg.seed, 1], "optimizer.lr": [cfg.optimizer.lr, 0.01]})
    assert {name: values[0] for name, values in best_values(outcome).items()} == result.best
    assert all(torch.equal(weight, outcome.best.weights[name][0]) for name, weight in kept["state_dict"].items())


UNEVEN = ["data=sum", "data.num_train=75", "data.num_val=33", "optimizer=adam", "optimizer.lr=0.05"]  # 32 + 32 + 11


@pytest.mark.parametrize("compiled", [False, True])
def test_r2_is_that_of_all_samples_of_the_epoch(compiled: bool) -> None:
    """As torchmetrics has it of all predictions at once, whatever the batches; compiled, as closely as promised."""
    cfg = check_config(composed("quiet=true", "trainer=cpu", "trainer.max_epochs=1", *UNEVEN))
    cfg.trainer.compile = compiled
    seeds = [0, 1, 2]
    outcome = train_stack(cfg, {"seed": seeds})
    for run, seed in enumerate(seeds):
        predictions, targets = one_epoch(cfg, seed)
        expected = R2Score()(torch.cat(predictions).double(), torch.cat(targets).double())
        assert outcome.curves["train/r2"][0, run].item() == pytest.approx(
            expected.item(), rel=1e-4 if compiled else 1e-6
        )
    assert {name.rpartition("/")[2] for name in outcome.curves} == {*METRICS, "lr"}


def one_epoch(cfg: DictConfig, seed: int) -> tuple[list[Tensor], list[Tensor]]:
    """What the network gives for each batch of the first epoch, before the step on it, and the batches' targets."""
    cfg = cfg.copy()
    cfg.seed = seed
    regressor, data = build_run(cfg)
    data.setup("fit")
    optimizer: Any = regressor.configure_optimizers()
    predictions, targets = [], []
    for x, y in data.train_dataloader():
        predictions.append(regressor(x))
        targets.append(y)
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(predictions[-1], y).backward()
        optimizer.step()
    return [prediction.detach() for prediction in predictions], targets


def test_a_metric_that_is_no_mean_is_the_same_to_the_bit_alone_and_in_a_stack(
    train_run: TrainRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R2, and one that is added by one declaration; its parts are shown nowhere."""
    monkeypatch.setitem(METRICS, "rmse", Metric("rmse", mean_squared_error, lambda mean: mean**0.5))
    words = [*UNEVEN, "trainer.max_epochs=5"]
    train_run("alone", *words)
    rows = read_rows(Run(tmp_path / "alone").metrics_file)
    outcome = train_stack(check_config(composed("quiet=true", "trainer=cpu", *words)), {"seed": [1, 0]})
    tags = {f"{split}/{name}" for split in ("train", "val") for name in ("loss", "mae", "r2", "rmse")}
    assert set(outcome.curves) == tags | {"train/lr"} and set(rows[0]) == tags | {"epoch", "step", "train/lr"}
    assert rows[0]["val/rmse"] == math.sqrt(rows[0]["val/loss"])
    for tag in tags:
        assert outcome.curves[tag][:, 1].tolist() == [row[tag] for row in rows]


def test_a_step_logs_means_only(train_run: TrainRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning takes 0.4 ms for each value that is logged, so what R2 is computed from is added up elsewhere."""
    logged: set[str] = set()
    log = LightningModule.log

    def noted(self: LightningModule, name: str, *arguments: Any, **named: Any) -> None:
        logged.add(name)
        log(self, name, *arguments, **named)

    monkeypatch.setattr(LightningModule, "log", noted)
    train_run("alone", "data=sum", "trainer.max_epochs=1")
    assert logged == {"train/loss", "train/mae", "val/loss", "val/mae"}


def test_r2_is_that_of_the_epochs_last_validation(train_run: TrainRun, tmp_path: Path) -> None:
    """An epoch without a validation has none, and of two validations in one epoch only the second counts."""
    words = [*UNEVEN, "trainer.max_epochs=4"]
    train_run("each", *words)
    train_run("every_second", *words, "trainer.check_val_every_n_epoch=2")
    train_run("twice", *words, "+trainer.val_check_interval=1", "data.batch_size=40")
    train_run("once", *words, "data.batch_size=40")
    each, every_second, twice, once = (
        read_rows(Run(tmp_path / name).metrics_file) for name in ("each", "every_second", "twice", "once")
    )
    assert ["val/r2" in row for row in every_second] == [False, True, False, True]
    assert every_second[1::2] == each[1::2]
    assert twice == once


def test_a_metric_that_is_no_longer_declared_has_no_final_value(
    train_run: TrainRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone and in a stack; the others are those of the last epoch and of the last validation, which came before it. A
    result that has the old value, as earlier releases wrote it, is no other run's."""
    words = [*UNEVEN, "trainer.check_val_every_n_epoch=2"]
    cfg = check_config(composed("quiet=true", "trainer=cpu", *words, "trainer.max_epochs=3"))
    columns: dict[str, list[Any]] = {"seed": [1, 0]}
    with monkeypatch.context() as patch:
        patch.setitem(METRICS, "rmse", Metric("rmse", mean_squared_error, lambda mean: mean**0.5))
        before = train_run("alone", *words, "trainer.max_epochs=3")
        start = train_stack(cfg, columns)
    rows = read_rows(Run(tmp_path / "alone").metrics_file)
    assert (before.metrics["train/rmse"], before.metrics["val/rmse"]) == (rows[2]["train/rmse"], rows[1]["val/rmse"])
    result = train_run("alone", *words, "trainer.max_epochs=5")
    *_, validated, last = read_rows(Run(tmp_path / "alone").metrics_file)
    final = {name: value for name, value in (validated | last).items() if name not in ("epoch", "step")}
    assert result.metrics == final and "val/loss" in final and not {"train/rmse", "val/rmse"} & set(final)
    cfg.trainer.max_epochs = 5
    finals = final_values(train_stack(cfg, columns, start=start))
    assert {name: values[1] for name, values in finals.items() if not math.isnan(values[1])} == final
    Run(tmp_path / "alone").write_result(replace(result, metrics=before.metrics | result.metrics))
    assert train_run("alone", *words, "trainer.max_epochs=6").epoch == 6


@given(
    st.lists(st.floats(-1e3, 1e3, width=32), min_size=2, max_size=40),
    st.integers(1, 12),
    st.sampled_from([0.0, 1e4]),
)
def test_r2_comes_from_uneven_batches_as_from_all_samples(targets: list[float], size: int, offset: float) -> None:
    """By the textbook's formula; also where the targets are large beside their spread."""
    target = torch.tensor(targets).view(-1, 1) + offset
    prediction = target + torch.linspace(-1, 1, len(target)).view(-1, 1)
    sums: dict[str, Tensor] = {}
    for p, t in zip(prediction.split(size), target.split(size), strict=True):
        for name, value in means_of_batch(p, t).items():
            sums[name] = sums.get(name, torch.zeros(())) + value.double() * len(t)
    found = metrics_of_epoch({f"val/{name}": total / len(target) for name, total in sums.items()})
    assert list(found) == ["val/loss", "val/mae", "val/r2"]
    residual = (prediction - target).double().square().mean()
    spread = target.double().var(correction=0)
    if spread > 1e-9 * target.double().square().mean():
        assert found["val/r2"].item() == pytest.approx(1 - (residual / spread).item(), rel=1e-4)
    elif spread == 0:
        assert found["val/r2"].isnan()


@pytest.fixture
def first_epochs_undefined(monkeypatch: pytest.MonkeyPatch) -> None:
    """R2 undefined as long as it is poor."""
    r2 = METRICS["r2"]
    assert r2.of_epoch is not None
    of_epoch = r2.of_epoch

    def defined_where_good(*means: Tensor) -> Tensor:
        value = of_epoch(*means)
        return torch.where(value < -1, torch.nan, value)

    monkeypatch.setitem(METRICS, "r2", replace(r2, of_epoch=defined_where_good))


@pytest.mark.parametrize("objective", ["loss", "r2"])
def test_a_metric_says_which_way_is_better_and_whether_it_may_be_undefined(
    first_epochs_undefined: None,
    objective: str,
    train_run: TrainRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An undefined value is an empty cell and no divergence; the best epoch is the objective's, in its own direction,
    alone and in a stack."""
    monkeypatch.setattr(metric, "OBJECTIVE", objective)
    words = ["data=sum", "optimizer=adam", "optimizer.lr=0.05", "data.num_val=40", "trainer.max_epochs=8"]
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


def test_targets_that_do_not_vary_have_no_r2_and_are_no_divergence(train_run: TrainRun, tmp_path: Path) -> None:
    result = train_run("run", "data=sum", "data.num_train=1", "data.num_val=32", "trainer.max_epochs=2")
    assert result.status == "done" and "train/r2" not in result.metrics and "val/r2" in result.metrics
    assert "train/r2" not in read_rows(Run(tmp_path / "run").metrics_file)[0]


def test_an_undeclared_metric_that_is_undefined_is_a_divergence(
    train_run: TrainRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = Regressor.metrics

    def extended(self: Regressor, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        return metrics(self, prediction, target) | {"own": torch.full((), torch.nan)}

    monkeypatch.setattr(Regressor, "metrics", extended)
    assert train_run(
        "alone", "data=sum", "data.num_train=32", "data.num_val=32", "trainer.max_epochs=2"
    ).message.startswith("diverged: a metric became")


@settings(max_examples=200)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 1.0, 2.0, math.inf])), min_size=1, max_size=8))
def test_the_best_so_far_is_the_last_of_the_lowest_costs(epochs: list[tuple[bool, float]]) -> None:
    """Among the validated epochs where there are any; of numbers and of tensors alike."""
    best, state = -1, (False, math.inf)
    for number, epoch in enumerate(epochs):
        takes = is_best_so_far(*epoch, *state)
        tensors = [torch.tensor([value, value]) for value in (*epoch, *state)]
        assert is_best_so_far(*tensors).tolist() == [takes, takes]
        if takes:
            best, state = number, epoch
    validated = any(is_validated for is_validated, _ in epochs)
    rest = [(cost, -number) for number, (is_validated, cost) in enumerate(epochs) if is_validated == validated]
    assert best == -min(rest)[1]
