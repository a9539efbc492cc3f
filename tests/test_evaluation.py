"""A run read back: the precision that it was trained in, and the device that it was trained on."""

import importlib.util
import math
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as L
import pytest
import torch
from conftest import ROOT, composed
from omegaconf import OmegaConf
from shaped import Embedding
from torchmetrics import R2Score

from simplenn import data as data_module
from simplenn.data import SumDataModule, TensorDataModule
from simplenn.errors import ConfigError
from simplenn.evaluation import evaluate, load_run, predict
from simplenn.metric import METRICS
from simplenn.regressor import Regressor
from simplenn.rundir import checkpoint
from simplenn.rundir.metrics import read_rows
from simplenn.rundir.result import Result
from simplenn.rundir.run import Run
from simplenn.training.train import train


def readable(directory: Path, *overrides: str) -> Run:
    """The run in a directory, with the configuration that Hydra would have left."""
    (directory / ".hydra").mkdir()
    OmegaConf.save(composed(*overrides), directory / ".hydra" / "config.yaml", resolve=True)
    return Run(directory)


@pytest.mark.parametrize("precision", ["32-true", "64-true", "bf16-mixed"])
def test_a_run_is_evaluated_in_its_own_precision(
    precision: str, train_run: Callable[..., Result], tmp_path: Path
) -> None:
    """The test loss is that of the checkpoint's own weights; in double precision, to a double's last digits."""
    setting = ("trainer=cpu", f"trainer.precision={precision}", "trainer.max_epochs=2", "data.num_train=64")
    train_run("run", *setting)
    run = readable(tmp_path / "run", *setting)
    regressor, data, _ = load_run(run, "last")
    kept = checkpoint.load(run.checkpoint("last"))["state_dict"]
    assert all(torch.equal(weight, kept[name]) for name, weight in regressor.state_dict().items())
    loss = evaluate(run, regressor, data)["test/loss"]
    x, y = data.test.tensors  # pyright: ignore[reportAttributeAccessIssue]
    network = regressor.network.cpu().double()
    with torch.no_grad():
        expected = float(((network(x.double()) - y.double()) ** 2).mean())
    tolerance = {"32-true": 1e-5, "64-true": 1e-12, "bf16-mixed": 0.1}[precision]
    assert math.isclose(loss, expected, rel_tol=tolerance), (loss, expected)
    assert not list(run.directory.glob("lightning_logs"))


@pytest.mark.parametrize("which", ["best", "last"])
@pytest.mark.parametrize("other", ["seed=2", "optimizer.lr=0.02"])
def test_another_runs_checkpoint_is_refused(
    which: str, other: str, train_run: Callable[..., Result], tmp_path: Path
) -> None:
    """Whole as it is, its numbers would be taken for this run's."""
    setting = ("trainer=cpu", "trainer.max_epochs=2", "data.num_train=64", "seed=1")
    train_run("run", *setting)
    train_run("other", *setting, other)
    run = readable(tmp_path / "run", *setting)
    assert load_run(run, which)[2] >= 1
    shutil.copy(Run(tmp_path / "other").checkpoint(which), run.checkpoint(which))
    with pytest.raises(ConfigError, match="ckpt is another run's: its seed or a setting is not the one in config"):
        load_run(run, which)


def test_that_a_run_has_diverged_is_told(
    train_run: Callable[..., Result], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its weights would be taken for learned ones."""
    setting = ("trainer=cpu", "trainer.max_epochs=2", "data.num_train=64", "optimizer.lr=1e9")
    assert train_run("run", *setting).status == "diverged"
    run = readable(tmp_path / "run", *setting)
    with pytest.raises(ConfigError, match=r"best\.ckpt, and has none, as the run diverged: the loss became inf in"):
        load_run(run, "best")
    load_run(run, "last")
    (line,) = [record.getMessage() for record in caplog.records if "diverged" in record.getMessage()]
    assert line.endswith("these are the weights of before its first epoch: its initial ones")


def test_data_without_a_test_set_are_refused_with_the_fix(tmp_path: Path) -> None:
    regressor = Regressor(torch.nn.Linear(1, 1), torch.optim.SGD)
    with pytest.raises(ConfigError, match=r"TensorDataModule has none; set self\.test in its setup"):
        evaluate(Run(tmp_path), regressor, TensorDataModule())


def test_r2_is_that_of_all_samples_of_each_set(
    train_run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As torchmetrics has it, within the training range and outside, over batches of uneven size."""
    monkeypatch.setattr(data_module, "EVALUATION_BATCH", 7)
    setting = ("trainer=cpu", "data=sum", "trainer.max_epochs=2")
    train_run("run", *setting)
    run = readable(tmp_path / "run", *setting)
    regressor, data, _ = load_run(run, "last")
    found = evaluate(run, regressor, data)
    assert set(found) == {f"{split}/{name}" for split in ("test", "extrapolation") for name in METRICS}
    for split in ("test", "extrapolation"):
        x, y = getattr(data, split).tensors
        expected = R2Score()(regressor.predict(x).double(), y.double())
        assert found[f"{split}/r2"] == pytest.approx(expected.item(), rel=1e-6)


OWN = {"allow": ["shaped"]}


@pytest.mark.parametrize("kind", ["Convolution", "Embedding", "Scaled"])
def test_a_network_of_any_first_weight_is_read_back(kind: str, tmp_path: Path) -> None:
    """Its predictions are its own outputs; a row of another length than the data's is refused, whatever the weights."""
    cfg = composed("quiet=true", "trainer=cpu", "trainer.max_epochs=1")
    cfg.model, cfg.data = {"_target_": f"shaped.{kind}"}, {"_target_": "shaped.Table"}
    (tmp_path / ".hydra").mkdir()
    OmegaConf.save(cfg, tmp_path / ".hydra" / "config.yaml", resolve=True)
    assert train(OmegaConf.merge(cfg, OWN), tmp_path).status == "done"  # pyright: ignore[reportArgumentType]
    regressor, data, _ = load_run(Run(tmp_path), "last", OWN["allow"])
    rows = [[1.0, 2.0, 3.0], [4.0, 0.0, 2.0]]
    with torch.no_grad():
        expected = regressor.network(torch.tensor(rows))
    assert torch.equal(predict(regressor, data, rows), expected)
    for wrong in ([1.0, 2.0], [1.0, 2.0, 3.0, 4.0]):
        with pytest.raises(ConfigError, match=f"row 2 must have 3 numbers, got {len(wrong)}"):
            predict(regressor, data, [rows[0], wrong])


def test_what_the_network_refuses_is_refused_in_one_line() -> None:
    """Where the data can't say how long a row is, or its numbers are none that the network takes."""
    for network, rows in ((torch.nn.Linear(3, 1), [[1.0, 2.0]]), (Embedding(), [[1.0, 2.0, 7.0]])):
        with pytest.raises(ConfigError, match="model cannot be run on data of shape") as refusal:
            predict(Regressor(network, torch.optim.SGD), L.LightningDataModule(), rows)
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("row", [[1e39, 1.0, 1.0], [-1e39, 1.0, 1.0], [3e38, 3e38, 3e38]])
def test_a_row_beyond_single_precision_is_refused(row: list[float]) -> None:
    """In itself, or in what the network makes of it: no inf or nan is told as a prediction."""
    network = torch.nn.Linear(3, 1)
    torch.nn.init.ones_(network.weight)
    with pytest.raises(ConfigError, match="row 2 must stay within single precision"):
        predict(Regressor(network, torch.optim.SGD), SumDataModule(), [[1.0, 2.0, 3.0], row])


def test_options_of_predict_stand_anywhere_and_negative_numbers_are_none(
    train_run: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Before the run, after it, among the numbers, after them: the same prediction."""
    train_run("run", "trainer.max_epochs=1")
    path = str(readable(tmp_path / "run").directory)
    (tmp_path / "x.csv").write_text("-1,-1e-3,-.5\n")
    spec = importlib.util.spec_from_file_location("predict", ROOT / "scripts" / "predict.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    option, numbers = ["--checkpoint", "last", "--allow", "p"], ["-1", "-1e-3", "-.5"]
    told = set()
    for words in (
        [*option, path, *numbers],
        [path, *option, *numbers],
        [path, *numbers, *option],
        [path, numbers[0], *option, *numbers[1:]],
        [path, "--", *numbers],
        [path, str(tmp_path / "x.csv"), *option],
        [path, *option, str(tmp_path / "x.csv")],
    ):
        monkeypatch.setattr(sys, "argv", ["predict.py", *words])
        script.main()
        told.add(capsys.readouterr().out)
    assert len(told) == 1
    regressor, _, _ = load_run(Run(tmp_path / "run"), "last")
    assert told == {f"{regressor.predict(torch.tensor([[-1, -1e-3, -0.5]])).item():.4f}\n"}


@pytest.mark.gpu
def test_a_gpu_trains_as_the_cpu_does(train_run: Callable[..., Result], tmp_path: Path) -> None:
    """Same seed, same batches: the same rows within single precision; the run resumes, and is read back."""
    for trainer in ("cpu", "gpu"):
        assert train_run(trainer, f"trainer={trainer}", "trainer.max_epochs=5").status == "done"
    for trainer in ("cpu", "gpu"):
        assert train_run(trainer, f"trainer={trainer}", "trainer.max_epochs=8").epoch == 8
    rows, expected = (read_rows(Run(tmp_path / trainer).metrics_file) for trainer in ("gpu", "cpu"))
    assert len(rows) == 8
    for row, other in zip(rows, expected, strict=True):
        assert row == pytest.approx(other, rel=1e-3)
    losses = []
    for trainer in ("gpu", "cpu"):
        run = readable(tmp_path / trainer, f"trainer={trainer}", "trainer.max_epochs=8")
        regressor, data, epoch = load_run(run, "last")
        assert epoch == 8
        losses.append(evaluate(run, regressor, data))
        assert regressor.predict(torch.tensor([[1.0, 2.0, 3.0]])).device.type == "cpu"
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
