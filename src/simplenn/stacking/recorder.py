"""Keeps what each run of a stack leaves: its curves, its last and its best state; stops a run that diverges.

It follows `recorder.Recorder` run by run, in tensors: one synchronisation with the device an epoch, none a step.

Shapes: R runs, T epochs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from simplenn import signals
from simplenn.metric import OBJECTIVE, cost, declared
from simplenn.stacking.divergence import Divergence
from simplenn.stacking.stack import Stack
from simplenn.training.rows import own_entries


@dataclass(frozen=True)
class Recorded:
    """All that is kept at the end of an epoch, in one object: a signal finds either the last epoch's or this one's.

    `last` is the state of each run after its last completed epoch, `best` the one that its best objective was measured
    on, each with the completed epochs [R] at which it was so; `best_epoch` is -1 for a run that has none. No tensor
    in here is ever written to.
    """

    epochs: int
    last: list[Tensor]
    last_epoch: Tensor
    best: list[Tensor]
    best_epoch: Tensor
    best_cost: Tensor
    validated: Tensor  # [R] whether the run has had the objective over validation data, which alone counts from then on


class StackRecorder(Callback):
    """`curves` has a row of [R] by metric for each epoch, NaN for a run that has no such row."""

    def __init__(self) -> None:
        self.curves: list[dict[str, Tensor]] = []
        self.steps: list[int] = []
        self.skeletons: dict[int, dict[str, Any]] = {}
        self.recorded: Recorded | None = None
        self._validated = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Stack)
        signals.install()  # in place of Lightning's handlers, which go on to the end of the step
        state = pl_module.state()
        zeros = torch.zeros(pl_module.num_runs, dtype=torch.int64, device=state[0].device)
        self.divergence = Divergence(pl_module.num_runs, state[0].device)
        initial = [tensor.clone() for tensor in state]
        self.recorded = Recorded(
            epochs=0,
            last=initial,
            last_epoch=zeros,
            best=initial,
            best_epoch=torch.full_like(zeros, -1),
            best_cost=torch.full_like(zeros, torch.inf, dtype=torch.float64),
            validated=torch.zeros_like(zeros, dtype=torch.bool),
        )
        self.skeletons[0] = _skeleton(trainer) | own_entries(0)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validated = False
        self._steps_before = trainer.global_step

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validated = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        signals.raise_if_received()

    @torch.no_grad()
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Stack)
        epoch = trainer.current_epoch + 1
        metrics = pl_module.train_metrics.values() | (pl_module.val_metrics.values() if self._validated else {})
        undefined = {name: value for name, value in metrics.items() if declared(name).may_be_nan}
        defined = {name: value for name, value in metrics.items() if name not in undefined}
        metrics |= {name: torch.where(value.isfinite(), value, torch.nan) for name, value in undefined.items()}
        state, before = pl_module.state(), self.recorded
        assert before is not None
        live = self.divergence.watch(
            epoch, self._steps_before, pl_module.losses, [weight.data for weight in pl_module.weights], defined
        )
        num_stopped = 0
        if live is not None:
            stopped = (~live).nonzero()[:, 0]
            num_stopped = len(stopped)
            for now, last in zip(state, before.last, strict=True):
                now[stopped] = last[stopped]
            metrics = {name: torch.where(live, value, torch.nan) for name, value in metrics.items()}
        if num_stopped < pl_module.num_runs:
            self._keep(trainer, before, state, metrics, live)
        else:
            trainer.should_stop = True
        for name, value in metrics.items():
            if name.endswith("/loss"):
                trainer.callback_metrics[name] = value.nanmedian()  # for the progress bar; log() costs a millisecond

    def _keep(
        self,
        trainer: Trainer,
        before: Recorded,
        state: list[Tensor],
        metrics: Mapping[str, Tensor],
        live: Tensor | None,
    ) -> None:
        epoch = trainer.current_epoch + 1
        reached = torch.full_like(before.last_epoch, epoch)
        after = replace(
            before,
            epochs=epoch,
            last=[tensor.clone() for tensor in state],
            last_epoch=reached if live is None else torch.where(live, reached, before.last_epoch),
        )
        self.curves[epoch - 1 :] = [dict(metrics)]
        self.steps[epoch - 1 :] = [trainer.global_step]
        self.skeletons[epoch] = _skeleton(trainer) | own_entries(epoch)
        self.recorded = _judged(before, after, metrics)


def _judged(before: Recorded, after: Recorded, metrics: Mapping[str, Tensor]) -> Recorded:
    """Finds the runs that are at their best: at no more than their least cost so far, as `metrics.Best` does for one.

    A stopped run's values are NaN, which is no more than nothing.
    """
    nothing = torch.full_like(before.best_cost, torch.nan)
    trained, validated = (cost(tag, metrics.get(tag, nothing)) for tag in (f"train/{OBJECTIVE}", f"val/{OBJECTIVE}"))
    by_validation = before.validated | ~validated.isnan()
    costs = torch.where(by_validation, validated, trained)
    improved = costs <= torch.where(by_validation == before.validated, before.best_cost, torch.inf)
    # the training data's objective is measured before the epoch's steps
    measured_on = _chosen(by_validation, after.last, before.last)
    measured_epoch = torch.where(by_validation, after.last_epoch, before.last_epoch)
    return replace(
        after,
        best=_chosen(improved, measured_on, before.best),
        best_epoch=torch.where(improved, measured_epoch, before.best_epoch),
        best_cost=torch.where(improved, costs, before.best_cost),
        validated=by_validation,
    )


def _chosen(mask: Tensor, yes: list[Tensor], no: list[Tensor]) -> list[Tensor]:
    """Each run's state by the mask [R]; most often it is the same for all runs, and nothing need be copied."""
    if mask.all():
        return yes
    if not mask.any():
        return no
    return [torch.where(mask.view(-1, *(1,) * (y.dim() - 1)), y, n) for y, n in zip(yes, no, strict=True)]


def _skeleton(trainer: Trainer) -> dict[str, Any]:
    """What a run alone has in its checkpoint now, without weights and optimizer state."""
    skeleton = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
    return skeleton | {"state_dict": {}, "optimizer_states": [], "callbacks": {}}
