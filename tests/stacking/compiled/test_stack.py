"""Compiled stacks, against the same stacks without the compiler: bit for bit where torch's kernels are known."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from stacks import Columns, assert_same, configured

from simplenn.regressor import Regressor
from simplenn.signals import Interrupted
from simplenn.stacking import Outcome, train_in_stacks, train_stack, with_compiler
from simplenn.stacking.compiled import epoch
from simplenn.stacking.compiled.epoch import CompiledEpoch
from simplenn.stacking.compiled.work import PIECE, EvaluationWork, Threads
from simplenn.stacking.initial_weights import InitialWeights
from simplenn.stacking.reasons import CannotCompile

# The order in which torch adds up, and the library that it takes roots from, are known of this machinery.
IS_KNOWN = torch.backends.mkl.is_available() and torch.backends.cpu.get_cpu_capability() == "AVX2"
NUM_RUNS = 21  # which fill no number of vectors
RATES = torch.logspace(-4, -1, NUM_RUNS, dtype=torch.float64).tolist()
COLUMNS: Columns = {"seed": [run % 4 for run in range(NUM_RUNS)], "optimizer.lr": RATES}
SUM = ("data=sum", "data.num_train=70", "data.num_val=50", "trainer.max_epochs=4")
POST = ("experiment=post", "trainer.max_epochs=30")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of runs that are trained by compiled code, one for each epoch."""
    numbers: list[int] = []
    honest = CompiledEpoch.train

    def train(self: CompiledEpoch, state: Any, *rest: Any) -> Any:
        numbers.append(next(iter(state.weights.values())).shape[-1])
        return honest(self, state, *rest)

    monkeypatch.setattr(CompiledEpoch, "train", train)
    return numbers


def assert_alike(cfg: DictConfig, columns: Columns) -> Outcome:
    """Compiled, the runs have the numbers that they have without; where torch's own aren't known, nearly."""
    eager = train_stack(with_compiler(cfg, False), columns)
    compiled = train_stack(with_compiler(cfg, True), columns)
    runs = list(range(len(columns["seed"])))
    if IS_KNOWN:
        assert_same(eager, runs, compiled, runs)
        assert (eager.steps, eager.skeletons) == (compiled.steps, compiled.skeletons)
    else:
        assert_moved_alike(cfg, columns, eager, compiled)
    return compiled


def assert_moved_alike(cfg: DictConfig, columns: Columns, eager: Outcome, compiled: Outcome) -> None:
    """Each weight has gone the same way from where it began, within 1 part in 1,000."""
    initial = InitialWeights(cfg)(columns["seed"])
    for name, weight in eager.last.weights.items():
        moved = (weight - initial[name]).abs().max()
        assert float((compiled.last.weights[name] - weight).abs().max() / moved) < 1e-3, name


OPTIMIZERS = [
    ("optimizer=sgd",),
    ("optimizer=sgd", "optimizer.momentum=0.9", "++optimizer.nesterov=true"),
    ("optimizer=sgd", "optimizer.momentum=0.9", "++optimizer.dampening=0.1", "optimizer.weight_decay=0.01"),
    ("optimizer=adam",),
    ("optimizer=adam", "++optimizer.amsgrad=true", "optimizer.weight_decay=0.01"),
    ("optimizer=adamw",),
    ("optimizer=rmsprop", "optimizer.momentum=0.5", "++optimizer.centered=true"),
    ("optimizer=adagrad", "optimizer.weight_decay=0.01"),
]


@pytest.mark.parametrize("data", [POST, SUM])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=" ".join)
def test_a_compiled_stack_equals_the_eager_one(
    optimizer: tuple[str, ...], data: tuple[str, ...], calls: list[int]
) -> None:
    """Metrics, weights, the optimizer's state, best epochs: with a last batch that is smaller than the others."""
    cfg = configured(*data, *optimizer)
    assert_alike(cfg, COLUMNS)
    assert calls == [NUM_RUNS] * cfg.trainer.max_epochs


@pytest.mark.parametrize(
    ("overrides", "columns"),
    [
        (("optimizer=sgd",), {"optimizer.momentum": [0.0, 0.5, 0.9] * 7}),  # some runs have none
        (("optimizer=rmsprop",), {"optimizer.weight_decay": [0.0, 0.1, 0.0] * 7}),
        (("optimizer=adam",), {"optimizer.betas": [[0.1 * (run % 9), 0.99] for run in range(NUM_RUNS)]}),
        (("model.activation=tanh", "model.hidden=3", "data.num_features=2"), {}),
        (("data.num_val=0",), {}),
        (("data.batch_size=null",), {}),
        (("data.batch_size=1", "data.num_train=9"), {}),
        (("data.num_val=5000",), {}),  # validated in two batches
        (("trainer.check_val_every_n_epoch=2",), {}),
    ],
)
def test_whatever_runs_differ_in(overrides: tuple[str, ...], columns: Columns) -> None:
    assert_alike(configured(*SUM, *overrides), COLUMNS | columns)


def test_runs_that_diverge_stop_by_themselves() -> None:
    """In the same step and with the same message."""
    columns: Columns = {"seed": [0, 1, 1, 2], "optimizer.lr": [1e-3, 1e-2, 1e30, 3e-2]}
    outcome = assert_alike(configured(*SUM), columns)
    assert outcome.status == ["done", "done", "diverged", "done"]


@pytest.mark.parametrize("num_runs", [1, 8, 700])
def test_any_number_of_runs_is_trained_by_the_same_code(num_runs: int) -> None:
    """On one core and on several, in pieces and in one."""
    columns: Columns = {"seed": [run % 3 for run in range(num_runs)], "optimizer.lr": [0.01] * num_runs}
    cfg = configured(*SUM, "optimizer=adam", "trainer.compile=true")
    threads = torch.get_num_threads()
    outcomes = []
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            outcomes.append(train_stack(cfg, columns))
    finally:
        torch.set_num_threads(threads)
    assert_same(outcomes[0], list(range(num_runs)), outcomes[1], list(range(num_runs)))


def test_metrics_of_ones_own_are_added_up_in_their_own_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Lightning does: over 70 samples, whose last batch is smaller; a mean may be -0.0, too."""
    honest = Regressor.training_step

    def step(self: Regressor, batch: Any, batch_idx: int) -> Any:
        loss = honest(self, batch, batch_idx)
        error = self.network(batch[0]) - batch[1]
        means = {"cube": error.pow(3).mean(), "wide": error.double().pow(3).mean(), "zero": -0.0 * error.square().sum()}
        for name, mean in means.items():
            self.log(f"train/{name}", mean, on_step=False, on_epoch=True, batch_size=len(batch[0]))
        return loss

    monkeypatch.setattr(Regressor, "training_step", step)
    cfg = configured(*SUM)
    eager, compiled = (train_stack(with_compiler(cfg, wanted), COLUMNS) for wanted in (False, True))
    assert eager.curves.keys() == compiled.curves.keys() > {f"train/{name}" for name in ("cube", "wide", "zero")}
    for name, curve in eager.curves.items():
        own = compiled.curves[name]
        if IS_KNOWN:
            assert torch.equal(own, curve) and torch.equal(own.signbit(), curve.signbit())
        torch.testing.assert_close(own, curve)


@pytest.mark.parametrize(
    "logged",
    [
        lambda error: {f"train/{i}": error[i].mean() for i in range(20)} if len(error) == 32 else {},
        lambda error: {"train/last": error.mean()} if len(error) < 32 else {},
        lambda error: {f"train/{name}": error.mean() for name in sorted("ab", reverse=len(error) < 32)},
        lambda error: {"train/mean": error.mean() if len(error) < 32 else error.double().mean()},
    ],
    ids=["less in the last batch", "more in it", "in another order", "in another precision"],
)
def test_what_is_logged_must_not_depend_on_the_batch(
    logged: Callable[[torch.Tensor], dict[str, torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Regressor.training_step

    def step(self: Regressor, batch: Any, batch_idx: int) -> Any:
        for name, mean in logged(self.network(batch[0]) - batch[1]).items():
            self.log(name, mean, on_step=False, on_epoch=True, batch_size=len(batch[0]))
        return honest(self, batch, batch_idx)

    monkeypatch.setattr(Regressor, "training_step", step)
    with pytest.raises(CannotCompile, match="what a step logs depends on the size of its batch"):
        train_stack(configured(*SUM, "trainer.compile=true"), COLUMNS)


def test_a_loss_in_double_precision_keeps_its_range(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond what a float holds, it is finite still."""
    honest = Regressor.training_step
    monkeypatch.setattr(Regressor, "training_step", lambda *given: honest(*given).double() + 1e39)
    cfg = configured(*SUM, "optimizer=adam", "optimizer.lr=1e-3")
    assert assert_alike(cfg, {"seed": list(range(9))}).status == ["done"] * 9


@pytest.mark.parametrize(
    ("optimizer", "columns", "num_graphs"),
    [
        ("adam", {"optimizer.lr": [0.1, 0.01, 0.01, 0.01, 0.02, 0.03]}, 1),  # numbers on which a stack's runs agree
        ("sgd", {"optimizer.momentum": [0.5, 0.9, 0.0, 0.0, 0.0, 0.9]}, 3),  # in all runs of a stack, none, some
        ("adam", {"optimizer.weight_decay": [0.1, 0.2, 0.0, 0.0, 0.0, 0.1]}, 3),
    ],
)
def test_stacks_of_a_sweep_share_what_is_compiled(
    optimizer: str, columns: Columns, num_graphs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step's graph is made once where it is the same for all stacks; the numbers are those without the compiler."""
    graphs: list[Any] = []
    honest = epoch.update_graph
    monkeypatch.setattr(epoch, "update_graph", lambda *given: graphs.append(given) or honest(*given))
    columns = {"seed": [0, 1, 2, 3, 4, 5]} | columns
    cfg = configured(*SUM, f"optimizer={optimizer}", "optimizer.lr=0.01", "trainer.compile=true")
    stacks = [outcome for _, outcome in train_in_stacks(cfg, columns, max_stack=2)]
    assert len(graphs) == num_graphs
    for number, outcome in enumerate(stacks):
        assert outcome is not None
        own = {key: values[2 * number : 2 * number + 2] for key, values in columns.items()}
        eager = train_stack(with_compiler(cfg, False), own)
        if IS_KNOWN:
            assert_same(eager, [0, 1], outcome, [0, 1])
        else:
            assert_moved_alike(cfg, own, eager, outcome)


def test_a_signal_waits_for_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """They write to tensors that would be gone; and nobody begins another piece."""
    begun: list[int] = []
    ended: list[int] = []

    def function(work: Any, start: Any, end: Any) -> int:
        begun.append(start.value)
        if threading.current_thread() is threading.main_thread():
            raise Interrupted(15)
        time.sleep(0.2)
        ended.append(start.value)
        return 0

    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    with pytest.raises(Interrupted):
        Threads().call(function, EvaluationWork(), 100 * PIECE)
    assert len(begun) <= 3 and len(ended) == len(begun) - 1


def test_too_little_memory_is_an_error_of_pythons() -> None:
    """In compiled code it would end the process."""
    with pytest.raises(MemoryError):
        Threads().call(lambda *_: 1, EvaluationWork(), 3)


def test_a_step_that_does_not_fit_in_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epoch, "free_memory", lambda: 10_000.0)
    with pytest.raises(CannotCompile, match=r"a step takes .* GiB"):
        train_stack(configured(*SUM, "trainer.compile=true"), COLUMNS)


def test_a_weight_that_is_not_trained_stays() -> None:
    cfg = configured(*SUM, network={"_target_": "networks.HalfFrozen"})
    compiled = assert_alike(cfg, {"seed": [0, 1, 2]})
    initial = InitialWeights(cfg)([0, 1, 2])
    frozen = [name for name in initial if torch.equal(initial[name], compiled.last.weights[name])]
    assert frozen and len(frozen) < len(initial)


@pytest.mark.parametrize(
    ("network", "reason"),
    [("EvaluationOnly", None), ("Tokens", "the network computes with"), ("Overwriting", None)],
)
def test_a_network_is_right_or_refused(network: str, reason: str | None) -> None:
    """What the compiled mode doesn't know of it refuses; what it compiles moves as it does without it."""
    words = ("trainer.max_epochs=2", "data.num_train=6", "data.batch_size=null", "optimizer.lr=1e-3")
    cfg = configured(*words, "data.num_val=5", network={"_target_": f"networks.{network}"})
    columns: Columns = {"seed": list(range(5))}
    eager = train_stack(with_compiler(cfg, False), columns)
    if reason is not None:
        with pytest.raises(CannotCompile, match=reason):
            train_stack(with_compiler(cfg, True), columns)
        return
    compiled = train_stack(with_compiler(cfg, True), columns)
    assert_moved_alike(cfg, columns, eager, compiled)
    torch.testing.assert_close(compiled.curves["val/loss"], eager.curves["val/loss"])
