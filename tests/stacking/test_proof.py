"""What users do to networks, data and the Regressor: runs of a stack are as alone, or they train one by one."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from conftest import composed
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping
from omegaconf import DictConfig
from torch import Tensor

from simplenn.command.proofs import Proofs
from simplenn.config.checking import check_config
from simplenn.groups.columns import config_of
from simplenn.groups.run_group import RunGroup
from simplenn.regressor import Regressor
from simplenn.setup import build_run
from simplenn.stacking import Proof, engine, proof, prove, train_stack
from simplenn.stacking.agreement import first_difference, is_exact
from simplenn.stacking.engine import with_compiler
from simplenn.stacking.proof import chosen
from simplenn.training import trainer as trainer_module

COLUMNS = {"seed": [0, 1, 2], "optimizer.lr": [0.003, 0.01, 0.02]}
EQUAL = None


def configured(*overrides: str, model: Any = None, data: Any = None) -> DictConfig:
    cfg = composed(
        "quiet=true", "trainer=cpu", "data.num_train=48", "data.num_val=16", "trainer.max_epochs=3", *overrides
    )
    cfg.allow = ["networks"]
    if model is not None:
        cfg.model = {"_target_": f"networks.{model[0]}", **model[1]}
    if data is not None:
        cfg.data._target_ = f"networks.{data}"
    return check_config(cfg)


def assert_equal_or_single(cfg: DictConfig, reason: str | None, columns: dict[str, list[Any]] = COLUMNS) -> None:
    """Holds every run of the whole stack against the run alone, where the proof lets it pass."""
    found = prove(cfg, columns).reason
    assert found == reason if reason is None else reason in (found or ""), found
    if found is not None:
        return
    outcome = train_stack(cfg, columns)
    for run in range(len(columns["seed"])):
        one = config_of(cfg, columns, run)
        regressor, _ = build_run(one)
        single = proof._train_single(one, {})
        difference = first_difference(
            outcome, run, single, regressor.state_dict(), exact=is_exact(one, regressor.network)
        )
        assert difference is None, str(difference)


NETWORKS: list[tuple[str, dict[str, Any], str | None]] = [
    ("Plain", {}, EQUAL),
    ("Mask", {}, "network.mask depends on the seed"),
    ("Order", {}, "network.order depends on the seed"),
    ("Scale", {}, "network.scale depends on the seed"),
    ("RandomActivation", {}, "network.activation depends on the seed"),
    ("RandomFeatures", {}, "network.features depends on the seed"),
    ("LessInitial", {}, "network.weights_at_first depends on the seed"),
    ("ListOfLayers", {}, "network.extra depends on the seed"),
    ("OfTheClass", {}, "differs from the same run trained by itself"),
    ("BatchNorm", {"running": True}, "the network has buffers"),
    ("BatchNorm", {"running": False}, EQUAL),
    ("LayerNorm", {}, EQUAL),
    ("MovingAverage", {}, "network.average changes while the network trains"),
    ("CountsCalls", {}, "network.calls changes while the network trains"),
    ("Lazy", {}, "the network makes its weights only when it is first called"),
    ("Embedding", {}, EQUAL),
    ("Embedding", {"padding_idx": 0}, "differs from the same run trained by itself"),
    ("Attention", {"own": True}, EQUAL),
    ("Attention", {"own": False}, EQUAL),
    ("Recurrent", {"kind": "RNN"}, "training them as a stack fails"),
    ("Recurrent", {"kind": "GRU"}, "training them as a stack fails"),
    ("Recurrent", {"kind": "LSTM"}, "training them as a stack fails"),
    ("OwnRecurrence", {}, EQUAL),
    ("Tied", {}, "the network uses one weight twice"),
    ("Parametrized", {"kind": "weight_norm"}, EQUAL),
    ("Parametrized", {"kind": "orthogonal"}, "buffers"),
    ("Parametrized", {"kind": "spectral_norm"}, "buffers"),
    ("Hooked", {"kind": "forward"}, EQUAL),
    ("Hooked", {"kind": "backward"}, "the network has backward hooks"),
    ("Hooked", {"kind": "weight"}, "the network's weights have hooks"),
    ("InPlace", {}, EQUAL),
    ("Clamped", {}, "training them as a stack fails"),
    ("Alive", {}, EQUAL),
    ("Scalar", {}, EQUAL),
    ("Penalised", {}, "differs from the same run trained by itself"),
    ("Dropout", {}, "the network draws random numbers"),
    ("OwnRandom", {}, "network.random depends on the seed"),
    ("NumpyNoise", {}, "the network draws from the global random state"),
    ("Branch", {}, "training them as a stack fails"),
    ("Unused", {}, "the loss doesn't depend on every weight"),
    ("Convolution", {}, EQUAL),
]


@pytest.mark.parametrize(("name", "arguments", "reason"), NETWORKS, ids=lambda value: str(value)[:24])
def test_a_network_stacks_as_alone_or_not_at_all(name: str, arguments: dict[str, Any], reason: str | None) -> None:
    """Whatever a network keeps, draws, shares or changes: its runs are as alone, or train one by one, with a reason."""
    assert_equal_or_single(configured(model=(name, arguments)), reason)


@pytest.mark.filterwarnings("ignore:Found 1 module")  # which is what is tried
@pytest.mark.parametrize("once", [True, False])
@pytest.mark.parametrize("every", [1, 3])
def test_the_parts_of_a_network_are_in_the_mode_that_they_have_alone(once: bool, every: int) -> None:
    """A part that was set to eval() trains so after a validation, too, however rare those are."""
    cfg = configured(
        f"trainer.check_val_every_n_epoch={every}", "trainer.max_epochs=5", model=("EvalPart", {"once": once})
    )
    assert_equal_or_single(cfg, EQUAL)


def test_weights_of_two_precisions_take_numbers_of_their_own() -> None:
    """Swept numbers are rounded to the precision of the weight that they change."""
    columns = COLUMNS | {"optimizer.betas": [[0.9, 0.99], [0.5, 0.9], [0.8, 0.99]]}
    assert_equal_or_single(configured("optimizer=adam", model=("TwoPrecisions", {})), EQUAL, columns)


DATA: list[tuple[str, str | None]] = [
    ("Products", EQUAL),
    ("FromGlobalState", "depends on the seed"),
    ("FromItsRunsSeed", "depends on the seed"),
    ("Unseeded", "drawn anew each time"),
    ("ChangesSamples", "the data module's train is not a TensorDataset"),
    ("OwnBatches", "OwnBatches has its own make_batches"),
    ("OwnBatchesSet", "make_batches"),
    ("OwnLoader", "OwnLoader has its own train_dataloader"),
    ("NoisyTransfer", "NoisyTransfer has its own on_after_batch_transfer"),
]


@pytest.mark.parametrize(("name", "reason"), DATA)
def test_data_is_the_same_for_all_runs_or_nothing_is_stacked(name: str, reason: str | None) -> None:
    """Data that a stack would give to all runs alike is the data that each has alone."""
    assert_equal_or_single(configured(data=name), reason)


def _penalised(self: Regressor, batch: Any, batch_idx: int) -> Tensor:
    return self._step(batch, "train") + 1e-5 * sum(weight.abs().sum() for weight in self.parameters())


def _scaled(self: Regressor, batch: Any, stage: str) -> Tensor:
    return step(self, (batch[0] * 0.5, batch[1]), stage)


def _small_penalty(self: Regressor, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
    found = metrics(self, prediction, target)
    return found | {"loss": found["loss"] + 1e-5 * sum((weight**2).sum() for weight in self.parameters())}


def _norm(self: Regressor, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
    return metrics(self, prediction, target) | {"norm": torch.cat([w.flatten() for w in self.parameters()]).norm()}


def _by_epoch(self: Regressor, batch: Any, batch_idx: int) -> Tensor:
    return self._step(batch, "train") * (1 + self.current_epoch) / (1 + self.global_step)


def _by_trainer(self: Regressor, batch: Any, batch_idx: int) -> Tensor:
    return self._step(batch, "train") * self.trainer.optimizers[0].param_groups[0]["lr"]


def _by_batch(self: Regressor, batch: Any, batch_idx: int) -> Tensor:
    return self._step(batch, "train") * (2 if batch_idx == 0 else 1)


def _logs_more(self: Regressor, batch: Any, batch_idx: int) -> Tensor:
    loss = self._step(batch, "train")
    self.log("train/double", 2 * loss, on_step=False, on_epoch=True, batch_size=len(batch[0]))
    return loss


def _logs_the_last(self: Regressor, batch: Any, batch_idx: int) -> Tensor:
    loss = self._step(batch, "train")
    self.log("train/now", loss)
    return loss


def _logs_now_and_then(self: Regressor, batch: Any, batch_idx: int) -> Tensor:
    loss = self._step(batch, "train")
    if self.current_epoch == 2:
        self.log("train/double", 2 * loss, on_step=False, on_epoch=True, batch_size=len(batch[0]))
    return loss


def _keeps_the_loss(self: Regressor, batch: Any, batch_idx: int) -> Tensor:
    loss = self._step(batch, "train")
    self.before = loss.detach()
    return loss


def _counts(self: Regressor, batch: Any, batch_idx: int) -> Tensor:
    vars(self)["count"] = vars(self).get("count", 0) + 1
    return self._step(batch, "train") / vars(self)["count"]


def _two_groups(self: Regressor) -> Any:
    first, *rest = self.parameters()
    return torch.optim.SGD([{"params": [first], "lr": 0.1}, {"params": rest}], lr=0.01)


def _last_layer(self: Regressor) -> Any:
    return torch.optim.SGD(list(self.parameters())[2:], lr=0.01)


def _half_lr(self: Regressor) -> Any:
    optimizer = configure(self)
    optimizer.param_groups[0]["lr"] /= 2
    return optimizer


def _scheduled(self: Regressor) -> Any:
    optimizer = configure(self)
    return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]


def _clamps(self: Regressor) -> None:
    for weight in self.parameters():
        weight.data.clamp_(-1, 1)


def _changes_lr(self: Regressor) -> None:
    self.trainer.optimizers[0].param_groups[0]["lr"] *= 0.9


def _decays_in_the_middle(self: Regressor) -> Any:
    optimizer = configure(self)
    if 0.005 < optimizer.defaults["lr"] < 0.015:
        optimizer.param_groups[0]["weight_decay"] = 0.1
    return optimizer


def _own_step(self: Regressor) -> Any:
    optimizer: Any = configure(self)
    vars(optimizer)["step"] = optimizer.step
    return optimizer


def _schedules_by_itself(self: Regressor) -> Any:
    optimizer = configure(self)
    optimizer.param_groups[0]["initial_lr"] = optimizer.defaults["lr"]
    return optimizer


def _hooks_into_gradients(self: Regressor, batch: Any, batch_idx: int) -> Tensor:
    loss = self._step(batch, "train")
    loss.register_hook(lambda grad: grad.clamp(-0.01, 0.01))
    return loss


def _loss_of_one_element(self: Regressor, batch: Any, batch_idx: int) -> Tensor:
    return self._step(batch, "train").reshape(1)


def _own_optimizer_step(self: Regressor, *arguments: Any, **named: Any) -> None:
    return None


step, metrics, configure = Regressor._step, Regressor.metrics, Regressor.configure_optimizers
EDITS: list[tuple[str, Callable[..., Any], str | None]] = [
    ("training_step", _penalised, EQUAL),
    ("_step", _scaled, EQUAL),
    ("metrics", _small_penalty, EQUAL),
    ("metrics", _norm, EQUAL),
    ("training_step", _by_epoch, EQUAL),
    ("training_step", _by_batch, EQUAL),
    ("training_step", _logs_more, EQUAL),
    ("training_step", _logs_now_and_then, EQUAL),
    ("training_step", _by_trainer, "the Regressor reads trainer.optimizers"),
    ("training_step", _logs_the_last, "train/now is not logged as train/..., a mean over"),
    ("training_step", _keeps_the_loss, "before changes while the network trains"),
    ("training_step", _counts, "count changes while the network trains"),
    ("training_step", _loss_of_one_element, EQUAL),
    ("training_step", _hooks_into_gradients, "a step registers hooks on gradients"),
    ("configure_optimizers", _decays_in_the_middle, "configure_optimizers sets weight_decay"),
    ("configure_optimizers", _own_step, "the optimizer has a step of its own"),
    ("configure_optimizers", _schedules_by_itself, "configure_optimizers sets initial_lr"),
    ("configure_optimizers", _two_groups, "does not have all weights in one parameter group"),
    ("configure_optimizers", _last_layer, "does not have all weights in one parameter group"),
    ("configure_optimizers", _half_lr, "configure_optimizers sets lr"),
    ("configure_optimizers", _scheduled, "configure_optimizers returns tuple"),
    ("on_train_epoch_start", _clamps, "the Regressor has its own on_train_epoch_start"),
    ("on_train_epoch_start", _changes_lr, "the Regressor has its own on_train_epoch_start"),
    ("optimizer_step", _own_optimizer_step, "the Regressor has its own optimizer_step"),
]


@pytest.mark.parametrize(("name", "edit", "reason"), EDITS, ids=[edit.__name__ for _, edit, _ in EDITS])
def test_an_edited_regressor_is_followed_or_trains_alone(
    name: str, edit: Callable[..., Any], reason: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a stack follows of an edited Regressor is as alone to the bit; what it doesn't is told by its structure."""
    monkeypatch.setattr(Regressor, name, edit, raising=False)
    assert_equal_or_single(configured(), reason)


class Silent(Callback):
    pass


@pytest.mark.parametrize("callback", [EarlyStopping("val/loss"), Silent()])
def test_a_callback_of_the_users_own_keeps_runs_single(callback: Callback, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Trainer that does something unknown trains its runs one by one."""
    made = trainer_module.L.Trainer

    def make(*arguments: Any, callbacks: list[Callback], **named: Any) -> Trainer:
        return made(*arguments, callbacks=[callback, *callbacks], **named)

    monkeypatch.setattr(trainer_module.L, "Trainer", make)
    assert_equal_or_single(configured(), f"the Trainer has {type(callback).__name__}")


def test_the_proof_names_run_epoch_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack that trains on something else is noticed, with the run, the epoch and how far it is off."""
    honest = proof.train_stack

    def off(cfg: DictConfig, columns: Any, **others: Any) -> Any:
        outcome = honest(cfg, columns, **others)
        outcome.curves["train/loss"][1, 1] += 1e-6
        return outcome

    monkeypatch.setattr(proof, "train_stack", off)
    reason = prove(configured(), COLUMNS, lambda run: f"seed={run}").reason
    assert reason is not None and reason.startswith("in a stack, seed=")
    assert "differs from the same run trained by itself: train/loss differs by" in reason
    assert reason.endswith("in epoch 2")


def test_a_proof_takes_the_extremes_and_two_seeds() -> None:
    """Among the chosen runs are each number's lowest and highest value and two seeds; a grid needs two runs."""
    grid = {"seed": [0, 1] * 4, "optimizer.lr": [0.1, 0.1, 1.0, 1.0] * 2, "optimizer.momentum": [0.0] * 4 + [0.9] * 4}
    assert len(chosen(grid)) == 2
    scattered = {"seed": list(range(9)), "optimizer.lr": [5, 1, 3, 9, 7, 2, 4, 8, 6], "optimizer.eps": [1.0] * 9}
    runs = chosen(scattered)
    assert {1, 9} <= {scattered["optimizer.lr"][run] for run in runs} and len(runs) <= 4


def test_a_run_without_its_like_trains_alone() -> None:
    """There is nothing to stack."""
    reason = "no other run differs from it only in the seed and the optimizer's numbers"
    assert prove(configured(), {"seed": [0]}).reason == reason


def test_a_compiled_stack_proves_itself_too(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """What is compiled and isn't as alone trains without the compiler; a line says so."""
    honest = proof.train_stack

    def compiled(cfg: DictConfig, columns: Any, **others: Any) -> Any:
        outcome = honest(with_compiler(cfg, False), columns, **others)
        if cfg.trainer.compile:
            outcome.last.weights["network.layer2.bias"][0] += 1
        return outcome

    monkeypatch.setattr(proof, "train_stack", compiled)
    with caplog.at_level(logging.INFO, "simplenn.stacking.proof"):
        found = prove(configured("trainer.compile=true"), COLUMNS)
    assert found.reason is None and not found.compiles
    (record,) = caplog.records
    beginning = "trainer.compile=true is ignored: compiled, a run differs from the same run trained by itself: "
    assert record.message.startswith(beginning + "network.layer2")


def test_the_compiler_is_tried_where_it_pays(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """By trainer.compile=auto, for many run-steps only, and where a run has its own numbers to the bit; else nothing is
    said, as nobody has asked for it."""
    cfg, columns = configured("trainer.compile=auto"), COLUMNS
    num_run_steps = len(columns["seed"]) * cfg.trainer.max_epochs * 2
    honest = proof.train_stack
    tried: list[bool] = []

    def trained(cfg: DictConfig, columns: Any, **others: Any) -> Any:
        tried.append(cfg.trainer.compile)
        outcome = honest(with_compiler(cfg, False), columns, **others)
        if cfg.trainer.compile and len(tried) > 6:
            outcome.last.weights["network.layer2.bias"][0] += 1e-6
        return outcome

    monkeypatch.setattr(proof, "train_stack", trained)
    with caplog.at_level(logging.INFO, "simplenn.stacking.proof"):
        assert not prove(cfg, columns).compiles and tried == [False]
        monkeypatch.setattr(engine, "PAYS_FROM", num_run_steps + 1)
        assert not prove(cfg, columns).compiles and tried == [False] * 2
        monkeypatch.setattr(engine, "PAYS_FROM", num_run_steps)
        assert prove(cfg, columns).compiles and tried == [False] * 4 + [True]
        assert not prove(cfg, columns).compiles and tried[5:] == [False, False, True]
    assert caplog.records == []


def test_witnesses_are_held_against_torchs_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """From all over the group: compiled code that is right for the runs which train by themselves may be wrong for
    others."""
    cfg, honest = configured("trainer.compile=auto"), proof.train_stack
    columns = {"seed": list(range(1000)), "optimizer.lr": [0.01] * 1000}
    monkeypatch.setattr(engine, "PAYS_FROM", 0)

    def trained(cfg: DictConfig, columns: Any, **others: Any) -> Any:
        outcome = honest(with_compiler(cfg, False), columns, **others)
        if cfg.trainer.compile and wrong in columns["seed"]:
            outcome.curves["train/loss"][-1, columns["seed"].index(wrong)] += 1e-7
        return outcome

    monkeypatch.setattr(proof, "train_stack", trained)
    for wrong in (-1, 992, 512):
        assert prove(cfg, columns).compiles == (wrong < 0)


def test_the_batches_of_a_sweep_share_its_groups_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of a group is proven with the group; what lies beyond it is proven anew."""
    made: list[int] = []

    def count(cfg: DictConfig, columns: Any, *_: Any) -> Proof:
        made.append(len(columns["seed"]))
        return Proof(None)

    monkeypatch.setattr("simplenn.stacking.prove", count)
    cfg, proofs = configured(), Proofs()
    whole, *parts = (
        RunGroup(cfg, seeds, [], {"seed": seeds, "optimizer.lr": rates}, [str(seed) for seed in seeds], checked=cfg)
        for seeds, rates in (([0, 1, 2], [1, 2, 3]), ([0, 1], [1, 2]), ([2], [3]), ([2], [4]), ([5], [2]))
    )
    proofs.plan(whole)
    for part in parts:
        proofs.of(part)
    assert made == [3, 1, 1]


def test_data_is_compared_for_seeds_far_apart() -> None:
    """Not only for the first two."""
    columns = {"seed": [0, 1, 2, 3, 300], "optimizer.lr": [0.003, 0.02, 0.01, 0.01, 0.01]}
    assert_equal_or_single(configured(data="FromItsRunsHundred"), "depends on the seed", columns)
