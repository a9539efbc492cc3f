"""Writes what a run leaves while it trains: a row an epoch, scalars, checkpoints. One process writes.

A row is written before its epoch's checkpoints: a kill between the two leaves a row too many, which a resume
takes out and trains again, never one too few. Of the checkpoints `last` comes first, so that a kill leaves a `best`
that can be made from it.
"""

import logging
from typing import Any

from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from omegaconf import DictConfig
from torch import Tensor
from torch.optim import Optimizer

from simplenn import signals
from simplenn.config import flat
from simplenn.metric import is_measured_before_training
from simplenn.planning import hyperparameters, row_names
from simplenn.regressor import Regressor
from simplenn.rundir import Best, Result, Run, append_row, events, read_rows, review, write_atomically
from simplenn.training.divergence import Diverged
from simplenn.training.processes import end_started_processes
from simplenn.training.rows import Row, Rows, own_entries

log = logging.getLogger(__name__)


class Recorder(Rows):
    """Rows to `metrics.csv`, scalars to the event file, `last` and `best` checkpoints, which say whose they are."""

    def __init__(self, run: Run, identity: str, histograms: bool = False) -> None:
        super().__init__(read_rows(run.metrics_file))
        self.best = Best(self.rows)
        self._run = run
        self._identity = identity
        self._histograms = histograms
        self._has_warned_of_histograms = False
        self._events: events.EventFile | None = None
        self._gradients: dict[str, Tensor] = {}

    @property
    def events(self) -> events.EventFile:
        if self._events is None:
            self._events = events.EventFile(self._run.directory)
        return self._events

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if not isinstance(exception, Diverged):  # which all processes of the run find out by themselves
            end_started_processes(trainer, exception)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        signals.install()  # in place of Lightning's handlers, which wait for the other processes within
        if not trainer.ckpt_path:  # the initial weights: what a run that diverges in its first epoch keeps
            trainer.save_checkpoint(self._run.checkpoint("last"))

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint.update(own_entries(int(self.rows[-1]["epoch"]) if self.rows else 0, self._identity))

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
        signals.raise_if_received()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        row = self._row(trainer)
        with signals.deferred():  # a signal finds the row and both checkpoints of one epoch
            if trainer.is_global_zero:
                self._write(row, pl_module)
            self.rows.append(row)  # in every process: all of them save, and must agree on what is the best
            self._save(trainer, self.best.take(row))

    def _write(self, row: Row, module: LightningModule) -> None:
        append_row(self._run.metrics_file, row)
        self.events.scalars({name: v for name, v in row.items() if name not in ("epoch", "step")}, int(row["epoch"]))
        if self._histograms:
            weights = {f"weights/{name}": weight.detach() for name, weight in module.named_parameters()}
            left_out = review.write_histograms(self.events, int(row["epoch"]), weights | self._gradients)
            if left_out and not self._has_warned_of_histograms:
                log.warning(
                    "no histogram of %s in epoch %d: its values are not finite or too large", left_out[0], row["epoch"]
                )
                self._has_warned_of_histograms = True

    def _save(self, trainer: Trainer, is_best: bool) -> None:
        """`best` has the weights that the objective was measured on. `rewind` finishes what a kill between any two of
        these steps has begun.
        """
        last, best, following = map(self._run.checkpoint, ("last", "best", "next"))
        if is_best and is_measured_before_training(self.best.tag):  # on the weights that `last` still has
            trainer.save_checkpoint(following)
            if trainer.is_global_zero:
                self._run.take_next()
        else:
            trainer.save_checkpoint(last)
            if is_best and trainer.is_global_zero:
                write_atomically(best, last.read_bytes(), durable=False)

    def write_start(self, cfg: DictConfig, regressor: Regressor, data: LightningDataModule) -> None:
        """What TensorBoard shows before the first epoch: hyperparameters and, once, the graph."""
        has_graph = any(event.HasField("graph_def") for event in events.read_events(self.events.path))
        hparams = _hyperparameters(self._run, cfg)
        (row,) = row_names(cfg, {}, [hparams])
        review.write_start(self.events, hparams, row, regressor, data, with_graph=not has_graph)

    def write_end(self, regressor: Regressor, data: LightningDataModule) -> None:
        """The final figure, where the run is to have one."""
        if review.has_figure(self._run.num):
            review.write_end(self.events, int(self.rows[-1]["epoch"]), regressor, data)

    def close(self, result: Result) -> None:
        """Writes the best values and the status, and ends the event file."""
        try:
            if result.best:
                self.events.scalars(events.best_scalars(result.best), int(self.best.row["epoch"]))
            self.events.session_end(result.status == "done")
        finally:
            self.events.close()


def _hyperparameters(run: Run, cfg: DictConfig) -> dict[str, Any]:
    """By what the command was told, where that is known."""
    told, choices = (run.overrides, run.choices) if run.is_told else ([], {})
    return hyperparameters(flat(cfg), told, run.directory.name, choices)
