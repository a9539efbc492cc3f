"""How far a run is, as suits where its output goes: a bar on a terminal, lines elsewhere, or nothing."""

import sys
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def progress_callback(style: str) -> list[Callback]:
    """`style` is `auto`, `bar`, `lines` or `none`."""
    if style == "auto":
        style = "bar" if sys.stdout.isatty() else "lines"
    return {"bar": [EpochBar()], "lines": [EpochLines()], "none": []}[style]


class EpochLines(Callback):
    """A line every 10 % of the epochs, as the tutorial prints it."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epoch, total = trainer.current_epoch + 1, trainer.max_epochs or 1
        if trainer.is_global_zero and epoch * 10 // total > (epoch - 1) * 10 // total:
            print(f"Epoch [{epoch}/{total}], {_losses(trainer)}", flush=True)


class EpochBar(Callback):
    """One bar over the epochs, the loss beside it."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._task: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            columns = (
                TextColumn("Epoch"),
                MofNCompleteColumn(),
                BarColumn(),
                TextColumn("{task.description}"),
            )
            self._progress = Progress(*columns, TimeRemainingColumn())
            self._task = self._progress.add_task("", total=trainer.max_epochs, completed=trainer.current_epoch)
            self._progress.start()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._progress is not None:
            self._progress.update(self._task, completed=trainer.current_epoch + 1, description=_losses(trainer))

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def _losses(trainer: Trainer) -> str:
    values = trainer.callback_metrics
    validated = (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0
    names = (("train/loss", "Loss"), *([("val/loss", "Val loss")] if validated else []))
    return ", ".join(f"{label}: {float(values[name]):.4f}" for name, label in names if name in values)
