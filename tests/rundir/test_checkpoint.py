"""What a run's checkpoints say of themselves."""

from collections.abc import Callable
from pathlib import Path

import pytest

from simplenn.errors import ConfigError
from simplenn.rundir import checkpoint
from simplenn.rundir.metrics import read_rows
from simplenn.rundir.result import Result
from simplenn.rundir.run import Run


@pytest.mark.parametrize("data", ["post", "sum"])
def test_a_checkpoint_notes_its_completed_epochs(data: str, train_run: Callable[..., Result], tmp_path: Path) -> None:
    """The same number as Lightning's own count, in each session: of the last epoch, and of the best, which without
    validation data was measured on the weights of the epoch before."""
    run = Run(tmp_path / "run")
    for max_epochs in (2, 5):
        train_run("run", f"data={data}", "optimizer.lr=0.001", f"trainer.max_epochs={max_epochs}")
        states = {which: checkpoint.load(run.checkpoint(which)) for which in ("last", "best")}
        for state in states.values():
            progress = state["loops"]["fit_loop"]["epoch_progress"]["current"]
            assert checkpoint.epochs_completed(state) == progress["processed"]
        assert checkpoint.epochs_completed(states["last"]) == max_epochs
        tag = "val/loss" if data == "sum" else "train/loss"
        best = min(read_rows(run.metrics_file), key=lambda row: row[tag])
        assert checkpoint.epochs_completed(states["best"]) == best["epoch"] - (data == "post")


def test_a_checkpoint_that_does_not_say_its_epochs_is_refused() -> None:
    with pytest.raises(ConfigError, match="must say its epochs_completed"):
        checkpoint.epochs_completed({"loops": {}})
