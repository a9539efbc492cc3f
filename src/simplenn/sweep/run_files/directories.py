"""Writes the directories of a run group's runs, each with the files that the same run leaves when it trains alone.

A directory appears under its name once it is whole. Knows no training.

Shapes: R runs, N samples.
"""

import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
from torch.func import functional_call, vmap

from simplenn.data import TensorDataModule
from simplenn.groups.metrics import best_values, columns_of, final_values, kinds, row_counts
from simplenn.groups.run_group import RunGroup
from simplenn.regressor import Regressor
from simplenn.rundir.predictions import PredictionFigure
from simplenn.rundir.review import graph_of
from simplenn.rundir.run import Result, writing
from simplenn.sweep.run_files.checkpoints import Checkpoints
from simplenn.sweep.run_files.event_files import EventFiles
from simplenn.sweep.run_files.hydra_files import HydraFiles
from simplenn.sweep.run_files.log_files import LogFiles
from simplenn.sweep.run_files.metrics_files import csv_texts

log = logging.getLogger(__name__)

MOST_BY_ITSELF = 500  # TensorBoard's Time Series view selects nothing by itself above this
RUNS_AT_ONCE = 500
BYTES_AT_ONCE = 1 << 27
THREADS = 2

Files = dict[str, bytes]
Cells = Sequence[Sequence[str]]  # the metrics in each epoch's row


def wanted(run_dirs: str, num_runs: int) -> bool:
    """Whether a sweep with `run_dirs` auto, all or none writes its runs' directories."""
    return run_dirs == "all" or (run_dirs == "auto" and num_runs <= MOST_BY_ITSELF)


def write_directories(group: RunGroup, sweep: Path, regressor: Regressor, data: L.LightningDataModule) -> list[bool]:
    """Writes every run's directory in the sweep's; says of each whether it was written or there already.

    `regressor` and `data` are those of any of the runs.
    """
    contents = Contents(group, sweep, regressor, data)
    at_once = max(1, min(RUNS_AT_ONCE, BYTES_AT_ONCE // contents.bytes_per_run, -(-len(group) // THREADS)))
    chunks = [
        (runs[start : start + at_once], cells)
        for cells, runs in kinds(group.ended)
        for start in range(0, len(runs), at_once)
    ]

    def write(chunk: tuple[list[int], Cells]) -> dict[int, bool]:
        return {run: _write(sweep / group.subdirs[run], files) for run, files in contents.of(*chunk)}

    new: dict[int, bool] = {}
    with ThreadPoolExecutor(THREADS) as pool:  # files are written and compressed outside of the interpreter's lock
        for part in pool.map(write, chunks):
            new |= part
    return [new[run] for run in range(len(group))]


def _write(directory: Path, files: Files) -> bool:
    path = str(directory)
    if os.path.lexists(path):
        return False
    temporary = os.path.join(os.path.dirname(path), f".{sha256(path.encode()).hexdigest()[:16]}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with writing(directory):
            _write_whole(temporary, files)
            os.rename(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return True


def _write_whole(directory: str, files: Files) -> None:
    os.makedirs(directory)
    for folder in dict.fromkeys(os.path.dirname(name) for name in files):
        if folder:
            os.mkdir(os.path.join(directory, folder))
    for name, content in files.items():
        with open(f"{directory}/{name}", "wb", buffering=0) as stream:
            rest = memoryview(content)
            while len(rest):  # a disk that gets full takes a part of it, and only then says so
                rest = rest[stream.write(rest) :]


class Contents:
    """What is in the runs' directories."""

    def __init__(self, group: RunGroup, sweep: Path, regressor: Regressor, data: L.LightningDataModule) -> None:
        self._group = group
        self._regressor = regressor.eval()
        self._stacking = Lock()  # functional_call puts the weights into the one module for a moment
        outcome = group.ended
        self._figure, graph, samples = _shown(regressor, data)
        self._hydra = HydraFiles(group, sweep)
        self._checkpoints = Checkpoints(group, regressor)
        self._events = EventFiles(group, self._figure, graph)
        self._logs = LogFiles(group, samples)
        self._last_epochs, self._best_epochs = outcome.last.epoch.tolist(), outcome.best.epoch.tolist()
        self._counts = row_counts(outcome)
        self._curves = {name: curve.numpy() for name, curve in outcome.curves.items()}
        self._finals = {name: values.tolist() for name, values in final_values(outcome).items()}
        self._bests = {name: values.tolist() for name, values in best_values(outcome).items()}
        self.bytes_per_run = 8 * sum(tensor[0].nbytes for tensor in outcome.last.weights.values()) + 2**15

    def of(self, runs: Sequence[int], cells: Cells) -> Iterator[tuple[int, Files]]:
        """Each run's files by their names in its directory; `cells` as their rows have them."""
        outcome = self._group.ended
        predictions = self._predictions(runs)
        last = self._checkpoints.files(outcome.last, runs)
        other = [run for run in runs if -1 < self._best_epochs[run] != self._last_epochs[run]]
        best = self._checkpoints.files(outcome.best, other)
        curves = {name: curve[:, runs] for name, curve in self._curves.items()}
        tables = csv_texts(curves, cells, outcome.steps, self._counts[runs])
        events = self._events.files(runs, cells, predictions)
        names = columns_of(cells)
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
        )

    def _predictions(self, runs: Sequence[int]) -> np.ndarray | None:
        """[R, N], by the final weights."""
        if self._figure is None:
            return None
        weights = {name: tensor[list(runs)] for name, tensor in self._group.ended.last.weights.items()}
        inputs = self._figure.inputs.to(next(iter(weights.values())).dtype)

        def predict(state: dict[str, Any]) -> torch.Tensor:
            return functional_call(self._regressor, state, (inputs,))[:, 0].float()

        with self._stacking, torch.no_grad():
            try:
                return vmap(predict)(weights).numpy()
            except RuntimeError:  # a network that torch.func can't stack
                each = [predict({name: tensor[k] for name, tensor in weights.items()}) for k in range(len(runs))]
                return torch.stack(each).numpy()

    def _outputs(self, predictions: np.ndarray) -> list[float]:
        assert self._figure is not None
        return predictions[self._figure.parts["training"]].tolist()


def _shown(
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
    except Exception:
        log.warning("the graph and the figure could not be made", exc_info=True)
        return None, None, None


def _numbers(values: dict[str, list[float]], names: Sequence[str], run: int) -> dict[str, float]:
    """The run's values in the order of `names`, without those that it doesn't have."""
    own = {name: values[name][run] for name in names if name in values}
    return {name: value for name, value in own.items() if value == value}
