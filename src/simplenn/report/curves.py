"""The metrics of many runs epoch by epoch, as bands: their median and their 10 % and 90 % quantiles. Imports no torch.

Shapes: T epochs, n runs of a setting.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars

from simplenn.report.settings import quantiles
from simplenn.report.study import Study
from simplenn.rundir import Run, read_rows
from simplenn.sweep.parts import CURVES, Part, find_parts


class Piece(NamedTuple):
    """Curves [T, n] of the runs of these numbers; T is that of all runs beside them, `longest` that of their own."""

    numbers: np.ndarray
    curves: np.ndarray
    longest: int


@dataclass(frozen=True)
class Band:
    """Each [T]: the epochs in which the runs have the metric, from 1, and its quantiles over them. A diverged run has
    the worst value from where its curve ends."""

    epochs: np.ndarray
    median: np.ndarray
    q10: np.ndarray
    q90: np.ndarray
    n: int


def bands_of(study: Study, settings: Sequence[str]) -> dict[str, Band]:
    """Of the objective, of the settings that have curves. Raises `Damaged`."""
    curves = objectives_by_epoch(study, settings)
    return {setting: band_of(curve) for setting, curve in curves.items() if not np.isnan(curve).all()}


def objectives_by_epoch(study: Study, settings: Sequence[str]) -> dict[str, np.ndarray]:
    """The objective [T, n] by setting, of the runs that count in `Study.settings`: NaN where a run has no such value,
    the worst value where a diverged run has none any more. Each part's file is read once. Raises `Damaged`."""
    runs = study.runs.select("setting", "status", "value").with_columns(
        study.places.select("sweep", "subdir", "part", "row")
    )
    runs = runs.filter(polars.col("setting").is_in(list(settings)) & polars.col("value").is_not_null())
    found = list(pieces_of(study, runs, study.objective))
    num_epochs = max((len(piece.curves) for piece in found), default=0)
    whole = np.full((num_epochs, len(runs)), np.nan)
    for piece in found:
        whole[: len(piece.curves), piece.numbers] = piece.curves
    diverged = np.flatnonzero((runs["status"] == "diverged").to_numpy())
    ended = np.flip(np.logical_and.accumulate(np.flip(np.isnan(whole[:, diverged]), 0), 0), 0)
    whole[:, diverged] = np.where(ended, study.worst, whole[:, diverged])
    places = runs.with_row_index("number").group_by("setting", maintain_order=True).agg("number")
    return {setting: whole[:, np.asarray(numbers)] for setting, numbers in places.iter_rows()}


def pieces_of(
    study: Study, runs: polars.DataFrame, metric: str, of_run: Callable[[Path, str], np.ndarray] | None = None
) -> Iterator[Piece]:
    """The curves of the runs in these rows, which have `sweep`, `subdir`, `part` and `row` as `Study.places` does. Each
    part's file is read once; `of_run` reads a run's directory, by default as `curve_of_run`. Raises `Damaged`."""
    of_run = of_run or curve_of_run
    runs = runs.with_row_index("number")
    parts = {(sweep, part.number): part for sweep, path in enumerate(study.sweeps) for part in find_parts(path)}
    stacked = runs.filter(polars.col("part").is_not_null())
    for (sweep, part), own in stacked.group_by("sweep", "part", maintain_order=True):
        numbers, rows = own["number"].to_numpy(), own["row"].to_numpy()
        yield Piece(numbers, *_of_part(parts[sweep, part], rows, metric))  # pyright: ignore[reportArgumentType]
    alone = runs.filter(polars.col("part").is_null())
    for number, sweep, subdir in alone.select("number", "sweep", "subdir").iter_rows():
        curve = of_run(study.sweeps[sweep] / subdir, metric)
        yield Piece(np.array([number]), curve, len(curve))


def band_of(curves: np.ndarray) -> Band:
    """The band of curves [T, n]; an epoch in which only diverged runs have a value is left out."""
    counts = (~np.isnan(curves)).sum(axis=1)
    has = np.isfinite(curves).any(axis=1)
    ordered = np.sort(curves[has], axis=1)  # NaN last
    starts = np.arange(len(ordered)) * curves.shape[1]
    low, middle, high = (quantiles(ordered.reshape(-1), starts, counts[has], share) for share in (0.1, 0.5, 0.9))
    return Band(np.flatnonzero(has) + 1, middle, low, high, curves.shape[1])


def _of_part(part: Part, rows: np.ndarray, metric: str) -> tuple[np.ndarray, int]:
    """[T, n], of the runs in these rows, and how many epochs they have at most."""
    part.verify([CURVES])
    counts = part.table["num_rows"].to_numpy()
    path = part.path / CURVES
    if metric not in part.structure["curves"]:
        return np.full((0, len(rows)), np.nan), 0
    frame = part.sound(CURVES, lambda: polars.read_parquet(path, columns=["epoch", metric]))
    place = np.full(len(counts), -1)
    place[rows] = np.arange(len(rows))
    runs = np.repeat(place, counts)
    wanted = runs >= 0
    curves = np.full((int(counts.max(initial=0)), len(rows)), np.nan)
    values = frame[metric].cast(polars.Float64).fill_null(float("nan")).to_numpy()
    curves[frame["epoch"].to_numpy()[wanted] - 1, runs[wanted]] = values[wanted]
    return curves, int(counts[rows].max(initial=0))


def curve_of_run(directory: Path, metric: str) -> np.ndarray:
    """[T, 1], of a run that trained by itself. Raises `ConfigError` for a damaged metrics.csv."""
    rows = read_rows(Run(directory).metrics_file)
    curve = np.full((max((int(row["epoch"]) for row in rows), default=0), 1), np.nan)
    for row in rows:
        curve[int(row["epoch"]) - 1, 0] = row.get(metric, np.nan)
    return curve
