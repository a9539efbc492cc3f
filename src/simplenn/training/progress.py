"""How far a run is, as suits where its output goes: a bar on a terminal, lines elsewhere, or nothing."""

import sys
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from simplenn.training.rows import epoch_metrics


def progress_callback(style: str) -> list[Callback]:
    """`style` is `auto`, `bar`, `lines` or `none`."""
    return {"bar": [EpochBar()], "lines": [EpochLines()], "none": []}[_style(style)]


def _style(style: str) -> str:
    return ("bar" if sys.stdout.isatty() else "lines") if style == "auto" else style


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
    values = epoch_metrics(trainer)
    validated = (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0
    names = (("train/loss", "Loss"), *([("val/loss", "Val loss")] if validated else []))
    return ", ".join(f"{label}: {_shown(float(values[name]))}" for name, label in names if name in values)


def _shown(loss: float) -> str:
    """With four decimals, as the tutorial prints it; with four significant digits where decimals would say nothing."""
    return f"{loss:.4f}" if loss == 0 or 1e-3 <= abs(loss) < 1e6 else f"{loss:.4g}"


class SweepProgress(Callback):
    """One bar, or a line every 10 %, over all the stacks of a sweep whose runs have been announced by `expect`.

    The bar is there while a stack trains, and gone once it has ended, however that was: what the command logs between
    two stacks, or on its way out, has its own lines.
    """

    def __init__(self, style: str) -> None:
        self._lines = _style(style) == "lines"
        self._total = self._num_runs = self._finished_runs = self._num_stacks = 0
        self._before = self._done = 0  # epochs of all runs: before the present stack, and now
        self._told = 0  # the last tenth that has a line
        self._bar: Progress | None = None
        if _style(style) == "bar":
            columns = (TextColumn("Sweep"), BarColumn(20), TaskProgressColumn(), TextColumn("{task.description}"))
            self._bar = Progress(*columns, TimeRemainingColumn(compact=True), transient=True)
            self._task = self._bar.add_task("")

    def expect(self, num_runs: int, run_epochs: int) -> None:
        """Adds runs, and the epochs of all of them together."""
        self._num_runs += num_runs
        self._total += run_epochs
        self._told = self._done * 10 // self._total
        if self._bar is not None:
            self._bar.update(self._task, total=self._total)

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._num_stacks += 1
        self._before = self._done
        self._done += trainer.current_epoch * pl_module.num_runs  # of a stack that goes on
        if self._bar is not None:
            self._bar.start()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        epoch = trainer.current_epoch + 1
        self._done = self._before + epoch * pl_module.num_runs
        self._show(pl_module.num_runs, epoch, trainer.max_epochs or 1, _losses(trainer))

    def _show(self, num_runs: int, epoch: int, num_epochs: int, losses: str) -> None:
        """Of the stack that has just come further: its runs, how far it is, and its losses."""
        if self._bar is not None:
            text = f"stack {self._num_stacks}, epoch {epoch}/{num_epochs}: median {losses}"
            self._bar.update(self._task, completed=self._done, description=text)
        elif self._lines and self._done * 10 // self._total > self._told:
            self._told = self._done * 10 // self._total
            trained = self._finished_runs + (num_runs if epoch == num_epochs else 0)
            runs = "1 run" if num_runs == 1 else f"{num_runs:,} runs"
            print(
                f"Sweep [{100 * self._done // self._total} %] {trained:,} of {self._num_runs:,} runs trained; "
                f"stack {self._num_stacks} ({runs}), epoch {epoch}/{num_epochs}: median {losses}",
                flush=True,
            )

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        self._finished_runs += pl_module.num_runs
        self._done = self._before + (trainer.max_epochs or 1) * pl_module.num_runs
        self.close()

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        self._done = self._before  # its halves count what it has done, where they go on from that
        self.close()

    def close(self) -> None:
        """Leaves the terminal to others."""
        if self._bar is not None:
            self._bar.stop()
