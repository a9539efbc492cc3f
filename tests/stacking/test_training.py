"""Many runs trained at once, against the same runs trained alone."""

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from stacks import Columns, Signal, assert_same, configured

from simplenn.rundir import metrics
from simplenn.rundir.result import Result
from simplenn.rundir.run import Run
from simplenn.setup import build_run
from simplenn.stacking import Outcome, Snapshot, prove, stacks, train_in_stacks, train_stack
from simplenn.stacking.initial_weights import InitialWeights
from simplenn.stacking.training import Attempt, attempt_stack

TrainRun = Callable[..., Result]
SMALL = ("data.num_train=96", "data.num_val=40")
OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop", "adagrad")


def assert_as_alone(
    train_run: TrainRun, directory: Path, outcome: Outcome, base: list[str], columns: Columns, runs: list[int]
) -> None:
    """Trains some of the runs alone and holds all that they leave against the outcome, bit for bit."""
    for r in runs:
        own = [f"{key}={json.dumps(values[r])}" for key, values in columns.items()]
        result = train_run(f"alone{r}", *base, *own)
        run = Run(directory / f"alone{r}")
        assert (result.status, result.message, result.epoch) == (
            outcome.status[r],
            outcome.message[r],
            outcome.epoch[r],
        )
        rows = metrics.read_rows(run.metrics_file)
        assert [row["step"] for row in rows] == outcome.steps[: len(rows)]
        for name in {name for row in rows for name in row} - {"epoch", "step"} | set(outcome.curves):
            alone = [row.get(name, math.nan) for row in rows] + [math.nan] * (len(outcome.steps) - len(rows))
            assert outcome.curves[name][:, r].tolist() == pytest.approx(alone, rel=0, abs=0, nan_ok=True), (own, name)
        assert_snapshot_as_alone(outcome, outcome.last, run.checkpoint("last"), r)
        if run.checkpoint("best").exists():
            assert_snapshot_as_alone(outcome, outcome.best, run.checkpoint("best"), r)
        else:
            assert outcome.best.epoch[r] == 0


def assert_snapshot_as_alone(outcome: Outcome, snapshot: Snapshot, path: Path, r: int) -> None:
    alone = torch.load(path, weights_only=True)
    weights, optimizer = alone["state_dict"], alone["optimizer_states"][0]["state"]
    assert list(weights) == list(snapshot.weights)
    assert all(torch.equal(weight, snapshot.weights[name][r]) for name, weight in weights.items()), path
    slots = [slot for slot in snapshot.optimizer if not snapshot.absent[slot][r]]
    assert all(list(state) == slots for state in optimizer.values() if state)
    for i, name in enumerate(snapshot.weights):
        for slot in slots:
            ours = snapshot.optimizer[slot][name][r]
            assert torch.equal(ours, optimizer[i][slot]) and ours.dtype == optimizer[i][slot].dtype, (path, slot, name)
    alone |= {"state_dict": {}, "optimizer_states": [], "identity": ""}  # a stack's is of no one run
    assert list(outcome.skeletons[int(snapshot.epoch[r])].items()) == list(alone.items())


@pytest.mark.parametrize("data", ["post", "sum"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_run_in_a_stack_equals_run_alone(train_run: TrainRun, tmp_path: Path, optimizer: str, data: str) -> None:
    """A run in a stack has bit for bit each epoch's metrics, the weights, the optimizer's state and the end that it
    has alone, at learning rates from tiny to diverging."""
    base = [
        f"optimizer={optimizer}",
        *{"post": ["data=post", "trainer.max_epochs=12"], "sum": [*SMALL, "trainer.max_epochs=3"]}[data],
    ]
    columns: Columns = {"seed": [0, 1, 2, 1, 0], "optimizer.lr": [1e-6, 0.01, 3.0, 1e3, 1e30]}
    outcome = train_stack(configured(*base), columns)
    assert outcome.status[:2] == ["done", "done"] and outcome.status[4] == "diverged"
    assert_as_alone(train_run, tmp_path, outcome, base, columns, [0, 4] if data == "post" else [1, 2])


@pytest.mark.parametrize(
    ("base", "columns"),
    [
        (
            ["optimizer=sgd", "trainer.check_val_every_n_epoch=2", "trainer.max_epochs=3"],
            {
                "optimizer.momentum": [0.9, 0.0],
                "optimizer.dampening": [0.5, 0.2],
                "optimizer.weight_decay": [0.0, 0.1],
                "optimizer.lr": [0.001, 0.5],
            },
        ),
        (
            ["optimizer=adam", "data.batch_size=null", "data.num_train=77", "optimizer.amsgrad=true"],
            {"optimizer.betas": [[0.9, 0.99], [0.5, 0.9]], "seed": [3, 3]},
        ),
        (
            ["optimizer=rmsprop", "data.num_val=0", "data.num_train=70", "optimizer.centered=true"],
            {"optimizer.momentum": [0.0, 0.9], "optimizer.alpha": [0.9, 0.99]},
        ),
        (["trainer.gradient_clip_val=0.5", "optimizer=adagrad"], {"seed": [1, 2], "optimizer.lr_decay": [0.0, 0.1]}),
        (["trainer.gradient_clip_val=5", "trainer.gradient_clip_algorithm=value"], {"seed": [1, 2]}),
    ],
)
def test_other_configurations_equal_runs_alone(
    train_run: TrainRun, tmp_path: Path, base: list[str], columns: Columns
) -> None:
    """Rare validation, one full batch, an odd last batch, no validation, clipped gradients, mixed numbers: the same."""
    base = ["trainer.max_epochs=2", *SMALL, *base]
    assert prove(configured(*base), columns).reason is None
    assert_as_alone(train_run, tmp_path, train_stack(configured(*base), columns), base, columns, [0, 1])


def test_neighbours_order_and_size_of_the_stack_change_nothing() -> None:
    """A run's numbers are the same to the bit in whatever order and company, however the stack is cut, and beside
    runs that diverge."""
    cfg = configured("optimizer=sgd", *SMALL, "trainer.max_epochs=4")
    columns: Columns = {"seed": [0, 1, 2, 3, 4, 5], "optimizer.lr": [1e-5, 0.01, 1e20, 0.02, 1e4, 1e-3]}
    whole = train_stack(cfg, columns)
    assert whole.status == ["done", "done", "diverged", "done", "diverged", "done"]
    order = [4, 1, 5, 0, 3, 2]
    mixed = train_stack(cfg, {key: [values[r] for r in order] for key, values in columns.items()})
    assert_same(whole, order, mixed, list(range(6)))
    sound = train_stack(cfg, {key: [values[r] for r in (1, 3)] for key, values in columns.items()})
    assert_same(whole, [1, 3], sound, [0, 1])
    for runs, part in train_in_stacks(cfg, columns, max_stack=4):
        assert part is not None
        assert_same(whole, list(runs), part, list(range(len(runs))))


def test_a_stack_in_which_all_diverge_ends() -> None:
    """Where every run has diverged, training ends, and each run keeps its initial weights."""
    cfg = configured("data=sum", "trainer.max_epochs=50")
    outcome = train_stack(cfg, {"seed": [0, 1], "optimizer.lr": [1e30, 1e25]})
    assert outcome.status == ["diverged"] * 2 and outcome.epoch == [1, 1] and outcome.steps == []
    assert outcome.last.epoch.tolist() == [0, 0] and list(outcome.skeletons) == [0]
    initial = InitialWeights(cfg)([0, 1])
    assert all(torch.equal(outcome.last.weights[name], weight) for name, weight in initial.items())


@pytest.mark.parametrize(
    "network",
    [
        {"_target_": "simplenn.network.SimpleNN", "hidden": 32},
        {"_target_": "simplenn.network.SimpleNN", "hidden": 5, "activation": "tanh"},
        {"_target_": "networks.Deeper"},
        {"_target_": "networks.Deeper", "frozen": True},
    ],
)
def test_other_networks_move_as_alone(network: dict[str, Any], tmp_path: Path) -> None:
    """A network of the user's own, or wider than the shipped one, stacks as it is; its weights move as they do alone,
    to one part in a thousand of the way that they went."""
    from simplenn.training.train import train

    cfg = configured("optimizer=adam", "trainer.max_epochs=2", *SMALL, network=network)
    assert prove(cfg, {"seed": [0, 7], "optimizer.lr": [0.003, 0.01]}).reason is None
    outcome = train_stack(cfg, {"seed": [0, 7], "optimizer.lr": [0.003, 0.01]})
    for r, (seed, lr) in enumerate(((0, 0.003), (7, 0.01))):
        cfg.seed, cfg.optimizer.lr = seed, lr
        initial = build_run(cfg)[0].state_dict()
        (tmp_path / str(r)).mkdir()
        train(cfg, tmp_path / str(r))
        alone = torch.load(Run(tmp_path / str(r)).checkpoint("last"), weights_only=True)["state_dict"]
        for name, start in initial.items():
            moved, error = alone[name] - start, outcome.last.weights[name][r] - alone[name]
            assert error.norm() <= 1e-3 * moved.norm(), name


@pytest.mark.parametrize("base", [["trainer.gradient_clip_val=0.1"], ["optimizer.momentum=0.9"]])
def test_a_parameter_may_be_one_number(base: list[str], tmp_path: Path) -> None:
    """Clipped, and beside a run that diverges, it moves as it does alone."""
    from simplenn.training.train import train

    cfg = configured("trainer.max_epochs=2", *SMALL, *base, network={"_target_": "networks.Scaled"})
    assert prove(cfg, {"optimizer.lr": [1e-3, 1e30]}).reason is None
    outcome = train_stack(cfg, {"optimizer.lr": [1e-3, 1e30]})
    assert outcome.status == ["done", "diverged"]
    cfg.optimizer.lr = 1e-3
    train(cfg, tmp_path)
    alone = torch.load(Run(tmp_path).checkpoint("last"), weights_only=True)["state_dict"]
    for name, weight in alone.items():
        torch.testing.assert_close(outcome.last.weights[name][0], weight)


def test_training_in_stacks_ends_with_an_interruption() -> None:
    """No stack is begun after a signal; the one that it ended is handed over."""
    cfg = configured("data=sum", "trainer.max_epochs=2")
    parts = list(train_in_stacks(cfg, {"seed": [0, 1, 2]}, max_stack=1, callbacks=[Signal(2)]))
    ((runs, part),) = parts
    assert runs == range(1) and part is not None and part.epoch == [1]


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't")]
)
def test_a_stack_that_does_not_fit_is_halved(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A stack that doesn't fit in memory is halved and tried again, with a line saying so and the same numbers."""
    cfg = configured("data=post", "trainer.max_epochs=3")
    columns: Columns = {"seed": [0, 1, 2, 3, 4], "optimizer.lr": [0.01, 0.1, 0.01, 0.02, 0.03]}
    whole = train_stack(cfg, columns)

    def fits_two(cfg: DictConfig, columns: Columns, *rest: Any) -> Attempt:
        return Attempt(None, error) if len(columns["seed"]) > 2 else attempt_stack(cfg, columns, *rest)

    monkeypatch.setattr(stacks, "attempt_stack", fits_two)
    with caplog.at_level(logging.INFO, "simplenn.stacking.stacks"):
        parts = list(train_in_stacks(cfg, columns))
    assert [len(runs) for runs, _ in parts] == [2, 2, 1]
    assert [record.message for record in caplog.records] == [
        "a stack of 5 runs doesn't fit in memory; trying again with 3",
        "a stack of 3 runs doesn't fit in memory; trying again with 2",
    ]
    for runs, part in parts:
        assert part is not None
        assert_same(whole, list(runs), part, list(range(len(runs))))


def test_other_errors_are_not_taken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What raises another error even by itself is left to the caller; a lack of memory for a single run is raised."""
    for error, seeds in ((RuntimeError("no such thing"), [0, 1]), (MemoryError(), [0])):

        def fails(*_: Any, error: Exception = error) -> Attempt:
            return Attempt(None, error)

        monkeypatch.setattr(stacks, "attempt_stack", fails)
        if isinstance(error, MemoryError):
            with pytest.raises(MemoryError):
                list(train_in_stacks(configured(), {"seed": seeds}, max_stack=8))
        else:
            assert list(train_in_stacks(configured(), {"seed": seeds}, max_stack=8)) == [
                (range(1), None),
                (range(1, 2), None),
            ]
