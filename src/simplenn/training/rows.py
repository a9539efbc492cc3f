"""A row of metrics an epoch, taken from Lightning's Trainer. Knows nothing of files."""

import math
from collections.abc import Iterable

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from simplenn.metric import LEARNING_RATE, declared, metrics_of_epoch
from simplenn.rundir import in_row_order
from simplenn.rundir.checkpoint import EPOCHS, IDENTITY

Row = dict[str, float]


def epoch_metrics(trainer: Trainer) -> dict[str, Tensor]:
    """The metrics of the epoch that ends, by tag, from the means over it; `Parts` has put there what isn't logged."""
    return metrics_of_epoch(trainer.callback_metrics)


def own_entries(epochs: int, identity: str = "") -> dict[str, int | str]:
    """What a checkpoint has beside what Lightning saves, after so many completed epochs. That of a stack is of no one
    run; each run's own says whose it is."""
    return {EPOCHS: epochs, IDENTITY: identity}


class Rows(Checkpoint):
    """`rows` has `epoch`, `step`, then the metrics. A `Checkpoint`: Lightning calls these after other callbacks."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.rows = list(rows)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Lightning goes on showing a metric's last value in epochs that have none, as those without a validation
        trainer.callback_metrics.clear()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.rows.append(self._row(trainer))

    def _row(self, trainer: Trainer) -> Row:
        values = {name: float(value) for name, value in epoch_metrics(trainer).items()}
        values = {name: v for name, v in values.items() if math.isfinite(v) or not declared(name).may_be_nan}
        values[LEARNING_RATE] = trainer.optimizers[0].param_groups[0]["lr"]
        metrics = {name: values[name] for name in in_row_order(values)}
        return {"epoch": trainer.current_epoch + 1, "step": trainer.global_step, **metrics}
