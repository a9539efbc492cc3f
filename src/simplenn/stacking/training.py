"""Trains R runs of one configuration at once, by one `Trainer.fit`. Knows nothing of Hydra or of files.

Shapes: R runs, T epochs.
"""

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial, wraps
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec

import torch
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig
from torch import Tensor

from simplenn import signals
from simplenn.data import TensorDataModule
from simplenn.groups.columns import Columns, seeds_of
from simplenn.groups.outcome import Outcome, Snapshot
from simplenn.metric import LEARNING_RATE
from simplenn.setup import build_run, share_data
from simplenn.signals import Interrupted
from simplenn.stacking.batches import StackBatches, same_batches
from simplenn.stacking.continuation import checkpoint_of, has_nothing_left, start_of
from simplenn.stacking.engine import stack_class
from simplenn.stacking.initial_weights import InitialWeights
from simplenn.stacking.keeping import IN_TRAINING, Keeping
from simplenn.stacking.optimizer import hyperparameters
from simplenn.stacking.reasons import CannotCompile
from simplenn.stacking.recorder import CheckpointCapture, StackRecorder
from simplenn.stacking.stack import Stack
from simplenn.training import make_trainer, without_tips

P = ParamSpec("P")


class Attempt(NamedTuple):
    """What became of training a stack: its outcome, or where it raised `error`, what its runs had after their last
    completed epoch, if there was one."""

    outcome: Outcome | None
    error: Exception | None = None


def attempt_stack(
    cfg: DictConfig,
    columns: Columns,
    callbacks: Sequence[Callback] = (),
    directory: Path | None = None,
    initial: InitialWeights | None = None,
    start: Outcome | None = None,
    keep: Callable[[Outcome], None] | None = None,
    known: dict[Hashable, Any] | None = None,
) -> Attempt:
    """Trains the R runs of `columns` as one stack; that they are stackable is for `proof.prove` to find out.

    It goes on from `start`, the outcome of just these runs, as if they had been trained at once. `keep` is called about
    once a minute, at an epoch's end, with what another training could go on from. `known` is as `Stack` has it.

    A signal ends the training, and is in the outcome for the caller to raise again; one that comes before training
    begins is raised. An error is returned: `CannotCompile` where `trainer.compile` asks for what can't be done.
    """
    begun = time.monotonic()
    if start is not None and not start.steps:
        start = None  # not one epoch was completed
    if start is not None and has_nothing_left(start, cfg.trainer.max_epochs):
        return Attempt(_ended(start))
    try:
        stack, data, lrs = _made(cfg, columns, initial or InitialWeights(cfg), known)
    except CannotCompile as error:
        return Attempt(None, error)
    recorder = StackRecorder(start_of(start) if start is not None else None)

    def outcome(others: tuple[str, str], interruption: Interrupted | None = None) -> Outcome:
        """What has been recorded so far; `others` are status and message of the runs that haven't diverged."""
        seconds = time.monotonic() - begun + (start.seconds if start is not None else 0.0)
        return replace(_outcome(stack, recorder, lrs, others), seconds=seconds, interruption=interruption)

    keeping = [] if keep is None else [Keeping(lambda: keep(outcome(IN_TRAINING)))]
    capture = CheckpointCapture(checkpoint_of(start, stack) if start is not None else None)
    trainer = make_trainer(cfg.trainer, directory or Path.cwd(), [recorder, *keeping, *callbacks], capture)
    # Lightning converts the weights too, but only after it has read the checkpoint into them.
    trainer.precision_plugin.convert_module(stack)
    try:
        with without_tips():
            trainer.fit(stack, datamodule=data, ckpt_path=None if start is None else "captured", weights_only=True)
    except (Interrupted, Exception) as error:
        interruption = signals.cause_of(error)
        if interruption is None and isinstance(error, Exception):
            has_epochs = recorder.recorded is not None and recorder.recorded.epochs > 0
            return Attempt(outcome(IN_TRAINING) if has_epochs else None, error)
        assert interruption is not None
        if recorder.recorded is None:  # training has not begun
            raise interruption from error
        return Attempt(outcome(("interrupted", interruption.signal_name), interruption))
    finally:
        data.trainer = None  # the data outlive the stack, and must not keep its tensors alive
        del data.make_batches
        # A Trainer's parts refer to it: until the collector comes by, it would keep all curves and weights in memory.
        vars(trainer).clear()
    return Attempt(outcome(("done", "")))


def _made(
    cfg: DictConfig, columns: Columns, initial: InitialWeights, known: dict[Hashable, Any] | None
) -> tuple[Stack, TensorDataModule, Tensor]:
    """The stack, its data and the runs' learning rates [R]. Raises `CannotCompile`."""
    kind = stack_class(cfg)
    seeds = seeds_of(cfg, columns)
    regressor, data = build_run(cfg, share_data(cfg))
    assert isinstance(data, TensorDataModule)
    data.make_batches = partial(StackBatches, seeds, draw=kind.orders_of)
    optimizer = regressor.configure_optimizers()  # of one run: of which kind it is, and its defaults
    stack = kind(
        regressor,
        initial(seeds),
        (type(optimizer), hyperparameters(optimizer.defaults, columns)),
        shared=same_batches(seeds, data.shuffle),
        known=known,
    )
    lrs = columns.get("optimizer.lr", [optimizer.defaults["lr"]] * len(seeds))
    return stack, data, torch.tensor(lrs, dtype=torch.float64)


def _raising(attempt: Callable[P, Attempt]) -> Callable[P, Outcome]:
    """The same function with the outcome as its result, which raises an error instead of returning it."""

    @wraps(attempt)
    def train(*arguments: P.args, **named: P.kwargs) -> Outcome:
        outcome, error = attempt(*arguments, **named)
        if error is not None:
            raise error
        assert outcome is not None
        return outcome

    return train


train_stack = _raising(attempt_stack)


def _ended(start: Outcome) -> Outcome:
    """The outcome as it is where its runs have nothing left to train."""
    is_going = [status == "interrupted" for status in start.status]
    return replace(
        start,
        status=["done" if going else status for going, status in zip(is_going, start.status, strict=True)],
        message=["" if going else message for going, message in zip(is_going, start.message, strict=True)],
        interruption=None,
    )


def _outcome(stack: Stack, recorder: StackRecorder, lrs: Tensor, others: tuple[str, str]) -> Outcome:
    """What the recorder has, on the CPU and by the names that a single run has for it; `lrs` is [R]."""
    recorded = recorder.recorded
    assert recorded is not None
    diverged = recorder.divergence.epochs_and_messages()
    endings = [("diverged", message) if epoch else others for epoch, message in diverged]
    steps = recorder.steps[: recorded.epochs]
    return Outcome(
        status=[status for status, _ in endings],
        message=[message for _, message in endings],
        epoch=[epoch or recorded.epochs for epoch, _ in diverged],
        steps=steps,
        curves=_curves(recorder.curves[: recorded.epochs], recorded.last_epoch.cpu(), lrs),
        last=_snapshot(stack, recorded.last, recorded.last_epoch, steps),
        best=_snapshot(stack, recorded.best, recorded.best_epoch, steps),
        skeletons={epoch: skeleton for epoch, skeleton in recorder.skeletons.items() if epoch <= recorded.epochs},
        seconds=0.0,
    )


def _curves(rows: Sequence[Mapping[str, Tensor]], last_epoch: Tensor, lrs: Tensor) -> dict[str, Tensor]:
    """[T, R] by metric, from the T epochs' [R]; with the learning rate, as a single run's rows have it."""
    names = sorted({name for row in rows for name in row})
    nothing = torch.full_like(lrs, torch.nan)
    curves = {name: torch.stack([row.get(name, nothing).cpu() for row in rows]) for name in names}
    if rows:
        has_row = torch.arange(1, len(rows) + 1)[:, None] <= last_epoch
        curves[LEARNING_RATE] = torch.where(has_row, lrs, torch.nan)
    return curves


def _snapshot(stack: Stack, state: Sequence[Tensor], epoch: Tensor, steps: Sequence[int]) -> Snapshot:
    """The stack's `state`, which each run had after `epoch` [R] epochs, as checkpoints of single runs would have it."""
    epoch = epoch.cpu().clone()
    step = torch.tensor([0, *steps])[epoch.clamp(min=0)]
    weights, slots = stack.by_name([tensor.cpu() for tensor in state])
    rule = stack.optimizer.rule
    if rule.counts_steps:
        trained = next(iter(slots.values()))
        slots = {"step": {name: step.to(torch.float32) for name in trained}} | slots
    absent = {slot: torch.full_like(epoch, rule.lazy, dtype=torch.bool) & (epoch <= 0) for slot in slots}
    for slot, runs in rule.absent.items():
        absent[slot] |= runs.cpu()
    return Snapshot(epoch, weights, slots, absent)
