"""A stack: R runs as one LightningModule, whose training step is that of the one `Regressor`. Knows nothing of files.

Shapes: R runs, B batch; a weight is [R, ...].
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.optim import Optimizer

from simplenn.metric import Means, metrics_of_epoch
from simplenn.regressor import Batch, Regressor
from simplenn.stacking.batches import orders_of
from simplenn.stacking.optimizer import StackedOptimizer
from simplenn.stacking.rules import UPDATE_RULES, Hyperparameters
from simplenn.stacking.steps import Steps, TrainerView


class Stack(L.LightningModule):
    """R runs of `regressor`, with `weights` [R, ...] by the names of its parameters.

    For each run's weights, the gradient of the sum of all losses is the gradient of that run's own loss: so Lightning
    trains a stack as it trains a run. `optimizer` is a class of torch.optim and the runs' numbers for it. With
    `shared`, all runs see the same batches, [B, ...]; otherwise a batch is [R, B, ...]. `known` is what stacks of the
    same configuration have found out that doesn't depend on their runs, by keys of their own; empty before the first.
    """

    optimizer_class: type[StackedOptimizer] = StackedOptimizer
    orders_of = staticmethod(orders_of)

    def __init__(
        self,
        regressor: Regressor,
        weights: Mapping[str, Tensor],
        optimizer: tuple[type[Optimizer], Hyperparameters],
        *,
        shared: bool,
        known: dict[Hashable, Any] | None = None,
    ) -> None:
        super().__init__()
        # Not a module: Lightning would find the regressor's own weights in it, and save and move them with the stack's.
        self.steps = Steps(regressor)
        self._optimizer = optimizer
        self._shared = shared
        self.known = {} if known is None else known
        self.names = list(weights)
        trained = {name: weight.requires_grad for name, weight in regressor.named_parameters()}
        self.weights = nn.ParameterList(nn.Parameter(weights[name], trained[name]) for name in self.names)
        self.num_runs = len(self.weights[0])
        self._train_means = Means()
        self._val_means = Means()
        self.losses: list[Tensor] = []  # of each step of this epoch, [R]
        self._modes: dict[nn.Module, bool] = {}  # which of the regressor's parts are in training mode while it trains

    def on_fit_start(self) -> None:
        data: Any = self.trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue]
        samples = tuple(part.to(self.device) for part in data.train.tensors)
        self.samples: Batch = self.trainer.precision_plugin.convert_input(samples)
        self.batch_size: int = data.batch_size or len(samples[0])
        self.steps.regressor.to(self.device)
        self.steps.show_trainer(TrainerView(self.trainer))

    def _mapped(self, step: Callable[..., Any], batch: Batch, batch_idx: int, shared: bool) -> Any:
        """What the regressor's step returns for every run on its batch, [R] each."""
        self.follow_mode()
        weights = self.stacked_weights()
        return vmap(step, in_dims=(0, None if shared else 0, None), randomness="error")(weights, batch, batch_idx)

    def follow_mode(self) -> None:
        """Puts the regressor into training or evaluation, as Lightning has put the stack."""
        regressor = self.steps.regressor
        if regressor.training and not self.training:
            self._modes = {part: part.training for part in regressor.modules()}
            regressor.eval()
        elif self.training and not regressor.training:
            # As Lightning does after a validation: a part that somebody has set to eval() stays so.
            for part, mode in self._modes.items():
                part.training = mode

    def stacked_weights(self) -> dict[str, Tensor]:
        """[R, ...] by the names of the regressor's parameters."""
        return dict(zip(self.names, self.weights, strict=True))

    def configure_optimizers(self) -> Optimizer:
        self.optimizer = self.optimizer_class(list(self.weights), *self._optimizer)
        return self.optimizer

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Does for each run what torch.nn.utils.clip_grad_norm_ and clip_grad_value_ do for one.

        The norm over all runs, which Lightning would take, would make every run depend on its neighbours.
        """
        if not gradient_clip_val:
            return
        grads = [weight.grad for weight in self.weights if weight.grad is not None]
        if gradient_clip_algorithm == "value":
            for grad in grads:
                grad.clamp_(-gradient_clip_val, gradient_clip_val)
            return
        rows = [grad.unsqueeze(-1).flatten(1) for grad in grads]  # a weight that is one number has no axis to flatten
        norms = torch.stack([torch.linalg.vector_norm(row, dim=1) for row in rows], dim=1)
        factors = (gradient_clip_val / (torch.linalg.vector_norm(norms, dim=1) + 1e-6)).clamp(max=1.0)
        for grad in grads:
            grad.mul_(factors.view(-1, *(1,) * (grad.dim() - 1)))

    def on_train_epoch_start(self) -> None:
        batches: Any = self.trainer.train_dataloader
        self.orders, self.order_of_run = (part.to(self.device) for part in batches.sampler.orders())
        self._train_means.reset()
        self.losses.clear()

    def on_validation_epoch_start(self) -> None:
        self._val_means.reset()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        batch = batch if self._shared else self._own_batches(batch_idx)
        losses, metrics = self._mapped(self.steps.train, batch, batch_idx, self._shared)
        self._train_means.add(metrics, batch[0].shape[0 if self._shared else 1])
        self.losses.append(losses.detach())
        return losses.sum()

    def _own_batches(self, batch_idx: int) -> Batch:
        """[R, B, ...]: those of runs with one seed are alike, and so taken from the samples once."""
        numbers = self.orders[:, batch_idx * self.batch_size :][:, : self.batch_size]
        x, y = (part[numbers].index_select(0, self.order_of_run) for part in self.samples)
        return x, y

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        metrics = self._mapped(self.steps.validate, batch, batch_idx, shared=True)
        self._val_means.add(metrics, len(batch[0]))

    def train_means(self) -> dict[str, Tensor]:
        """Of what the training steps of the epoch that ends have logged, [R] each by tag."""
        return self._train_means.values()

    def epoch_metrics(self, *, validated: bool) -> dict[str, Tensor]:
        """The metrics of the epoch that ends, [R] each by tag; those of its validation only if it had one."""
        means = self.train_means() | (self._val_means.values() if validated else {})
        return metrics_of_epoch({tag: mean.double() for tag, mean in means.items()})

    @property
    def slot_names(self) -> list[str]:
        """Of the optimizer's state."""
        kind, hyperparameters = self._optimizer
        return list(UPDATE_RULES[kind](hyperparameters).slots)

    def state(self) -> list[Tensor]:
        """Everything that further training depends on, [R, ...] each: the weights, then the optimizer's slots."""
        slots = self.optimizer.slots.values()
        return [*(weight.data for weight in self.weights), *(tensor for slot in slots for tensor in slot)]

    def kept_state(self) -> list[Tensor]:
        """The same, in tensors that no later epoch writes to."""
        return [tensor.clone() for tensor in self.state()]

    def by_name(self, state: Sequence[Tensor]) -> tuple[dict[str, Tensor], dict[str, dict[str, Tensor]]]:
        """What `state` returned: the weights by name, and slot -> the optimizer's state by its weight's name."""
        trained = [name for name, weight in zip(self.names, self.weights, strict=True) if weight.requires_grad]
        rest = iter(state[len(self.names) :])
        slots = {slot: {name: next(rest) for name in trained} for slot in self.optimizer.slots}
        return dict(zip(self.names, state, strict=False)), slots
