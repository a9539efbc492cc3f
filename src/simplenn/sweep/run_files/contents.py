"""What is in the directories of a run group's runs: each file's bytes, made for many runs at once.

Shapes: R runs, N samples.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
from torch.func import functional_call, vmap

from simplenn.data import TensorDataModule
from simplenn.errors import ConfigError
from simplenn.groups import RunGroup
from simplenn.groups.metrics import best_values, columns_of, final_values, row_counts
from simplenn.regressor import Regressor
from simplenn.rundir import Result
from simplenn.rundir.predictions import PredictionFigure
from simplenn.rundir.review import graph_of
from simplenn.sweep.run_files.checkpoints import Checkpoints
from simplenn.sweep.run_files.event_files import EventFiles
from simplenn.sweep.run_files.hydra_files import HydraFiles
from simplenn.sweep.run_files.log_files import LogFiles
from simplenn.sweep.run_files.metrics_files import csv_texts

log = logging.getLogger(__name__)

Files = dict[str, bytes]  # by their names in a run's directory
MetricsPerEpoch = Sequence[Sequence[str]]  # the metrics in each epoch's row


class Contents:
    """Makes the files of the group's runs in `sweep`; `regressor` and `data` are those of any of them.

    `bytes_per_run` is an estimate of what a run's files take in memory.
    """

    def __init__(
        self,
        group: RunGroup,
        sweep: Path,
        regressor: Regressor,
        data: L.LightningDataModule,
        *,
        all_figures: bool = False,
    ) -> None:
        self._group = group
        self._regressor = regressor.eval()
        self._regressor_lock = Lock()  # functional_call puts weights into the one module, and threads share it
        outcome = group.ended
        self._figure, graph, samples = _figure_graph_samples(regressor, data)
        self._hydra = HydraFiles(group, sweep)
        self._checkpoints = Checkpoints(group, regressor)
        self._events = EventFiles(group, self._figure, graph, all_figures=all_figures)
        self._logs = LogFiles(group, samples)
        self._last_epochs, self._best_epochs = outcome.last.epoch.tolist(), outcome.best.epoch.tolist()
        self._counts = row_counts(outcome)
        self._curves = {name: curve.numpy() for name, curve in outcome.curves.items()}
        self._finals = {name: values.tolist() for name, values in final_values(outcome).items()}
        self._bests = {name: values.tolist() for name, values in best_values(outcome).items()}
        self.bytes_per_run = 8 * sum(tensor[0].nbytes for tensor in outcome.last.weights.values()) + 2**15

    def of(self, runs: Sequence[int], metrics_per_epoch: MetricsPerEpoch) -> Iterator[tuple[int, Files]]:
        """Each run's files. The runs are such as have these metrics in their rows."""
        outcome = self._group.ended
        predictions = self._predictions(runs)
        last = self._checkpoints.files(outcome.last, [run for run in runs if self._last_epochs[run] >= 0])
        # where the best state is the last one, best.ckpt is a copy
        differing = [run for run in runs if -1 < self._best_epochs[run] != self._last_epochs[run]]
        best = self._checkpoints.files(outcome.best, differing)
        curves = {name: curve[:, runs] for name, curve in self._curves.items()}
        tables = csv_texts(curves, metrics_per_epoch, outcome.steps, self._counts[runs])
        events = self._events.files(runs, metrics_per_epoch, predictions)
        names = columns_of(metrics_per_epoch)
        for place, (run, table, event_file) in enumerate(zip(runs, tables, events, strict=True)):
            result = self._result(run, names)
            outputs = None if predictions is None or self._figure is None else self._outputs(predictions[place])
            files = {f".hydra/{name}": content for name, content in self._hydra.of(run).items()}
            if self._logs.name:
                files[self._logs.name] = self._logs.file(result, outputs)
            files[self._events.name] = event_file
            if table:
                files["metrics.csv"] = table
            if self._best_epochs[run] >= 0:
                files["checkpoints/best.ckpt"] = best.get(run, last[run])
            if run in last:
                files["checkpoints/last.ckpt"] = last[run]
            files["result.json"] = result.text.encode()
            yield run, files

    def _result(self, run: int, names: Sequence[str]) -> Result:
        group = self._group
        return Result(
            status=group.ended.status[run],
            epoch=group.ended.epoch[run],
            metrics=_numbers(self._finals, names, run),
            best=_numbers(self._bests, names, run),
            seed=group.seeds[run],
            seconds=group.seconds,
            versions=group.versions,
            message=group.ended.message[run],
            identity=group.identities[run],
            code=group.code,
        )

    def _predictions(self, runs: Sequence[int]) -> np.ndarray | None:
        """[R, N], by the final weights."""
        if self._figure is None:
            return None
        weights = {name: tensor[list(runs)] for name, tensor in self._group.ended.last.weights.items()}
        inputs = self._figure.inputs.to(next(iter(weights.values())).dtype)

        def predict(state: dict[str, Any]) -> torch.Tensor:
            return functional_call(self._regressor, state, (inputs,))[:, 0].float()

        with self._regressor_lock, torch.no_grad():
            try:
                return vmap(predict)(weights).numpy()
            except RuntimeError:  # a network that torch.func can't stack
                each = [predict({name: tensor[k] for name, tensor in weights.items()}) for k in range(len(runs))]
                return torch.stack(each).numpy()

    def _outputs(self, predictions: np.ndarray) -> list[float]:
        assert self._figure is not None
        return predictions[self._figure.parts["training"]].tolist()


def _figure_graph_samples(
    regressor: Regressor, data: L.LightningDataModule
) -> tuple[PredictionFigure | None, bytes | None, tuple[list[list[float]], list[float]] | None]:
    """The figure, the graph, the training samples; what goes wrong with them is no failure of the runs."""
    if not isinstance(data, TensorDataModule):
        return None, None, None
    try:
        figure = PredictionFigure(data)
        assert data.train is not None
        x, y = data.train.tensors
        return figure, graph_of(regressor, data), (x.tolist(), y[:, 0].tolist())
    except Exception as error:
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            raise ConfigError(f"the data of the runs must fit into memory: {' '.join(str(error).split())}") from error
        log.warning("the graph and the figure could not be made", exc_info=True)
        return None, None, None


def _numbers(values: dict[str, list[float]], names: Sequence[str], run: int) -> dict[str, float]:
    """The run's values in the order of `names`, without those that it doesn't have."""
    own = {name: values[name][run] for name in names if name in values}
    return {name: value for name, value in own.items() if value == value}
