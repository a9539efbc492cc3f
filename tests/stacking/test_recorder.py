"""What is recorded of each run of a stack, whatever ends it."""

import math
import statistics
from typing import Any

import pytest
from lightning.pytorch.callbacks import Callback
from stacks import Columns, Signal, assert_same, configured

from simplenn.signals import Interrupted
from simplenn.stacking import recorder, train_stack


@pytest.mark.parametrize("where", ["step", "epoch's end"])
def test_an_interrupted_stack_keeps_the_last_epoch(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a signal, whenever it comes, each run is as it was at the end of the last completed epoch."""
    cfg = configured("optimizer=adam", "data=sum", "trainer.max_epochs=2")
    columns: Columns = {"seed": [0, 1, 2], "optimizer.lr": [0.01, 1e30, 0.3]}
    before = train_stack(cfg, columns)
    cfg.trainer.max_epochs = 5
    if where == "epoch's end":
        take = recorder._skeleton
        monkeypatch.setattr(
            recorder, "_skeleton", lambda trainer: _stop(trainer) if trainer.global_step > 16 else take(trainer)
        )
    outcome = train_stack(cfg, columns, [Signal(3)] if where == "step" else [])
    assert isinstance(outcome.interruption, Interrupted)
    assert outcome.status == ["interrupted", "diverged", "interrupted"]
    assert outcome.message[0] == "SIGTERM" and outcome.epoch == [2, 1, 2]
    assert list(outcome.skeletons) == [0, 1, 2]
    outcome.status, outcome.message = before.status, before.message
    assert_same(before, [0, 1, 2], outcome, [0, 1, 2])


def _stop(trainer: Any) -> None:
    raise Interrupted(15)


class Seen(Callback):
    """What a progress bar reads at an epoch's end."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.losses.append(float(trainer.callback_metrics["train/loss"]))


def test_progress_shows_the_median_of_live_runs() -> None:
    """Where a run alone shows its loss, a stack shows the median over the runs that have not diverged, as a table has
    it: of an even number, the mean of the two in the middle."""
    for lrs in ([0.01, 1e30, 0.001, 0.02], [0.01, 0.03, 0.001, 0.02]):
        seen = Seen()
        columns: Columns = {"seed": [0, 1, 2, 3], "optimizer.lr": lrs}
        outcome = train_stack(configured("data=sum", "trainer.max_epochs=3"), columns, [seen])
        rows = outcome.curves["train/loss"].tolist()
        assert seen.losses == [statistics.median(value for value in row if value == value) for row in rows]


def test_progress_shows_no_median_where_all_runs_have_diverged() -> None:
    seen = Seen()
    train_stack(configured("data=sum", "trainer.max_epochs=3"), {"seed": [0, 1], "optimizer.lr": [1e30] * 2}, [seen])
    assert len(seen.losses) == 1 and math.isnan(seen.losses[0])
