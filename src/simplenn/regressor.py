"""The only definition of a training step: loss, metrics, optimizer. Knows nothing of files.

To change the loss or a metric, edit its declaration in `metric.py`, or `Regressor.metrics`, which computes them. A
sweep trains many runs at once by this same code. It follows what is a function of the batch and the weights: `metrics`,
`forward`, `training_step`, `validation_step`, and what they log as means over an epoch; `self.parameters()` and
`self.current_epoch` may be read there. Runs of a `Regressor` that does more (one of Lightning's hooks, several
parameter groups, an attribute that one step changes and a later one reads) train one by one, with a line that says why.

Shapes: B batch, F features.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from simplenn.metric import Means, is_part, means_of_batch, wide

Batch = tuple[Tensor, Tensor]


class Regressor(L.LightningModule):
    """A network that learns `y` from `x` by the loss of `metrics`, the mean squared error unless that is changed.

    `optimizer` makes the optimizer from the parameters.
    """

    # How much the present training batch counts in the epoch's means. `None`: as many as it has samples. Where several
    # processes share a batch, `training.shares.Shares` sets it.
    training_weight: int | None = None

    def __init__(self, network: nn.Module, optimizer: Callable[[Iterable[nn.Parameter]], Optimizer]) -> None:
        super().__init__()
        self.network = network
        self._make_optimizer = optimizer
        # By stage ("train", "val", "test", ...): this epoch's means for metrics that are functions of several means.
        # R2 takes three, of which the target's mean is named r2#target.
        self.parts: dict[str, Means] = {}

    def forward(self, x: Tensor) -> Tensor:
        """[B, F] -> [B, 1]."""
        return self.network(x)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """[B, F] -> [B, 1] on the CPU in single precision, whatever the weights' own device and precision."""
        return self(x.to(next(self.parameters()))).float().cpu()

    def metrics(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Means over the batch, as `metric.DECLARATIONS` has them; `loss` is what training descends.

        Add a mean here, or put another loss in place of the declared one: `means_of_batch(...) | {"loss": ...}`.
        """
        return means_of_batch(prediction, target)

    def configure_optimizers(self) -> Optimizer:
        return self._make_optimizer(self.parameters())

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self._step(batch, "train")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._step(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        loaders: Any = self.trainer.test_dataloaders
        self._step(batch, list(loaders)[dataloader_idx])

    def _step(self, batch: Batch, stage: str) -> Tensor:
        x, y = batch
        prediction = self(x)
        if prediction.shape != y.shape:  # torch would broadcast one against the other
            raise ValueError(f"prediction and target must be of one shape, got {prediction.shape} and {y.shape}")
        metrics = self.metrics(prediction, y)
        weight = len(x) if stage != "train" or self.training_weight is None else self.training_weight
        # An epoch's mean is sum(value * B) / sum(B): in double precision a single full batch gives back its own value
        # to the bit.
        means = {name: wide(value.detach()) for name, value in metrics.items()}
        self.log_dict(
            {f"{stage}/{name}": mean for name, mean in means.items() if not is_part(name)},
            on_step=False,
            on_epoch=True,
            batch_size=weight,
            sync_dist=True,
            add_dataloader_idx=False,
        )
        self.add_parts(stage, {name: mean for name, mean in means.items() if is_part(name)}, weight)
        return metrics["loss"]

    def add_parts(self, stage: str, parts: Mapping[str, Tensor], weight: int) -> None:
        """Adds one batch's means, by name, to the epoch's in `self.parts`, where the batch counts `weight` times.

        `training.parts.Parts` reads and empties them. Lightning's `log` would do the same, but takes 0.4 ms for each
        of them in each step.
        """
        self.parts.setdefault(stage, Means()).add(parts, weight)
