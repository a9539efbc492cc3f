"""Writes what a run leaves while it trains: a row an epoch, scalars, checkpoints. One process writes.

A row is written before its epoch's checkpoint: a kill between the two leaves a row too many, which a resume
takes out and trains again, never one too few.
"""

import csv
import io
import math
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from omegaconf import DictConfig
from torch import Tensor
from torch.optim import Optimizer

from simplenn import events, interruption, review
from simplenn.config import ConfigError
from simplenn.regressor import Regressor
from simplenn.run import Run, write_atomically

HISTOGRAM_BINS = 30


class Diverged(ArithmeticError):
    """The loss or the weights became non-finite; epochs count from 1, steps are the optimizer's."""

    def __init__(self, epoch: int, step: int, what: str) -> None:
        super().__init__(f"diverged: {what} in epoch {epoch}, step {step}")
        self.epoch = epoch


class Recorder(Checkpoint):
    """Rows to `metrics.csv`, scalars to the event file, `last` and `best` checkpoints; stops a run that diverges.

    `monitor` decides which epoch is best; without a validation set, `train/loss` does.
    """

    def __init__(self, run: Run, monitor: str = "val/loss", histograms: bool = False) -> None:
        self._run = run
        self._monitor = monitor
        self._histograms = histograms
        self._events: events.EventFile | None = None
        self._validated = False
        self._gradients: dict[str, Tensor] = {}
        self.rows = read_rows(run.metrics_file)

    @property
    def events(self) -> events.EventFile:
        if self._events is None:
            self._events = events.EventFile(self._run.directory)
        return self._events

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        launcher: Any = trainer.strategy.launcher
        if launcher is not None and trainer.is_global_zero and not isinstance(exception, Diverged):
            launcher.kill(signal.SIGKILL)  # the other processes wait for this one, and would for ever
            for process in launcher.procs:
                process.wait()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        interruption.install()  # in place of Lightning's handlers, which wait for the other processes within
        if not trainer.ckpt_path:  # the initial weights: what a run that diverges in its first epoch keeps
            trainer.save_checkpoint(self._run.checkpoint("last"))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validated = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validated = True

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        if self._histograms:  # Lightning has cleared the gradients by the epoch's end
            self._gradients = {
                f"gradients/{name}": weight.grad.clone()
                for name, weight in pl_module.named_parameters()
                if weight.grad is not None
            }

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        interruption.check()
        loss = outputs["loss"]
        finite = trainer.strategy.reduce_boolean_decision(bool(torch.isfinite(loss)))
        if not finite:
            raise Diverged(trainer.current_epoch + 1, trainer.global_step, f"the loss became {loss.item()}")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        if not all(bool(torch.isfinite(weight).all()) for weight in pl_module.parameters()):
            raise Diverged(epoch, trainer.global_step, "a weight became non-finite")
        values = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if self._validated or not name.startswith("val/")
        }
        values["lr"] = trainer.optimizers[0].param_groups[0]["lr"]
        metrics = {name: values[name] for name in in_row_order(values)}
        if not all(map(math.isfinite, metrics.values())):
            raise Diverged(epoch, trainer.global_step, "a metric became non-finite")
        row = {"epoch": epoch, "step": trainer.global_step, **metrics}
        if trainer.is_global_zero:
            self._write(row, metrics, pl_module)
        self.rows.append(row)
        self._save(trainer, row)

    def _write(self, row: Mapping[str, float], metrics: Mapping[str, float], module: LightningModule) -> None:
        append_row(self._run.metrics_file, row)
        self.events.scalars(metrics, int(row["epoch"]))
        if self._histograms:
            from torch.utils.tensorboard.summary import histogram

            weights = {f"weights/{name}": weight.detach() for name, weight in module.named_parameters()}
            for tag, values in (weights | self._gradients).items():
                self.events.summary(histogram(tag, values.float().cpu().numpy(), HISTOGRAM_BINS), int(row["epoch"]))

    def _save(self, trainer: Trainer, row: Mapping[str, float]) -> None:
        last = self._run.checkpoint("last")
        trainer.save_checkpoint(last)
        monitor = self._monitor if any(self._monitor in other for other in self.rows) else "train/loss"
        if trainer.is_global_zero and monitor in row and row[monitor] <= best_values(self.rows)[monitor]:
            write_atomically(self._run.checkpoint("best"), last.read_bytes(), durable=False)

    def write_start(self, cfg: DictConfig, regressor: Regressor, data: LightningDataModule) -> None:
        """What TensorBoard shows before the first epoch: hyperparameters and, once, the graph."""
        review.write_start(self.events, cfg, regressor, data, with_graph=not self.rows)

    def write_end(self, regressor: Regressor, data: LightningDataModule) -> None:
        """The final figure."""
        review.write_end(self.events, int(self.rows[-1]["epoch"]), regressor, data)

    def close(self, status: str) -> None:
        """Writes the status and ends the event file."""
        self.events.session_end(status == "done")
        self.events.close()


def in_row_order(names: Iterable[str]) -> list[str]:
    """The metrics of a row, `train/` before `val/`, the learning rate last."""
    return sorted(names, key=lambda name: (name == "lr", name))


def best_values(rows: list[dict[str, float]]) -> dict[str, float]:
    """Each metric's lowest value over the epochs; the learning rate is no metric."""
    names = dict.fromkeys(name for row in rows for name in row if name not in ("epoch", "step", "lr"))
    return {name: min(row[name] for row in rows if name in row) for name in names}


def read_rows(path: Path) -> list[dict[str, float]]:
    """The rows of a `metrics.csv`, without the empty cells; none where there is no file. Raises `ConfigError`."""
    if not path.exists():
        return []
    try:
        with path.open(newline="") as stream:
            return [_numbers(row) for row in csv.DictReader(stream) if None not in row.values()]
    except (ValueError, csv.Error) as error:
        raise ConfigError(f"{path} must hold rows of numbers, but can't be read: {error}") from error


def append_row(path: Path, row: Mapping[str, float]) -> None:
    """Adds a row; a metric that is new gives the file a new column."""
    if path.exists():
        with path.open(newline="") as stream:
            names = next(csv.reader(stream), [])
        if set(row) <= set(names):
            with path.open("a", newline="") as stream:
                csv.DictWriter(stream, names, lineterminator="\n").writerow(row)
            return
    write_rows(path, [*read_rows(path), dict(row)])


def write_rows(path: Path, rows: list[dict[str, float]]) -> None:
    """Writes the whole file anew, complete or not at all."""
    names = dict.fromkeys(name for row in rows for name in row)
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())


def rewind(run: Run, epoch: int) -> None:
    """Takes out of a run's record what lies beyond an epoch, so that a resume can go on from there."""
    rows = [row for row in read_rows(run.metrics_file) if row["epoch"] <= epoch]
    if rows:
        write_rows(run.metrics_file, rows)
    else:
        run.metrics_file.unlink(missing_ok=True)
    events.rewind(run.directory, epoch)
    run.result_file.unlink(missing_ok=True)


def _numbers(row: Mapping[str, str]) -> dict[str, float]:
    return {k: int(v) if k in ("epoch", "step") else float(v) for k, v in row.items() if v}
