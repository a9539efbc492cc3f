"""Trains a stack: R runs of one configuration by one `Trainer.fit`. Knows nothing of Hydra or of files.

Shapes: R runs, T epochs.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from simplenn import signals
from simplenn.data import TensorDataModule
from simplenn.groups.outcome import Outcome, Snapshot
from simplenn.setup import build_run, share_data
from simplenn.signals import Interrupted
from simplenn.stacking.batches import same_batches
from simplenn.stacking.engine import stack_class, with_compiler
from simplenn.stacking.initial_weights import InitialWeights
from simplenn.stacking.memory import default_max_stack, is_out_of_memory, release
from simplenn.stacking.optimizer import hyperparameters
from simplenn.stacking.reasons import CannotCompile
from simplenn.stacking.recorder import CheckpointCapture, Recorded, StackRecorder
from simplenn.stacking.stack import Stack
from simplenn.training.trainer import make_trainer, without_tips

log = logging.getLogger(__name__)

Columns = Mapping[str, Sequence[Any]]


def train_in_stacks(
    cfg: DictConfig,
    columns: Columns,
    max_stack: int | None = None,
    callbacks: Sequence[Callback] = (),
    directory: Path | None = None,
    initial: InitialWeights | None = None,
) -> Iterator[tuple[range, Outcome]]:
    """The runs of `columns` by stacks of at most `max_stack`, each with the places of its runs.

    A stack that doesn't fit in memory is halved and tried again. Ends with the first that is interrupted.
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
        if outcome is None:  # outside of the handler, whose traceback holds on to the stack
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
    """Trains the runs whose own values are in `columns`, R each, by full key; which must be stackable (see `proof`).

    A signal is told in the outcome, for the caller to raise again; one that comes before training begins is raised.
    Raises `CannotCompile` where `trainer.compile` can't be done.
    """
    begun = time.monotonic()
    kind = stack_class(cfg)
    num_runs = num_runs_of(columns)
    seeds = [int(seed) for seed in columns.get("seed", [cfg.seed] * num_runs)]
    regressor, data = build_run(cfg, share_data(cfg))
    assert isinstance(data, TensorDataModule)
    data.make_batches = partial(kind.batches_class, seeds)
    alone = regressor.configure_optimizers()
    stack = kind(
        regressor,
        (initial or InitialWeights(cfg))(seeds),
        (type(alone), hyperparameters(alone.defaults, columns)),
        shared=same_batches(seeds, data.shuffle),
    )
    recorder = StackRecorder()
    trainer = make_trainer(cfg.trainer, directory or Path.cwd(), [recorder, *callbacks], CheckpointCapture())
    signalled = None
    try:
        with without_tips():
            trainer.fit(stack, datamodule=data)
    except (Interrupted, Exception) as error:
        signalled = signals.cause_of(error)
        if signalled is None:
            raise
        if recorder.recorded is None:
            raise signalled from error
    assert recorder.recorded is not None
    lrs = columns.get("optimizer.lr", [alone.defaults["lr"]] * num_runs)
    return _outcome(stack, recorder, recorder.recorded, torch.tensor(lrs, dtype=torch.float64), signalled, begun)


def config_of(cfg: DictConfig, columns: Columns, run: int) -> DictConfig:
    """The configuration of one run of a group."""
    one = deepcopy(cfg)
    for key, values in columns.items():
        OmegaConf.update(one, key, values[run])
    return one


def num_runs_of(columns: Columns) -> int:
    """R; a configuration of which nothing differs is one run."""
    return len(next(iter(columns.values()), [None]))


def _outcome(
    stack: Stack, recorder: StackRecorder, recorded: Recorded, lrs: Tensor, signalled: Interrupted | None, begun: float
) -> Outcome:
    told = recorder.divergence.epochs_and_messages()
    undone = ("done", "") if signalled is None else ("interrupted", signalled.signal_name)
    ends = [("diverged", message) if epoch else undone for epoch, message in told]
    steps = recorder.steps[: recorded.epochs]
    return Outcome(
        status=[status for status, _ in ends],
        message=[message for _, message in ends],
        epoch=[epoch or recorded.epochs for epoch, _ in told],
        steps=steps,
        curves=_curves(recorder.curves[: recorded.epochs], recorded.last_epoch.cpu(), lrs),
        last=_snapshot(stack, recorded.last, recorded.last_epoch, steps),
        best=_snapshot(stack, recorded.best, recorded.best_epoch, steps),
        skeletons={epoch: skeleton for epoch, skeleton in recorder.skeletons.items() if epoch <= recorded.epochs},
        seconds=time.monotonic() - begun,
        interruption=signalled,
    )


def _curves(rows: Sequence[Mapping[str, Tensor]], last_epoch: Tensor, lrs: Tensor) -> dict[str, Tensor]:
    names = sorted({name for row in rows for name in row})
    nothing = torch.full_like(lrs, torch.nan)
    curves = {name: torch.stack([row.get(name, nothing).cpu() for row in rows]) for name in names}
    if rows:
        has_row = torch.arange(1, len(rows) + 1)[:, None] <= last_epoch
        curves["lr"] = torch.where(has_row, lrs, torch.nan)
    return curves


def _snapshot(stack: Stack, state: Sequence[Tensor], epoch: Tensor, steps: Sequence[int]) -> Snapshot:
    epoch = epoch.cpu().clone()
    step = torch.tensor([0, *steps])[epoch.clamp(min=0)]
    weights, slots = stack.by_name([tensor.cpu() for tensor in state])
    rule = stack.optimizer.rule
    if rule.counts_steps:
        trained = next(iter(slots.values()))
        slots = {"step": {name: step.to(torch.float32) for name in trained}} | slots
    absent = {slot: torch.full_like(epoch, rule.lazy, dtype=torch.bool) & (epoch <= 0) for slot in slots}
    for slot, runs in rule.lacking.items():
        absent[slot] |= runs.cpu()
    return Snapshot(epoch, weights, slots, absent)
