"""Trains R runs of one configuration at once, by one `Trainer.fit`, or by several where they don't fit in memory.
Knows nothing of Hydra or of files.

Shapes: R runs, T epochs.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig
from torch import Tensor

from simplenn import signals
from simplenn.data import TensorDataModule
from simplenn.groups.outcome import Outcome, Snapshot
from simplenn.setup import build_run, share_data
from simplenn.signals import Interrupted
from simplenn.stacking.batches import same_batches
from simplenn.stacking.columns import Columns, num_runs_of, seeds_of
from simplenn.stacking.engine import stack_class, with_compiler
from simplenn.stacking.initial_weights import InitialWeights
from simplenn.stacking.memory import default_max_stack, is_out_of_memory, release
from simplenn.stacking.optimizer import hyperparameters
from simplenn.stacking.reasons import CannotCompile
from simplenn.stacking.recorder import CheckpointCapture, Recorded, StackRecorder
from simplenn.stacking.stack import Stack
from simplenn.training import make_trainer, without_tips

log = logging.getLogger(__name__)


def train_in_stacks(
    cfg: DictConfig,
    columns: Columns,
    max_stack: int | None = None,
    callbacks: Sequence[Callback] = (),
    directory: Path | None = None,
    initial: InitialWeights | None = None,
) -> Iterator[tuple[range, Outcome]]:
    """Trains the runs in stacks of at most `max_stack`; yields the numbers of each stack's runs and their outcome.

    A stack that doesn't fit in memory is halved and tried again. A stack that was interrupted is the last.
    """
    num_runs = num_runs_of(columns)
    size = max_stack or default_max_stack(cfg, columns)
    initial = initial or InitialWeights(cfg)
    start = 0
    while start < num_runs:
        runs = range(start, min(start + size, num_runs))
        own = {key: values[runs.start : runs.stop] for key, values in columns.items()}
        try:
            outcome = train_stack(cfg, own, callbacks, directory, initial)
        except CannotCompile as error:
            log.info("trainer.compile=true is ignored: %s", error)
            cfg = with_compiler(cfg, False)
            continue
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error) or len(runs) == 1:
                raise
            outcome = None
        # Not within the handler: while an error is being handled, its traceback keeps the stack's tensors alive.
        if outcome is None:
            size = -(-len(runs) // 2)
            log.info("a stack of %d runs doesn't fit in memory; trying again with %d", len(runs), size)
            release()
            continue
        yield runs, outcome
        if outcome.interruption is not None:
            return
        start = runs.stop


def train_stack(
    cfg: DictConfig,
    columns: Columns,
    callbacks: Sequence[Callback] = (),
    directory: Path | None = None,
    initial: InitialWeights | None = None,
) -> Outcome:
    """Trains the R runs of `columns` as one stack; that they are stackable is for `proof.prove` to find out.

    A signal ends the training, and is in the outcome for the caller to raise again; one that comes before training
    begins is raised. Raises `CannotCompile` where `trainer.compile` asks for what can't be done.
    """
    begun = time.monotonic()
    kind = stack_class(cfg)
    seeds = seeds_of(cfg, columns)
    regressor, data = build_run(cfg, share_data(cfg))
    assert isinstance(data, TensorDataModule)
    data.make_batches = partial(kind.batches_class, seeds)
    optimizer = regressor.configure_optimizers()  # of one run: of which kind it is, and its defaults
    stack = kind(
        regressor,
        (initial or InitialWeights(cfg))(seeds),
        (type(optimizer), hyperparameters(optimizer.defaults, columns)),
        shared=same_batches(seeds, data.shuffle),
    )
    recorder = StackRecorder()
    trainer = make_trainer(cfg.trainer, directory or Path.cwd(), [recorder, *callbacks], CheckpointCapture())
    interruption = None
    try:
        with without_tips():
            trainer.fit(stack, datamodule=data)
    except (Interrupted, Exception) as error:
        interruption = signals.cause_of(error)
        if interruption is None:
            raise
        if recorder.recorded is None:  # training has not begun
            raise interruption from error
    finally:
        data.trainer = None  # the data outlive the stack, and must not keep its tensors alive
        del data.make_batches
    assert recorder.recorded is not None
    lrs = torch.tensor(columns.get("optimizer.lr", [optimizer.defaults["lr"]] * len(seeds)), dtype=torch.float64)
    return _outcome(stack, recorder, recorder.recorded, lrs, interruption, time.monotonic() - begun)


def _outcome(
    stack: Stack,
    recorder: StackRecorder,
    recorded: Recorded,
    lrs: Tensor,
    interruption: Interrupted | None,
    seconds: float,
) -> Outcome:
    """What the recorder has, on the CPU and by the names that a single run has for it; `lrs` is [R]."""
    diverged = recorder.divergence.epochs_and_messages()
    of_others = ("done", "") if interruption is None else ("interrupted", interruption.signal_name)
    endings = [("diverged", message) if epoch else of_others for epoch, message in diverged]
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
        seconds=seconds,
        interruption=interruption,
    )


def _curves(rows: Sequence[Mapping[str, Tensor]], last_epoch: Tensor, lrs: Tensor) -> dict[str, Tensor]:
    """[T, R] by metric, from the T epochs' [R]; with the learning rate, as a single run's rows have it."""
    names = sorted({name for row in rows for name in row})
    nothing = torch.full_like(lrs, torch.nan)
    curves = {name: torch.stack([row.get(name, nothing).cpu() for row in rows]) for name in names}
    if rows:
        has_row = torch.arange(1, len(rows) + 1)[:, None] <= last_epoch
        curves["lr"] = torch.where(has_row, lrs, torch.nan)
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
