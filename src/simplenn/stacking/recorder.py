"""Records what each run of a stack leaves: its curves, its last and its best state. Freezes a run that diverges.

It does for each run what `training.recorder` does for a single one, in tensors: it waits for the device once an epoch,
not once a step.

Shapes: R runs, T epochs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from simplenn import signals
from simplenn.metric import cost, declared, is_best_so_far, objective_tags
from simplenn.stacking.divergence import Divergence
from simplenn.stacking.stack import Stack
from simplenn.training import own_entries, show_metrics


@dataclass(frozen=True)
class Recorded:
    """What is recorded at the end of an epoch, in one object: a signal finds that of the last epoch or that of this
    one, never a mixture. No tensor in here is written to later.
    """

    epochs: int  # completed
    last: list[Tensor]  # as `Stack.state`, [R, ...] each: after each run's last completed epoch
    last_epoch: Tensor  # [R] completed epochs at which `last` was taken
    best: list[Tensor]  # as `Stack.state`: what each run's best objective was measured on
    best_epoch: Tensor  # [R] completed epochs at which `best` was taken; -1 for a run that has no best state yet
    best_cost: Tensor  # [R] that objective, as something to make small; infinite where there is none
    validated: Tensor  # [R] whether that objective is over validation data


@dataclass(frozen=True)
class Start:
    """What a recorder goes on from: what it had, after the last epoch of another session."""

    rows: list[dict[str, Tensor]]  # by epoch
    steps: list[int]  # by epoch
    skeletons: dict[int, dict[str, Any]]  # by completed epochs
    endings: list[tuple[int, str]]  # for each run, as `Divergence` has them
    recorded: Callable[[Stack], Recorded]  # of the stack that has loaded the checkpoint


class CheckpointCapture(CheckpointIO):
    """Keeps the checkpoint that Lightning would have written to a file, for `take`, and has the one to begin from."""

    def __init__(self, start: dict[str, Any] | None = None) -> None:
        self._start = start
        self._checkpoint: dict[str, Any] = {}

    def take(self) -> dict[str, Any]:
        """The checkpoint that was saved last; it is not kept any longer, as it holds on to all weights."""
        taken, self._checkpoint = self._checkpoint, {}
        return taken

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        self._checkpoint = checkpoint

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> Any:
        assert self._start is not None
        return self._start

    def remove_checkpoint(self, path: Any) -> None:
        raise NotImplementedError("a stack writes no files")


class StackRecorder(Callback):
    """Its Trainer must have a `CheckpointCapture` for its checkpoints. `start` is what the training goes on from."""

    def __init__(self, start: "Start | None" = None) -> None:
        self._start = start
        self.curves: list[dict[str, Tensor]] = []  # by epoch: each metric's values [R], NaN for a run that has none
        self.steps: list[int] = []  # by epoch: the global step at its end
        self.skeletons: dict[int, dict[str, Any]] = {}  # by completed epochs, see `Outcome.skeletons`
        self.recorded: Recorded | None = None
        self._validated = False  # whether a validation has ended in this epoch

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Stack)
        signals.install()  # in place of Lightning's handlers, which go on to the end of the step
        if self._start is not None:
            self._go_on(pl_module, self._start)
            return
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

    def _go_on(self, stack: Stack, start: "Start") -> None:
        self.curves, self.steps, self.skeletons = list(start.rows), list(start.steps), dict(start.skeletons)
        self.divergence = Divergence(stack.num_runs, stack.weights[0].device, start.endings)
        self.recorded = start.recorded(stack)

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
        metrics = pl_module.epoch_metrics(validated=self._validated)
        # For a metric that may be undefined, a value that isn't finite is none, and no sign of divergence.
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
            # A stopped run is put back to its last finite state after each epoch, and so stays there.
            stopped = (~live).nonzero()[:, 0]
            num_stopped = len(stopped)
            for now, last in zip(state, before.last, strict=True):
                now[stopped] = last[stopped]
            metrics = {name: torch.where(live, value, torch.nan) for name, value in metrics.items()}
        if num_stopped < pl_module.num_runs:
            self._record(trainer, before, pl_module, metrics, live)
        else:
            trainer.should_stop = True
        for name, value in metrics.items():
            if name.endswith("/loss"):
                show_metrics(trainer, {name: _median(value)})

    def _record(
        self,
        trainer: Trainer,
        before: Recorded,
        stack: Stack,
        metrics: Mapping[str, Tensor],
        live: Tensor | None,
    ) -> None:
        epoch = trainer.current_epoch + 1
        reached = torch.full_like(before.last_epoch, epoch)
        after = replace(
            before,
            epochs=epoch,
            last=stack.kept_state(),
            last_epoch=reached if live is None else torch.where(live, reached, before.last_epoch),
        )
        # Assigned to slices: a signal between these lines leaves a row too many, which no one reads.
        self.curves[epoch - 1 :] = [dict(metrics)]
        self.steps[epoch - 1 :] = [trainer.global_step]
        self.skeletons[epoch] = _skeleton(trainer) | own_entries(epoch)
        self.recorded = _with_best(before, after, metrics)


def _median(values: Tensor) -> Tensor:
    """Over the runs [R] that have a value, as a report has it; NaN where none has. torch's own median of an even number
    is the lower of the two in the middle, and the mean of these is sought."""
    numbers = values.cpu().numpy()
    numbers = numbers[~np.isnan(numbers)]
    return torch.tensor(np.median(numbers, overwrite_input=True) if len(numbers) else np.nan)


def _with_best(before: Recorded, after: Recorded, metrics: Mapping[str, Tensor]) -> Recorded:
    """`after` with the best state of each run, by the objective that this epoch's metrics have."""
    nothing = torch.full_like(before.best_cost, torch.nan)
    trained, validated = (cost(tag, metrics.get(tag, nothing)) for tag in objective_tags())
    is_validated = ~validated.isnan()
    costs = torch.where(is_validated, validated, trained)  # NaN for a stopped run, which is never better
    improved = is_best_so_far(is_validated, costs, before.validated, before.best_cost)
    # The objective over the training data is measured on the weights that the epoch began with.
    measured_on = _selected(is_validated, after.last, before.last)
    measured_epoch = torch.where(is_validated, after.last_epoch, before.last_epoch)
    return replace(
        after,
        best=_selected(improved, measured_on, before.best),
        best_epoch=torch.where(improved, measured_epoch, before.best_epoch),
        best_cost=torch.where(improved, costs, before.best_cost),
        validated=before.validated | is_validated,
    )


def _selected(mask: Tensor, yes: list[Tensor], no: list[Tensor]) -> list[Tensor]:
    """Each run's state from one of two, by the mask [R]. Where it is the same for all runs, nothing is copied."""
    if mask.all():
        return yes
    if not mask.any():
        return no
    return [torch.where(mask.view(-1, *(1,) * (y.dim() - 1)), y, n) for y, n in zip(yes, no, strict=True)]


def _skeleton(trainer: Trainer) -> dict[str, Any]:
    """What a single run would have in its checkpoint now, without weights, optimizer state and callbacks' state."""
    capture = trainer.strategy.checkpoint_io
    assert isinstance(capture, CheckpointCapture)
    trainer.save_checkpoint("captured", weights_only=False)
    return capture.take() | {"state_dict": {}, "optimizer_states": [], "callbacks": {}}
