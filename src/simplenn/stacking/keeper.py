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

from simplenn import interruption
from simplenn.stacking.divergence import Divergence
from simplenn.stacking.module import Stack

MONITOR = "val/loss"  # decides which epoch is best; train/loss until there is one


@dataclass(frozen=True)
class Kept:
    """All that is kept at the end of an epoch, in one object: a signal finds either the last epoch's or this one's.

    `last` is the state of each run after its last completed epoch. A run's best state is in `last` where
    `best_is_last`, else in the keeper's `best`: so that a run that improves with every epoch costs no copy.
    """

    epochs: int
    last: list[Tensor]
    last_epoch: Tensor
    best_epoch: Tensor
    best_value: Tensor
    best_is_last: Tensor
    validated: bool = False


class Keeper(Callback):
    """`curves` has a row of [R] by metric for each epoch, NaN for a run that has no such row."""

    def __init__(self) -> None:
        self.curves: list[dict[str, Tensor]] = []
        self.steps: list[int] = []
        self.skeletons: dict[int, dict[str, Any]] = {}
        self.kept: Kept | None = None
        self._validated = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Stack)
        interruption.install()  # in place of Lightning's handlers, which go on to the end of the step
        state = pl_module.state()
        zeros = torch.zeros(pl_module.num_runs, dtype=torch.int64, device=state[0].device)
        self.divergence = Divergence(pl_module.num_runs, state[0].device)
        self.best = [tensor.clone() for tensor in state]
        self._spare = [torch.empty_like(tensor) for tensor in state]
        self.kept = Kept(
            epochs=0,
            last=[tensor.clone() for tensor in state],
            last_epoch=zeros,
            best_epoch=zeros,
            best_value=torch.full_like(zeros, torch.inf, dtype=torch.float64),
            best_is_last=torch.zeros_like(zeros, dtype=torch.bool),
        )
        self.skeletons[0] = _skeleton(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validated = False
        self._steps_before = trainer.global_step

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validated = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        interruption.check()

    @torch.no_grad()
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Stack)
        epoch = trainer.current_epoch + 1
        metrics = {f"train/{name}": value for name, value in pl_module.train_metrics.values().items()}
        if self._validated:
            metrics |= {f"val/{name}": value for name, value in pl_module.val_metrics.values().items()}
        state, before = pl_module.state(), self.kept
        assert before is not None
        live = self.divergence.watch(
            epoch, self._steps_before, pl_module.losses, [weight.data for weight in pl_module.weights], metrics
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
        self, trainer: Trainer, before: Kept, state: list[Tensor], metrics: Mapping[str, Tensor], live: Tensor | None
    ) -> None:
        epoch = trainer.current_epoch + 1
        best = self._judged(before, epoch, metrics)
        outdone = (before.best_is_last & ~best.best_is_last).nonzero()[:, 0]
        if len(outdone):
            for kept, last in zip(self.best, before.last, strict=True):
                kept[outdone] = last[outdone]
        for target, now in zip(self._spare, state, strict=True):
            target.copy_(now)
        reached = torch.full_like(before.last_epoch, epoch)
        self.curves[epoch - 1 :] = [dict(metrics)]
        self.steps[epoch - 1 :] = [trainer.global_step]
        self.skeletons[epoch] = _skeleton(trainer)
        last_epoch = reached if live is None else torch.where(live, reached, before.last_epoch)
        self.kept, self._spare = replace(best, epochs=epoch, last=self._spare, last_epoch=last_epoch), before.last

    def _judged(self, before: Kept, epoch: int, metrics: Mapping[str, Tensor]) -> Kept:
        """Which runs are at their best: at no more than their least value so far. A stopped run's value is NaN."""
        validated = before.validated or MONITOR in metrics
        monitor = MONITOR if validated else "train/loss"
        if monitor not in metrics:
            return replace(before, best_is_last=torch.zeros_like(before.best_is_last))
        least = before.best_value if validated == before.validated else torch.full_like(before.best_value, torch.inf)
        improved = metrics[monitor] <= least
        return replace(
            before,
            best_epoch=torch.where(improved, epoch, before.best_epoch),
            best_value=torch.where(improved, metrics[monitor], least),
            best_is_last=improved,
            validated=validated,
        )


def _skeleton(trainer: Trainer) -> dict[str, Any]:
    """What a run alone has in its checkpoint now, without weights and optimizer state."""
    skeleton = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
    return skeleton | {"state_dict": {}, "optimizer_states": [], "callbacks": {}}
