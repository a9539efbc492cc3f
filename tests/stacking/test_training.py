"""Many runs trained at once, against the same runs trained alone."""

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import composed
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig
from torch import Tensor, nn

from simplenn.config.checking import check_config
from simplenn.data import EpochBatches
from simplenn.rundir import metrics
from simplenn.rundir.run import Result, Run
from simplenn.setup import build_run
from simplenn.signals import Interrupted
from simplenn.stacking import Outcome, Snapshot, prove, recorder, train_in_stacks, train_stack, training
from simplenn.stacking.batches import StackBatches
from simplenn.stacking.divergence import Divergence
from simplenn.stacking.initial_weights import InitialWeights
from simplenn.stacking.reasons import CannotCompile
from simplenn.training.divergence import Diverged

Columns = dict[str, list]
TrainRun = Callable[..., Result]
OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop", "adagrad")


class Deeper(nn.Module):
    """A user's network: another shape, another activation, a weight of its own."""

    def __init__(self, num_features: int = 3, hidden: int = 8, frozen: bool = False) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(num_features, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.Tanh())
        self.scale = nn.Parameter(torch.rand(hidden), requires_grad=not frozen)
        self.last = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.layers(x) * self.scale)


def configured(*overrides: str, network: dict[str, Any] | None = None) -> DictConfig:
    cfg = composed("quiet=true", "trainer=cpu", *overrides)
    if network is not None:
        cfg.model, cfg.allow = network, ["test_training"]
    return check_config(cfg)


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
    alone |= {"state_dict": {}, "optimizer_states": []}
    assert list(outcome.skeletons[int(snapshot.epoch[r])].items()) == list(alone.items())


def assert_same(one: Outcome, ones: list[int], other: Outcome, others: list[int]) -> None:
    """Some runs of one outcome and some of another are the same to the bit."""
    for i, j in zip(ones, others, strict=True):
        ends = [(o.status[r], o.message[r], o.epoch[r]) for o, r in ((one, i), (other, j))]
        assert ends[0] == ends[1]
    num_epochs = min(len(one.steps), len(other.steps))
    for name, curve in one.curves.items():
        assert torch.equal(
            curve[:num_epochs, ones].nan_to_num(-1), other.curves[name][:num_epochs, others].nan_to_num(-1)
        )
    for ours, theirs in ((one.last, other.last), (one.best, other.best)):
        assert torch.equal(ours.epoch[ones], theirs.epoch[others])
        assert all(torch.equal(ours.weights[name][ones], theirs.weights[name][others]) for name in ours.weights)
        for slot, state in ours.optimizer.items():
            assert all(torch.equal(state[name][ones], theirs.optimizer[slot][name][others]) for name in state)


@pytest.mark.parametrize("data", ["post", "sum"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_run_in_a_stack_equals_run_alone(train_run: TrainRun, tmp_path: Path, optimizer: str, data: str) -> None:
    """A run in a stack has bit for bit each epoch's metrics, the weights, the optimizer's state and the end that it
    has alone, at learning rates from tiny to diverging."""
    epochs = {"post": 12, "sum": 3}[data]
    base = [f"optimizer={optimizer}", f"data={data}", f"trainer.max_epochs={epochs}"]
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
    base = ["trainer.max_epochs=2", *base]
    assert prove(configured(*base), columns).reason is None
    assert_as_alone(train_run, tmp_path, train_stack(configured(*base), columns), base, columns, [0, 1])


def test_neighbours_order_and_chunks_change_nothing() -> None:
    """A run's numbers are the same to the bit in whatever order and company, however the stack is cut, and beside
    runs that diverge."""
    cfg = configured("optimizer=sgd", "data=sum", "trainer.max_epochs=3")
    columns: Columns = {"seed": [0, 1, 2, 3, 4, 5], "optimizer.lr": [1e-5, 0.01, 1e20, 0.02, 1e4, 1e-3]}
    whole = train_stack(cfg, columns)
    assert whole.status == ["done", "done", "diverged", "done", "diverged", "done"]
    order = [4, 1, 5, 0, 3, 2]
    mixed = train_stack(cfg, {key: [values[r] for r in order] for key, values in columns.items()})
    assert_same(whole, order, mixed, list(range(6)))
    sound = train_stack(cfg, {key: [values[r] for r in (1, 3)] for key, values in columns.items()})
    assert_same(whole, [1, 3], sound, [0, 1])
    for runs, part in train_in_stacks(cfg, columns, max_stack=4):
        assert_same(whole, list(runs), part, list(range(len(runs))))


def test_a_stack_in_which_all_diverge_ends() -> None:
    """Where every run has diverged, training ends, and each run keeps its initial weights."""
    cfg = configured("data=sum", "trainer.max_epochs=50")
    outcome = train_stack(cfg, {"seed": [0, 1], "optimizer.lr": [1e30, 1e25]})
    assert outcome.status == ["diverged"] * 2 and outcome.epoch == [1, 1] and outcome.steps == []
    assert outcome.last.epoch.tolist() == [0, 0] and list(outcome.skeletons) == [0]
    initial = InitialWeights(cfg)([0, 1])
    assert all(torch.equal(outcome.last.weights[name], weight) for name, weight in initial.items())


def test_divergence_names_what_came_first() -> None:
    """A loss counts before a weight, a weight before a metric, the first step before the next, and the first epoch."""
    inf, nan = torch.inf, torch.nan
    divergence = Divergence(4, torch.device("cpu"))
    fine = torch.ones(4)
    assert divergence.watch(1, 0, [fine, fine], [fine[:, None]], {"val/loss": fine}) is None
    losses = [fine, torch.tensor([1, -inf, 1, 1]), torch.tensor([1, nan, 1, 1])]
    live = divergence.watch(2, 2, losses, [torch.tensor([[1, 1], [1, 1], [1, inf], [1, 1]])], {"mae": fine})
    assert live is not None and live.tolist() == [True, False, False, True]
    divergence.watch(3, 5, [torch.tensor([1, nan, nan, 1])], [fine[:, None]], {"mae": fine})
    divergence.watch(4, 6, [fine, fine], [fine[:, None]], {"mae": torch.tensor([1, 1, 1, nan])})
    expected = [
        Diverged(2, 4, "the loss became -inf"),
        Diverged(2, 5, "a weight became non-finite"),
        Diverged(4, 8, "a metric became non-finite"),
    ]
    assert divergence.epochs_and_messages() == [(0, ""), *((error.epoch, str(error)) for error in expected)]


@pytest.mark.parametrize(
    "network",
    [
        {"_target_": "simplenn.network.SimpleNN", "hidden": 32},
        {"_target_": "simplenn.network.SimpleNN", "hidden": 5, "activation": "tanh"},
        {"_target_": "test_training.Deeper"},
        {"_target_": "test_training.Deeper", "frozen": True},
    ],
)
def test_other_networks_move_as_alone(network: dict[str, Any], tmp_path: Path) -> None:
    """A network of the user's own, or wider than the shipped one, stacks as it is; its weights move as they do alone,
    to one part in a thousand of the way that they went."""
    from simplenn.training.train import train

    cfg = configured("optimizer=adam", "trainer.max_epochs=2", network=network)
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


class Scaled(nn.Module):
    """A network with a parameter that is one number."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)
        self.scale = nn.Parameter(torch.tensor(1.5))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) * self.scale


@pytest.mark.parametrize("base", [["trainer.gradient_clip_val=0.1"], ["optimizer.momentum=0.9"]])
def test_a_parameter_may_be_one_number(base: list[str], tmp_path: Path) -> None:
    """Clipped, and beside a run that diverges, it moves as it does alone."""
    from simplenn.training.train import train

    cfg = configured("trainer.max_epochs=2", *base, network={"_target_": "test_training.Scaled"})
    assert prove(cfg, {"optimizer.lr": [1e-3, 1e30]}).reason is None
    outcome = train_stack(cfg, {"optimizer.lr": [1e-3, 1e30]})
    assert outcome.status == ["done", "diverged"]
    cfg.optimizer.lr = 1e-3
    train(cfg, tmp_path)
    alone = torch.load(Run(tmp_path).checkpoint("last"), weights_only=True)["state_dict"]
    for name, weight in alone.items():
        torch.testing.assert_close(outcome.last.weights[name][0], weight)


def test_initial_weights_are_those_of_the_seed() -> None:
    """Each run starts with the weights that `build_run` gives its seed, drawn once for runs of one seed."""
    for network in ({"_target_": "simplenn.network.SimpleNN"}, {"_target_": "test_training.Deeper"}):
        cfg = configured(network=network)
        weights = InitialWeights(cfg)
        weights([5, 3])
        seeds = [3, 2**32 - 1, 3, 0, 5]
        stacked = weights(seeds)
        for r, seed in enumerate(seeds):
            cfg.seed = seed
            for name, weight in build_run(cfg)[0].named_parameters():
                assert torch.equal(stacked[name][r], weight), (name, seed)


@pytest.mark.parametrize(("num_samples", "batch_size"), [(10, 4), (8, 8), (3, 1)])
def test_batches_are_those_of_each_run_alone(num_samples: int, batch_size: int) -> None:
    """In every epoch, each run of a stack sees the batches that it sees alone."""
    seeds = [3, 0, 3, 1, 2**32 - 1]
    together = StackBatches(seeds, num_samples, batch_size, shuffle=True)
    assert len(together) == math.ceil(num_samples / batch_size)
    for epoch in (0, 1, 2, 7):
        together.set_epoch(epoch)
        batches = list(together)
        for r, seed in enumerate(seeds):
            alone = EpochBatches(num_samples, batch_size, shuffle=True, seed=seed)
            alone.set_epoch(epoch)
            assert [batch[r].tolist() for batch in batches] == list(alone)
    assert list(StackBatches(seeds, num_samples, batch_size)) == list(EpochBatches(num_samples, batch_size))


class Signal(Callback):
    """A signal that arrives in the middle of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.current_epoch + 1 == self.epoch and trainer.global_step % 8 == 5:
            raise Interrupted(15)


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


def test_chunks_end_with_an_interruption() -> None:
    """No stack is begun after a signal; the one that it ended is handed over."""
    cfg = configured("data=sum", "trainer.max_epochs=2")
    parts = list(train_in_stacks(cfg, {"seed": [0, 1, 2]}, max_stack=1, callbacks=[Signal(2)]))
    assert [runs for runs, _ in parts] == [range(1)] and parts[0][1].epoch == [1]


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

    def fits_two(cfg: DictConfig, columns: Columns, *rest: Any) -> Outcome:
        if len(columns["seed"]) > 2:
            raise error
        return train_stack(cfg, columns, *rest)

    monkeypatch.setattr(training, "train_stack", fits_two)
    with caplog.at_level(logging.INFO, "simplenn.stacking.training"):
        parts = list(train_in_stacks(cfg, columns))
    assert [len(runs) for runs, _ in parts] == [2, 2, 1]
    assert [record.message for record in caplog.records] == [
        "a stack of 5 runs doesn't fit in memory; trying again with 3",
        "a stack of 3 runs doesn't fit in memory; trying again with 2",
    ]
    for runs, part in parts:
        assert_same(whole, list(runs), part, list(range(len(runs))))


def test_other_errors_are_not_taken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of another kind goes on to the caller, as does a lack of memory for a single run."""
    for error, seeds in ((RuntimeError("no such thing"), [0, 1]), (MemoryError(), [0])):

        def fails(*_: Any, error: Exception = error) -> Outcome:
            raise error

        monkeypatch.setattr(training, "train_stack", fails)
        with pytest.raises(type(error)):
            list(train_in_stacks(configured(), {"seed": seeds}, max_stack=8))


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ([], None),
        (["data=post", "optimizer=adamw", "trainer.gradient_clip_val=1"], None),
        (["trainer.precision=64-true"], None),
        (["trainer.precision=bf16-mixed"], "trainer.precision=bf16-mixed"),
        (["trainer.precision=bf16-true"], "trainer.precision=bf16-true"),
        (["trainer=ddp"], "trainer.devices=2"),
        (["trainer.accumulate_grad_batches=2"], "trainer.accumulate_grad_batches=2"),
        (["trainer.detect_anomaly=true"], "trainer.detect_anomaly=True"),
        (["+trainer.val_check_interval=0.5"], "trainer.val_check_interval=0.5"),
        (["histograms=true"], "histograms=true"),
        (["optimizer._target_=torch.optim.Rprop"], "stacks have no update rule for Rprop"),
        (["+optimizer.maximize=true"], "optimizer.maximize=true"),
        (["+optimizer.foreach=true"], "optimizer.foreach=true"),
    ],
)
def test_reasons_by_configuration(overrides: list[str], reason: str | None) -> None:
    """What can't be stacked says why."""
    cfg = composed("quiet=true", "trainer=cpu", *overrides)
    if cfg.optimizer._target_ == "torch.optim.Rprop":
        cfg.optimizer = {"_target_": "torch.optim.Rprop", "lr": 0.01}
    found = prove(cfg, {"seed": [0, 1]}).reason
    assert found == reason or (reason is not None and reason in (found or ""))


class Seen(Callback):
    """What a progress bar reads at an epoch's end."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.losses.append(float(trainer.callback_metrics["train/loss"]))


def test_progress_shows_the_median_of_live_runs() -> None:
    """Where a run alone shows its loss, a stack shows the median over the runs that have not diverged."""
    seen = Seen()
    columns: Columns = {"seed": [0, 1, 2, 3], "optimizer.lr": [0.01, 1e30, 0.001, 0.02]}
    outcome = train_stack(configured("data=sum", "trainer.max_epochs=3"), columns, [seen])
    assert seen.losses == outcome.curves["train/loss"].nanmedian(dim=1).values.tolist()


def assert_moved_alike(cfg: DictConfig, columns: Columns, eager: Outcome, compiled: Outcome) -> None:
    """Each weight has gone the same way from where it began, within 1 part in 1,000."""
    initial = InitialWeights(cfg)(columns["seed"])
    for name, weight in eager.last.weights.items():
        moved = (weight - initial[name]).abs().max()
        assert float((compiled.last.weights[name] - weight).abs().max() / moved) < 1e-3, name


# torch's compiler, as it is imported, calls what torch has deprecated
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("words", [("optimizer=adam", "experiment=post"), ("optimizer=sgd", "optimizer.momentum=0.9")])
def test_compiled_stack_equals_the_eager_one_within_the_tolerance(words: tuple[str, ...]) -> None:
    """The same runs diverge, the same counters; the others' weights move as far within 1 part in 1,000."""
    columns = {"seed": [0, 1, 1, 2], "optimizer.lr": [1e-3, 1e-2, 1e30, 3e-2]}
    configs = [check_config(composed(*words, "trainer=cpu", "trainer.max_epochs=5")) for _ in range(2)]
    for cfg, wanted in zip(configs, (False, True), strict=True):
        cfg.trainer.compile = wanted
    eager, compiled = (train_stack(cfg, columns) for cfg in configs)
    assert compiled.status == eager.status == ["done", "done", "diverged", "done"]
    assert (compiled.steps, compiled.epoch, compiled.skeletons) == (eager.steps, eager.epoch, eager.skeletons)
    assert_moved_alike(configs[0], columns, eager, compiled)
    finished = [0, 1, 3]
    curves = [outcome.curves["train/loss"][:, finished] for outcome in (compiled, eager)]
    assert not torch.equal(*curves)  # else it was not compiled


class Tokens(nn.Module):
    """Operations that the compiler takes runs first: indexing, attention, a norm, a softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.attention = nn.MultiheadAttention(4, 2, bias=False, batch_first=True)
        self.norm = nn.LayerNorm(4)
        self.last = nn.Linear(12, 1)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embedding(x.abs().long().clamp(max=9))
        seen, _ = self.attention(tokens, tokens, tokens)
        return self.last(self.norm(seen + tokens).flatten(1))


class Overwriting(nn.Module):
    """An operation that the compiled mode has no rule for: it writes into a part of a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        scaled = x.clone()
        scaled[:, 0] *= 2
        scaled[:, 1:] += 1
        return self.layer(scaled)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("network", [Tokens, Overwriting])
def test_a_compiled_network_is_right_or_refused(network: type) -> None:
    """What the compiled mode doesn't know of it refuses; what it compiles moves as it does without it."""
    words = ["trainer.max_epochs=2", "data.num_train=6", "data.batch_size=null", "data.num_val=0", "optimizer.lr=1e-3"]
    cfg = configured(*words, network={"_target_": f"test_training.{network.__name__}"})
    columns: Columns = {"seed": list(range(5))}
    eager = train_stack(cfg, columns)
    cfg.trainer.compile = True
    if network is Overwriting:
        with pytest.raises(CannotCompile, match="has not been tried for many runs"):
            train_stack(cfg, columns)
    else:
        assert_moved_alike(cfg, columns, eager, train_stack(cfg, columns))
