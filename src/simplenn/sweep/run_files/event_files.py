"""The TensorBoard files of a run group's runs, with the events that a run's own file has when it trains by itself.

Shapes: R runs, N samples.
"""

# pyright: reportAttributeAccessIssue=false
# (protobuf makes its classes as it is imported, out of a type checker's sight)

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from simplenn.config import flatten
from simplenn.groups import RunGroup
from simplenn.groups.metrics import best_rows, best_values, row_counts
from simplenn.planning import hyperparameters, row_names
from simplenn.rundir import events
from simplenn.rundir.predictions import PredictionFigure
from simplenn.rundir.review import PREDICTIONS, has_figure
from simplenn.rundir.tensorboard_protos import Event
from simplenn.sweep.run_files.event_records import framed, scalar_records
from simplenn.sweep.run_files.log_files import as_file_name


class EventFiles:
    """Makes the files, called `name`. `figure` and `graph` are those of any of the runs, if they have any;
    `all_figures`, whether runs have one that wouldn't leave one in the sweep."""

    def __init__(
        self, group: RunGroup, figure: PredictionFigure | None, graph: bytes | None, *, all_figures: bool = False
    ) -> None:
        self.name = events.file_name(group.finished, as_file_name(group.host))
        self._group = group
        self._figure = figure
        self._counts = row_counts(group.ended)
        self._curves = {name: curve.numpy() for name, curve in group.ended.curves.items()}
        self._bests, self._best_rows = best_values(group.ended), best_rows(group.ended)
        self._begun = group.finished - group.seconds
        values: Any = OmegaConf.to_container(group.cfg)
        self._values = flatten(values)
        choices: Any = OmegaConf.to_container(group.composed.hydra.runtime.choices, resolve=False)
        self._choices = {str(key): str(choice) for key, choice in choices.items()}
        self._all_figures = all_figures
        first = events.first_event(self._begun)
        (self._first,) = framed([first.SerializeToString()])
        graphs = [] if graph is None else [Event(wall_time=self._begun, graph_def=graph).SerializeToString()]
        self._graph = b"".join(framed(graphs)) if graphs else b""
        ends = [self._event(events.end_summary(success, group.finished)) for success in (False, True)]
        self._ends = framed(ends)

    def files(
        self, runs: Sequence[int], metrics_per_epoch: Sequence[Sequence[str]], predictions: np.ndarray | None
    ) -> Iterator[bytes]:
        """The content of each run's file. `metrics_per_epoch` are those in their rows, `predictions` [R, N] are by the
        final weights."""
        outcome = self._group.ended
        starts = framed([self._event(summary, self._begun) for summary in self._starts(runs)])
        curves = {name: curve[:, runs] for name, curve in self._curves.items()}
        scalars, ends = scalar_records(curves, metrics_per_epoch, self._times(), len(runs))
        images, best = self._images(runs, predictions), self._best(runs)
        for place, run in enumerate(runs):
            yield b"".join(
                (
                    self._first,
                    starts[place],
                    self._graph,
                    scalars[place, : ends[self._counts[run]]].tobytes(),
                    images.get(run, b""),
                    best.get(run, b""),
                    self._ends[outcome.status[run] == "done"],
                )
            )

    def _starts(self, runs: Sequence[int]) -> Iterator[Any]:
        group = self._group
        columns = {key: [values[run] for run in runs] for key, values in group.columns.items()}
        hparams = []
        for place, run in enumerate(runs):
            own = {key: _like(self._values[key], values[place]) for key, values in columns.items()}
            name = PurePosixPath(group.subdirs[run]).name
            hparams.append(hyperparameters(self._values | own, group.overrides[run], name, self._choices))
        for own, row in zip(hparams, row_names(group.cfg, columns, hparams), strict=True):
            yield events.start_summary(own, row, self._begun)

    def _has_figure(self, run: int) -> bool:
        return self._group.ended.status[run] == "done" and (self._all_figures or has_figure(self._group.nums[run]))

    def _images(self, runs: Sequence[int], predictions: np.ndarray | None) -> dict[int, bytes]:
        places = [place for place, run in enumerate(runs) if self._has_figure(run)]
        if self._figure is None or predictions is None or not places:
            return {}
        shown = [runs[place] for place in places]
        summaries = (events.image_summary(PREDICTIONS, png) for png in self._figure.pngs(predictions[places]))
        data = [
            self._event(summary, self._group.finished, int(self._counts[run]))
            for run, summary in zip(shown, summaries, strict=True)
        ]
        return dict(zip(shown, framed(data), strict=True))

    def _best(self, runs: Sequence[int]) -> dict[int, bytes]:
        has = [run for run in runs if self._best_rows[run] >= 0]
        values = [{name: v[run].item() for name, v in self._bests.items() if v[run] == v[run]} for run in has]
        data = [
            self._event(
                events.scalar_summary(events.best_scalars(own)), self._group.finished, int(self._best_rows[run]) + 1
            )
            for run, own in zip(has, values, strict=True)
        ]
        return dict(zip(has, framed(data), strict=True)) if data else {}

    def _event(self, summary: Any, seconds: float | None = None, step: int = 0) -> bytes:
        wall_time = self._group.finished if seconds is None else seconds
        return Event(wall_time=wall_time, step=step, summary=summary).SerializeToString()

    def _times(self) -> list[float]:
        return np.linspace(self._begun, self._group.finished, len(self._group.ended.steps) + 1)[1:].tolist()


def _like(example: Any, value: Any) -> Any:
    """The value as the schema types it: 1 as 1.0 where the configuration has a fraction."""
    if isinstance(value, list | tuple):
        return [_like(part, item) for part, item in zip(example, value, strict=True)]
    return float(value) if isinstance(example, float) else value
