"""A run of several processes, on one node or more: the run that one process trains, and one that writes."""

from pathlib import Path

import pytest
import torch
from conftest import script

from simplenn import checkpoint
from simplenn.metrics import read_rows
from simplenn.run import Run


def test_two_processes_train_as_one_does(tmp_path: Path) -> None:
    """By gloo on the CPU, with batches that don't divide evenly: the epochs and the weights of one process; in a sweep,
    each job's with its own hyperparameters.
    """
    swept = ("-m", "trainer.gradient_clip_val=null,1", "+trainer.accumulate_grad_batches=2", "data.num_train=65")
    for trainer in ("cpu", "ddp"):
        for arguments in (swept, ("experiment=post", "seed=1")):
            words = (f"trainer={trainer}", "trainer.accelerator=cpu", "trainer.max_epochs=3", f"name={trainer}")
            trained = script("train.py", *arguments, *words, cwd=tmp_path)
            assert trained.returncode == 0, trained.stdout + trained.stderr
    assert sorted(path.name for path in (tmp_path / "outputs").iterdir()) == ["runs", "sweeps"]
    jobs = [f"runs/trainer.gradient_clip_val={value}" for value in ("null", "1")]
    for place in ("outputs/runs/{}", *(f"outputs/sweeps/{{}}/{job}" for job in jobs)):
        alone, together = (Run(tmp_path / place.format(trainer)) for trainer in ("cpu", "ddp"))
        assert_nearly_same_run(together, alone)


def assert_nearly_same_run(run: Run, oracle: Run) -> None:
    """As far as rounding goes: sums over samples are taken in another order."""
    for row, expected in zip(read_rows(run.metrics_file), read_rows(oracle.metrics_file), strict=True):
        assert row == pytest.approx(expected, rel=1e-5)
    weights, expected = (checkpoint.load(r.checkpoint("last"))["state_dict"] for r in (run, oracle))
    assert all(torch.allclose(weights[name], expected[name], rtol=1e-5) for name in expected)
