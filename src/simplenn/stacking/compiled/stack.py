"""A stack whose epochs are one compiled call each, within Lightning's ordinary loop. Knows no files.

Shapes: R runs, S distinct orders, N samples.
"""

from collections.abc import Iterator
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from simplenn.data import TensorDataModule
from simplenn.regressor import Batch
from simplenn.stacking.batches import StackBatches
from simplenn.stacking.compiled.epoch import CompiledEpoch, State
from simplenn.stacking.memory import is_out_of_memory
from simplenn.stacking.optimizer import StackedOptimizer
from simplenn.stacking.reasons import CannotCompile
from simplenn.stacking.stack import Stack


class FirstRunBatches(StackBatches):
    """The batches of the first run only, which Lightning's loop is driven by; `orders` has those of all runs."""

    def __iter__(self) -> Iterator[Any]:
        yield from self.batches_of_first_run

    def orders(self) -> tuple[Tensor, Tensor | None]:
        """This epoch's orders of the samples [S, N], and [R] each run's row of them; `None` where there is only one."""
        if self.same:
            return torch.tensor([[number for batch in self.batches_of_first_run for number in batch]]), None
        return self.orders_by_seed(), self.row_of_run


class StepCounter(StackedOptimizer):
    """Only counts its steps: the compiled epoch has applied the update rule already."""

    def update(self) -> None:
        pass


class CompiledStack(Stack):
    """The first batch of an epoch trains the whole epoch, and the other batches do nothing.

    So Lightning's counters, hooks and checkpoint skeletons are those of a stack that isn't compiled.
    """

    batches_class = FirstRunBatches
    optimizer_class = StepCounter
    _compiled: CompiledEpoch | None = None

    def stacked_weights(self) -> dict[str, Tensor]:
        # These weights lie in memory with the runs' axis last. Validation is not compiled: torch's batched products
        # of such weights are 30 times slower than those of a copy that has the runs first.
        return {name: weight.contiguous() for name, weight in super().stacked_weights().items()}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        if batch_idx == 0:
            self._train_epoch()
        return torch.zeros((), device=self.device, requires_grad=True)  # Lightning calls backward() on it

    def _train_epoch(self) -> None:
        trainer: Any = self.trainer
        data: TensorDataModule = trainer.datamodule
        assert data.train is not None
        x, y = (part.to(self.device) for part in data.train.tensors)
        batch_size = data.batch_size or len(x)
        if self._compiled is None:
            self._compiled = CompiledEpoch(self.steps, self.optimizer.rule, batch_size)
        orders, row_of_run = trainer.train_dataloader.sampler.orders()
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the loop over runs is short: threads cost more than they give
        try:
            done = self._compiled.epoch(
                self._runs_last(),
                x,
                y,
                orders.T.to(self.device),
                None if row_of_run is None else row_of_run.to(self.device),
                self.optimizer.num_steps + 1,
            )
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise CannotCompile(f"{type(error).__name__}: {str(error).splitlines()[0]:.120}") from error
        finally:
            torch.set_num_threads(threads)
        self._take(done.state)
        for step in range(next(iter(done.metrics.values())).shape[0]):
            metrics = {name: values[step] for name, values in done.metrics.items()}
            self._train_means.add(metrics, min(batch_size, len(x) - step * batch_size))
            self.losses.append(done.losses[step])

    def _runs_last(self) -> State:
        """The stack's own tensors, seen with the runs' axis last: after the first epoch this copies nothing."""
        weights, slots = self.by_name([tensor.movedim(0, -1).contiguous() for tensor in self.state()])
        return State(weights, slots)

    def _take(self, state: State) -> None:
        """Makes the state that an epoch left the stack's own, without a copy."""
        for name, weight in zip(self.names, self.weights, strict=True):
            weight.data = state.weights[name].movedim(-1, 0)
        for slot, by_name in state.slots.items():
            for weight, tensor in zip(self.optimizer.trained, by_name.values(), strict=True):
                self.optimizer.state[weight][slot] = tensor.movedim(-1, 0)


def reason_not_compiled(cfg: DictConfig) -> str | None:
    """Why stacks of this configuration train without the compiler; `None` where it can be tried."""
    if str(cfg.trainer.get("precision", "32-true")) not in ("32", "32-true"):
        return f"trainer.precision={cfg.trainer.precision}"
    if cfg.trainer.get("gradient_clip_val") is not None:
        return "gradients are clipped"
    if cfg.trainer.get("limit_train_batches") is not None:
        return f"trainer.limit_train_batches={cfg.trainer.limit_train_batches}"
    return None
