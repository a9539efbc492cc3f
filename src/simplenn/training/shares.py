"""Several processes that share each batch take the step that one process takes. Knows nothing of networks.

Lightning averages gradients and metrics over W processes: the share of a process, n of a batch's N samples, counts
n * W / N. A share of none counts 0, with a sample that stands in so that the processes stay in step.
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
