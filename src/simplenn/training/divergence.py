"""Stops a run that diverges, before anything of the epoch is written."""

import math
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from simplenn.metric import declared
from simplenn.training.rows import epoch_metrics

A_WEIGHT = "a weight became non-finite"
A_METRIC = "a metric became non-finite"


def loss_became(value: float) -> str:
    """What a divergence is put down to where the loss is non-finite."""
    return f"the loss became {value}"


class Diverged(ArithmeticError):
    """The loss or the weights became non-finite; epochs count from 1, steps are the optimizer's."""

    def __init__(self, epoch: int, step: int, what: str) -> None:
        super().__init__(f"diverged: {what} in epoch {epoch}, step {step}")
        self.epoch = epoch


class DivergenceCheck(Callback):
    """Raises `Diverged` where a loss, a weight or a metric is non-finite.

    Lightning calls callbacks in their order, and those that are a `Checkpoint`, as the recorder is, after all others.
    """

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"]
        finite = trainer.strategy.reduce_boolean_decision(bool(torch.isfinite(loss)))
        if not finite:
            raise _diverged(trainer, loss_became(loss.item()))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not all(bool(torch.isfinite(weight).all()) for weight in pl_module.parameters()):
            raise _diverged(trainer, A_WEIGHT)
        values = {name: float(value) for name, value in epoch_metrics(trainer).items()}
        if not all(math.isfinite(value) or declared(name).may_be_nan for name, value in values.items()):
            raise _diverged(trainer, A_METRIC)


def _diverged(trainer: Trainer, what: str) -> Diverged:
    return Diverged(trainer.current_epoch + 1, trainer.global_step, what)
