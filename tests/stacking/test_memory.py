"""How much memory the runs of a stack take, and what is done where there is too little."""

import ctypes
import gc
import sys
from pathlib import Path

import pytest
from conftest import composed
from torch import Tensor

from simplenn.config.checking import check_config
from simplenn.regressor import Batch, Regressor
from simplenn.stacking import Outcome, train_in_stacks, train_stack
from simplenn.stacking.memory import bytes_per_run
from simplenn.stacking.recorder import StackRecorder
from simplenn.stacking.stack import Stack


def resident(kind: str) -> int:
    """The process's memory in bytes: `VmRSS` is that of now, `VmHWM` the most since it was reset."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[kind].split()[0]) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("overrides", "num_runs"),
    [
        (["experiment=post", "trainer.max_epochs=60"], 14_000),  # mostly curves
        (
            ["optimizer=rmsprop", "optimizer.centered=true", "model.hidden=64", "data=sum", "trainer.max_epochs=1"],
            1_400,
        ),
    ],
)
def test_what_a_run_takes_is_estimated_from_above(overrides: list[str], num_runs: int) -> None:
    """A stack takes no more memory than estimated, and not less than a fifth of it."""
    cfg = check_config(composed("quiet=true", "trainer=cpu", *overrides))
    columns = {
        "seed": [run % 7 for run in range(num_runs)],
        "optimizer.lr": [1e-4 * (1 + run / num_runs) for run in range(num_runs)],
    }
    if "optimizer=rmsprop" in overrides:
        columns["optimizer.momentum"] = [0.9 * (run % 2) for run in range(num_runs)]
    train_stack(cfg, {key: values[:2] for key, values in columns.items()})  # what is made once for all stacks
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # else the stack may take what earlier ones gave back
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
    before = resident("VmRSS")
    train_stack(cfg, columns)
    taken = (resident("VmHWM") - before) / num_runs
    estimate = bytes_per_run(cfg, columns)
    assert estimate / 5 <= taken <= estimate


def test_a_stack_leaves_nothing_in_memory_to_the_next_one() -> None:
    """Once its outcome is dropped, no curve and no weight of a stack is there any more, even before the collector."""
    cfg = check_config(composed("quiet=true", "trainer=cpu", "experiment=post", "trainer.max_epochs=2"))
    gc.collect()
    gc.disable()
    try:
        for _runs, outcome in train_in_stacks(cfg, {"seed": list(range(6))}, max_stack=2):
            assert outcome is not None
            del outcome
            left = [kept for kept in gc.get_objects() if isinstance(kept, StackRecorder | Stack | Outcome)]
            assert not left
    finally:
        gc.enable()


def test_every_slot_of_the_optimizer_is_counted() -> None:
    """Centered RMSprop keeps three tensors beside each weight where a run of the stack has momentum, else two."""
    cfg = check_config(composed("quiet=true", "trainer=cpu", "optimizer=rmsprop", "optimizer.centered=true"))
    without = bytes_per_run(cfg, {"optimizer.momentum": [0.0, 0.0]})
    one_more = bytes_per_run(cfg, {"optimizer.momentum": [0.0, 0.9]}) - without
    plain = check_config(composed("quiet=true", "trainer=cpu", "optimizer=rmsprop"))
    assert one_more == without - bytes_per_run(plain, {"seed": [0, 1]}) > 0


def test_every_metric_of_every_epoch_is_counted() -> None:
    """What the regressor logs over training and validation data, and the learning rate, twice in double precision."""
    base = ["quiet=true", "trainer=cpu", "data=sum"]
    short, long = (check_config(composed(*base, f"trainer.max_epochs={epochs}")) for epochs in (1, 11))
    outcome = train_stack(short, {"seed": [0, 1]})
    one_epoch = (bytes_per_run(long, {"seed": [0, 1]}) - bytes_per_run(short, {"seed": [0, 1]})) / 10
    assert one_epoch >= 2 * 8 * len(outcome.curves)


def test_a_step_may_read_the_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a Regressor may read in a stack, it may read while memory is estimated, though there is no Trainer yet."""
    step = Regressor.training_step

    def scaled(self: Regressor, batch: Batch, batch_idx: int) -> Tensor:
        return step(self, batch, batch_idx) / self.trainer.num_training_batches

    monkeypatch.setattr(Regressor, "training_step", scaled)
    cfg = check_config(composed("quiet=true", "trainer=cpu", "data=sum"))
    assert bytes_per_run(cfg, {"seed": [0, 1]}) > 0
