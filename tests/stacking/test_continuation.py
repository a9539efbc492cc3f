"""A stack that goes on from where another session has left it ends as one that was trained at once, bit for bit."""

import signal
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from conftest import ROOT
from lightning.pytorch import Callback
from stacks import configured

from simplenn import signals
from simplenn.groups.joining import take_outcome
from simplenn.stacking import Outcome, Snapshot, keeping, stacks, train_in_stacks, train_stack
from simplenn.stacking.training import Attempt, attempt_stack

OPTIMIZERS = sorted(path.stem for path in (ROOT / "conf" / "optimizer").glob("*.yaml"))
SMALL = ("data.num_train=48", "data.num_val=16")  # two steps an epoch
COLUMNS = {"seed": [0, 1, 7], "optimizer.lr": [0.01, 0.003, 0.02]}
EPOCHS = 6


def assert_same(one: Outcome, other: Outcome) -> None:
    """But for the seconds."""
    for key in ("status", "message", "epoch", "steps"):
        assert getattr(one, key) == getattr(other, key), key
    assert one.curves.keys() == other.curves.keys()
    for name, curve in one.curves.items():
        assert torch.equal(curve.nan_to_num(-1.0), other.curves[name].nan_to_num(-1.0)), name
    for which in ("last", "best"):
        assert_same_snapshot(getattr(one, which), getattr(other, which))
    used = {*one.last.epoch.tolist(), *one.best.epoch.tolist()} & set(one.skeletons)
    for epoch in used:
        assert one.skeletons[epoch] == other.skeletons[epoch], epoch


def assert_same_snapshot(one: Snapshot, other: Snapshot) -> None:
    assert torch.equal(one.epoch, other.epoch)
    assert one.optimizer.keys() == other.optimizer.keys() and one.absent.keys() == other.absent.keys()
    for name, tensor in one.weights.items():
        assert torch.equal(tensor, other.weights[name]), name
    for slot, tensors in one.optimizer.items():
        assert torch.equal(one.absent[slot], other.absent[slot])
        for name, tensor in tensors.items():
            assert torch.equal(tensor, other.optimizer[slot][name]), (slot, name)


def stored(outcome: Outcome) -> Outcome:
    """As a part of a sweep has it: only the skeletons of its last epoch and of those that a run's states are of."""
    used = {len(outcome.steps), *outcome.last.epoch.tolist(), *outcome.best.epoch.tolist()}
    return replace(outcome, skeletons={epoch: s for epoch, s in outcome.skeletons.items() if epoch in used})


def cut_at(epoch: int, words: Sequence[str], columns: dict[str, Any]) -> Outcome:
    """What is there after so many epochs of a longer training."""
    return stored(train_stack(configured(*words, f"trainer.max_epochs={epoch}"), columns))


@pytest.mark.parametrize("data", [("data=post",), ("data=sum", *SMALL)])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_longer_training_is_as_if_it_had_been_asked_for_at_once(optimizer: str, data: tuple[str, ...]) -> None:
    words = (f"optimizer={optimizer}", *data)
    whole = train_stack(configured(*words, f"trainer.max_epochs={EPOCHS}"), COLUMNS)
    for epoch in (1, 4):
        start = cut_at(epoch, words, COLUMNS)
        assert_same(train_stack(configured(*words, f"trainer.max_epochs={EPOCHS}"), COLUMNS, start=start), whole)


@pytest.mark.parametrize(
    "words",
    [
        ("optimizer.momentum=0.9", "optimizer.nesterov=true"),
        ("optimizer=adam", "optimizer.amsgrad=true"),
        ("optimizer=rmsprop", "optimizer.centered=true", "optimizer.momentum=0.5"),
        ("trainer.gradient_clip_val=0.5",),
        ("trainer.precision=64-true",),
        ("++trainer.check_val_every_n_epoch=3",),
        ("data.num_val=0",),
        ("optimizer.lr=1e3",),
        ("data.num_train=1", "optimizer=adam"),  # one target has no variance: R2 of the training set is never defined
    ],
    ids=lambda words: words[0],
)
def test_whatever_it_trains_with(words: tuple[str, ...]) -> None:
    columns = {"seed": [0, 1, 7]} if words[0].startswith("optimizer.lr") else COLUMNS
    words = ("data=sum", *SMALL, *words)
    whole = train_stack(configured(*words, f"trainer.max_epochs={EPOCHS}"), columns)
    for epoch in (1, 3, 5, EPOCHS):
        start = cut_at(epoch, words, columns)
        assert_same(train_stack(configured(*words, f"trainer.max_epochs={EPOCHS}"), columns, start=start), whole)


def test_runs_that_have_diverged_stay_as_they_are() -> None:
    """With the epoch and the reason that an earlier session found, beside those that go on."""
    columns = {"seed": [0, 1, 7, 3], "optimizer.lr": [0.01, 1e3, 1e30, 0.02]}
    words = ("data=post",)
    whole = train_stack(configured(*words, "trainer.max_epochs=12"), columns)
    assert whole.status.count("diverged") == 2
    for epoch in (1, 3, 8):
        start = cut_at(epoch, words, columns)
        assert_same(train_stack(configured(*words, "trainer.max_epochs=12"), columns, start=start), whole)


def test_where_all_have_diverged_nothing_is_trained() -> None:
    columns = {"seed": [0, 1], "optimizer.lr": [1e30, 1e25]}
    start = cut_at(3, ("data=post",), columns)
    assert train_stack(configured("data=post", "trainer.max_epochs=9"), columns, start=start) is not None
    assert_same(train_stack(configured("data=post", "trainer.max_epochs=9"), columns, start=start), start)


class Cut(Callback):
    """Ends the training with an error in an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch + 1 == self.epoch:
            raise RuntimeError("something of the user's")


@pytest.mark.parametrize("runs", [[0, 1, 2], [2], [1, 0]])
def test_some_of_the_runs_go_on_without_the_others(runs: list[int]) -> None:
    """From what an error has left, as from what was finished."""
    cfg = configured("data=sum", *SMALL, "optimizer=adam", f"trainer.max_epochs={EPOCHS}")
    whole = train_stack(cfg, COLUMNS)
    attempt = attempt_stack(cfg, COLUMNS, [Cut(4)])
    assert attempt.error is not None and attempt.outcome is not None and len(attempt.outcome.steps) == 3
    own = {key: [values[run] for run in runs] for key, values in COLUMNS.items()}
    start = take_outcome(stored(attempt.outcome), runs, 1.0)
    assert_same(train_stack(cfg, own, start=start), take_outcome(whole, runs, 1.0))


def test_what_is_kept_now_and_then_is_enough_to_go_on_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is never that of the last epoch, whose outcome comes anyway."""
    monkeypatch.setattr(keeping, "SECONDS_BETWEEN", 0)
    cfg = configured("data=sum", *SMALL, "optimizer=adam", f"trainer.max_epochs={EPOCHS}")
    kept: list[Outcome] = []
    whole = train_stack(cfg, COLUMNS, keep=kept.append)
    assert [len(outcome.steps) for outcome in kept] == list(range(1, EPOCHS))
    assert set(kept[0].status) == {"interrupted"}
    for outcome in kept:
        assert_same(train_stack(cfg, COLUMNS, start=stored(outcome)), whole)


def test_an_error_before_the_first_epoch_has_ended_leaves_its_beginning() -> None:
    cfg = configured("data=sum", *SMALL, "optimizer=adam", f"trainer.max_epochs={EPOCHS}")
    attempt = attempt_stack(cfg, COLUMNS, [Cut(1)])
    assert attempt.error is not None
    start = None if attempt.outcome is None or not attempt.outcome.steps else stored(attempt.outcome)
    assert_same(train_stack(cfg, COLUMNS, start=start), train_stack(cfg, COLUMNS))


def test_frozen_weights_go_on_as_they_are() -> None:
    words = ("data=sum", *SMALL, "optimizer=adam")
    network = {"_target_": "networks.Deeper", "frozen": True}
    whole, first = (
        train_stack(configured(*words, f"trainer.max_epochs={epochs}", network=network), COLUMNS)
        for epochs in (EPOCHS, 2)
    )
    cfg = configured(*words, f"trainer.max_epochs={EPOCHS}", network=network)
    assert_same(train_stack(cfg, COLUMNS, start=stored(first)), whole)


def test_a_signal_while_it_is_kept_ends_the_stack_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was kept, and what the interruption leaves, are both gone on from to the same end."""
    monkeypatch.setattr(keeping, "SECONDS_BETWEEN", 0)
    cfg = configured("data=sum", *SMALL, "optimizer=adam", f"trainer.max_epochs={EPOCHS}")
    whole = train_stack(cfg, COLUMNS)
    kept: list[Outcome] = []

    def keep(outcome: Outcome) -> None:
        kept.append(outcome)
        if len(kept) == 2:
            signal.raise_signal(signal.SIGTERM)

    for name, value in {"_received": [], "_working": True}.items():
        monkeypatch.setattr(signals, name, value)
    before = {signum: signal.getsignal(signum) for signum in signals.SIGNALS}
    try:
        signals.install()
        outcome = train_stack(cfg, COLUMNS, keep=keep)
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
    monkeypatch.setattr(signals, "_received", [])
    assert outcome.interruption is not None and set(outcome.status) == {"interrupted"}
    assert 2 <= len(outcome.steps) < EPOCHS
    for start in (kept[-1], outcome):
        assert_same(train_stack(cfg, COLUMNS, start=stored(start)), whole)


@pytest.mark.parametrize("numbers", [{"optimizer.lr": [0.01] * 5}, {"optimizer.momentum": [0.0, 0.9, 0.5, 0.0, 0.9]}])
def test_a_stack_that_raises_is_halved_until_the_run_that_raises_is_alone(
    numbers: dict[str, list[float]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The others go on from their last completed epoch, and come to the same numbers; it is said once."""
    columns = {"seed": [0, 1, 2, 3, 4], **numbers}
    cfg = configured("data=post", f"trainer.max_epochs={EPOCHS}")
    whole = train_stack(cfg, columns)
    starts: list[int] = []

    def third_fails(cfg: Any, own: Any, _: Any, directory: Any, initial: Any, start: Any, *rest: Any) -> Attempt:
        starts.append(0 if start is None else len(start.steps))
        return attempt_stack(cfg, own, [Cut(4)] if 2 in own["seed"] else [], directory, initial, start, *rest)

    monkeypatch.setattr(stacks, "attempt_stack", third_fails)
    found = list(train_in_stacks(cfg, columns))
    assert [(list(runs), outcome is None) for runs, outcome in found] == [
        ([0, 1], False),
        ([2], True),
        ([3, 4], False),
    ]
    assert starts[0] == 0 and set(starts[1:]) == {3}
    for runs, outcome in found:
        if outcome is not None:
            assert_same(outcome, take_outcome(whole, list(runs), 1.0))
    (line,) = [message for message in caplog.messages if "halved" in message]
    assert "a stack of 5 runs failed in epoch 4 (RuntimeError: something of the user's)" in line


def test_lightnings_own_checkpoint_of_a_stack_holds_its_optimizers_state(tmp_path: Any) -> None:
    """Each weight's slots, by torch's own rules, and the number of steps."""
    saved: list[dict[str, Any]] = []

    class Save(Callback):
        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            saved.append(trainer.optimizers[0].state_dict())

    cfg = configured("data=sum", *SMALL, "optimizer=adam", "trainer.max_epochs=3")
    outcome = train_stack(cfg, COLUMNS, [Save()])
    (state,) = saved
    assert state["param_groups"][0]["num_steps"] == outcome.steps[-1]
    for number, name in enumerate(outcome.last.weights):
        assert torch.equal(state["state"][number]["exp_avg"], outcome.last.optimizer["exp_avg"][name])


def test_a_compiled_stack_goes_on_as_well() -> None:
    words = ("data=sum", *SMALL, "trainer.compile=true", "optimizer=adam")
    whole = train_stack(configured(*words, f"trainer.max_epochs={EPOCHS}"), COLUMNS)
    start = cut_at(3, words, COLUMNS)
    assert_same(train_stack(configured(*words, f"trainer.max_epochs={EPOCHS}"), COLUMNS, start=start), whole)
