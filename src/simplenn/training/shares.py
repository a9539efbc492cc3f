"""Several processes that share each batch take the step that one process takes. Knows nothing of networks.

Lightning averages gradients and metrics over W processes as if each had as many samples. So a process that has n of a
batch's N samples counts n * W / N times. One that has none counts 0 times, but takes part with a sample that stands in,
as the processes wait for each other at each step.
"""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from simplenn.data import EpochBatches
from simplenn.regressor import Regressor


class Shares(Callback):
    """Weighs each process's gradient by its share of the batch, and its metrics in the epoch's means."""

    def __init__(self) -> None:
        self._weight = 1.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        batches = getattr(trainer.train_dataloader, "sampler", None)
        if trainer.world_size > 1 and isinstance(batches, EpochBatches):
            assert isinstance(pl_module, Regressor)
            own, whole = batches.share(batch_idx)
            self._weight = own * trainer.world_size / whole
            # times W, as Lightning averages the counts too, and cuts the fraction off
            pl_module.training_weight = own * trainer.world_size

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        if self._weight != 1:
            weight = self._weight
            loss.register_hook(lambda gradient: gradient * weight)
