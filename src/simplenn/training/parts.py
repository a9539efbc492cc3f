"""The means that metrics such as R2 are computed from, among the metrics of Lightning's Trainer."""

from functools import partial

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from simplenn.metric import Means
from simplenn.regressor import Regressor
from simplenn.training.trainer import show_metrics


class Parts(Callback):
    """Puts what the Regressor has added up by `add_parts` into `trainer.callback_metrics`, as if it had been logged.

    Belongs before the callbacks that read an epoch's metrics, and into every process of a run: they add up together.
    """

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _parts_of(pl_module).clear()

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _parts_of(pl_module).pop("val", None)  # an epoch may have several validations: the last one counts

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _parts_of(pl_module).clear()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _show(trainer, pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _show(trainer, pl_module)


def _parts_of(module: LightningModule) -> dict[str, Means]:
    assert isinstance(module, Regressor)
    return module.parts


def _show(trainer: Trainer, module: LightningModule) -> None:
    add_up = partial(trainer.strategy.reduce, reduce_op="sum")
    for stage, means in _parts_of(module).items():
        values = means.values_over_processes(add_up)
        show_metrics(trainer, {f"{stage}/{name}": value for name, value in values.items()})
