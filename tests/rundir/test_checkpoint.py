"""What a run's checkpoints say of themselves."""

from collections.abc import Callable
from pathlib import Path

import pytest

from simplenn.rundir import checkpoint
from simplenn.rundir.metrics import read_rows
from simplenn.rundir.result import Result
from simplenn.rundir.run import Run


@pytest.mark.parametrize("data", ["post", "sum"])
def test_a_checkpoint_notes_its_completed_epochs(data: str, train_run: Callable[..., Result], tmp_path: Path) -> None:
    """The same number as Lightning's own count, in each session: of the last epoch, and of the best, which without
    validation data was measured on the weights of the epoch before. Checkpoints of earlier releases count the same."""
    run = Run(tmp_path / "run")
    for max_epochs in (2, 5):
        train_run("run", f"data={data}", "optimizer.lr=0.001", f"trainer.max_epochs={max_epochs}")
        states = {which: checkpoint.load(run.checkpoint(which)) for which in ("last", "best")}
        for state in states.values():
            progress = state["loops"]["fit_loop"]["epoch_progress"]["current"]
            assert checkpoint.epochs_completed(state) == progress["processed"]
            of_before = {key: value for key, value in state.items() if key != checkpoint.EPOCHS}
            assert checkpoint.epochs_completed(of_before) == progress["processed"]
        assert checkpoint.epochs_completed(states["last"]) == max_epochs
        tag = "val/loss" if data == "sum" else "train/loss"
        best = min(read_rows(run.metrics_file), key=lambda row: row[tag])
        assert checkpoint.epochs_completed(states["best"]) == best["epoch"] - (data == "post")
