"""Writes what a run leaves while it trains: a row an epoch, scalars, checkpoints. One process writes.

A row is written before its epoch's checkpoint: a kill between the two leaves a row too many, which a resume
takes out and trains again, never one too few.
"""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from omegaconf import DictConfig
from torch import Tensor
from torch.optim import Optimizer

from simplenn import events, interruption, review
from simplenn.divergence import Diverged
from simplenn.metrics import append_row, best_values, in_row_order, read_rows
from simplenn.regressor import Regressor
from simplenn.run import Run, write_atomically

HISTOGRAM_BINS = 30


class Recorder(Checkpoint):
    """Rows to `metrics.csv`, scalars to the event file, `last` and `best` checkpoints.

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
        if launcher is not None and not isinstance(exception, Diverged):
            started = list(launcher.procs)
            launcher.procs.clear()  # else Lightning, which looks after them, ends this process too
            for process in started:
                process.kill()  # it waits for this one, and would for ever
            for process in started:
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

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        values = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if self._validated or not name.startswith("val/")
        }
        values["lr"] = trainer.optimizers[0].param_groups[0]["lr"]
        metrics = {name: values[name] for name in in_row_order(values)}
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
        has_graph = any(event.HasField("graph_def") for event in events.read_events(self.events.path))
        review.write_start(self.events, cfg, regressor, data, with_graph=not has_graph)

    def write_end(self, regressor: Regressor, data: LightningDataModule) -> None:
        """The final figure."""
        review.write_end(self.events, int(self.rows[-1]["epoch"]), regressor, data)

    def close(self, status: str) -> None:
        """Writes the status and ends the event file."""
        try:
            self.events.session_end(status == "done")
        finally:
            self.events.close()
