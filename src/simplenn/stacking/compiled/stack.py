"""A stack whose epochs are one compiled call each, within Lightning's ordinary loop. Knows no files.

Shapes: R runs.
"""

import torch
from omegaconf import DictConfig
from torch import Tensor

from simplenn.regressor import Batch
from simplenn.stacking.compiled.epoch import CompiledEpoch, State
from simplenn.stacking.compiled.orders import compiled_orders_of
from simplenn.stacking.memory import is_out_of_memory
from simplenn.stacking.optimizer import StackedOptimizer
from simplenn.stacking.reasons import CannotCompile
from simplenn.stacking.stack import Stack


class StepCounter(StackedOptimizer):
    """Only counts its steps: the compiled epoch has applied the update rule already."""

    def update(self) -> None:
        pass


class CompiledStack(Stack):
    """The first batch of an epoch trains the whole epoch, and the other batches do nothing.

    So Lightning's counters, hooks and checkpoint skeletons are those of a stack that isn't compiled.
    """

    optimizer_class = StepCounter
    orders_of = staticmethod(compiled_orders_of)
    _compiled: CompiledEpoch | None = None

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        if batch_idx == 0:
            self._train_epoch()
        return torch.zeros((), device=self.device, requires_grad=True)  # Lightning calls backward() on it

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.follow_mode()
        x, y = (part.contiguous() for part in batch)
        try:
            metrics = self._epoch().evaluate(self._runs_last().weights, x, y)
        except Exception as error:
            raise _reason(error) from error
        self._val_means.add(metrics, len(x))

    def _epoch(self) -> CompiledEpoch:
        if self._compiled is None:
            self._compiled = CompiledEpoch(self.steps, self.optimizer.rule, self.batch_size, self.known)
        return self._compiled

    def _train_epoch(self) -> None:
        self.follow_mode()
        x, y = (part.contiguous() for part in self.samples)
        state, first_step = self._runs_last(), self.optimizer.num_steps + 1
        try:
            after, measured = self._epoch().train(state, x, y, self.orders, self.order_of_run, first_step)
        except Exception as error:
            raise _reason(error) from error
        for name, weight in self.stacked_weights().items():
            weight.data = after.weights[name].movedim(-1, 0)
            for slot, by_name in after.slots.items():
                if name in by_name:
                    self.optimizer.state[weight][slot] = by_name[name].movedim(-1, 0)
        self._means = measured.metrics
        self.losses.extend(measured.losses)

    def train_means(self) -> dict[str, Tensor]:
        return self._means

    def kept_state(self) -> list[Tensor]:
        return self.state()  # each epoch has tensors of its own

    def _runs_last(self) -> State:
        """The stack's own tensors, seen with the runs' axis last, which they have in memory after the first epoch."""
        weights, slots = self.by_name([tensor.movedim(0, -1).contiguous() for tensor in self.state()])
        return State(weights, slots)


def _reason(error: Exception) -> Exception:
    """What is raised in the place of an error that compiled code met."""
    if is_out_of_memory(error) or isinstance(error, CannotCompile):
        return error
    return CannotCompile(f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]:.120}")


def reason_not_compiled(cfg: DictConfig) -> str | None:
    """Why stacks of this configuration train without the compiler; `None` where it can be tried."""
    if str(cfg.trainer.get("precision", "32-true")) not in ("32", "32-true"):
        return f"trainer.precision={cfg.trainer.precision}"
    if cfg.trainer.get("gradient_clip_val") is not None:
        return "gradients are clipped"
    if cfg.trainer.get("limit_train_batches") is not None:
        return f"trainer.limit_train_batches={cfg.trainer.limit_train_batches}"
    return None
