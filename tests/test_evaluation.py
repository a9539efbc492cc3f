"""A run read back: the precision that it was trained in, and the device that it was trained on."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import composed
from omegaconf import OmegaConf

from simplenn import checkpoint
from simplenn.evaluation import evaluate, load_run
from simplenn.metrics import read_rows
from simplenn.run import Result, Run


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
    setting = ("trainer=cpu", f"trainer.precision={precision}", "trainer.max_epochs=2")
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
