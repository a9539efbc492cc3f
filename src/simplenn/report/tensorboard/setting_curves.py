"""How the runs of a setting went, epoch by epoch: quantiles over them. Imports no torch.

Shapes: R runs, T epochs, S settings.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars

from simplenn.errors import ConfigError
from simplenn.metric import declared
from simplenn.report.curves import curve_of_run, pieces_of
from simplenn.report.settings import quantiles
from simplenn.report.study import Study

log = logging.getLogger(__name__)

SHARES = {"median": 0.5, "q10": 0.1, "q90": 0.9}
MOST_VALUES = 500_000_000  # of one metric, which take two gigabytes


class Curves(NamedTuple):
    """[T, S] each, by the names of `SHARES`: NaN where no run of the setting has a value, infinite where so many have
    diverged that the quantile is one of theirs."""

    median: np.ndarray
    q10: np.ndarray
    q90: np.ndarray


def quantiles_by_epoch(study: Study, settings: Sequence[str], tags: Sequence[str]) -> dict[str, Curves]:
    """The curves of these settings' runs that count, by metric, of those metrics that they have. A diverged run counts
    with the worst value from the epoch on in which it diverged. Raises `Damaged`."""
    number = {setting: place for place, setting in enumerate(settings)}
    runs = polars.concat([study.runs.select("setting", "status", "value"), study.places], how="horizontal")
    runs = runs.with_columns(polars.col("setting").replace_strict(number, default=None, return_dtype=polars.Int64))
    runs = runs.filter(polars.col("setting").is_not_null() & polars.col("value").is_not_null())
    runs = runs.sort("setting", maintain_order=True)
    found = {tag: values for tag in tags if (values := _values(study, runs, tag)) is not None}
    return {tag: _quantiles_of(values, runs["setting"].to_numpy(), len(settings)) for tag, values in found.items()}


def _values(study: Study, runs: polars.DataFrame, tag: str) -> np.ndarray | None:
    """[T, R], NaN where a run has no value; `None` where no run has one, or where they are too many to hold."""
    found = pieces_of(study, runs, tag, _of_sound_run)
    pieces = [(piece.numbers, piece.curves[: piece.longest].astype(np.float32)) for piece in found]
    num_epochs = max((len(own) for _, own in pieces), default=0)
    if num_epochs * len(runs) > MOST_VALUES:
        log.warning(
            "no curves of %s: %s runs of %s epochs don't fit in memory", tag, f"{len(runs):,}", f"{num_epochs:,}"
        )
        return None
    if not num_epochs:
        return None
    values = np.full((num_epochs, len(runs)), np.nan, np.float32)
    for places, own in pieces:
        values[: len(own), places] = own
    ends = _ends(values)
    for place in np.flatnonzero((runs["status"] == "diverged").to_numpy()):
        values[ends[place] :, place] = declared(tag).worst
    return values


def _of_sound_run(directory: Path, tag: str) -> np.ndarray:
    try:
        return curve_of_run(directory, tag)
    except ConfigError as error:
        log.warning("a run is left out of the curves: %s", error)
        return np.empty((0, 1))


def _ends(values: np.ndarray) -> np.ndarray:
    """[R]: the number of epochs up to the last that has a value."""
    has = ~np.isnan(values)
    return np.where(has.any(axis=0), len(values) - has[::-1].argmax(axis=0), 0)


def _quantiles_of(values: np.ndarray, settings: np.ndarray, num_settings: int) -> Curves:
    """Of the runs [R] of each setting, which stand side by side."""
    starts = np.searchsorted(settings, np.arange(num_settings + 1))
    curves: Mapping[str, np.ndarray] = {name: np.full((len(values), num_settings), np.nan) for name in SHARES}
    for setting in range(num_settings):
        own = np.sort(values[:, starts[setting] : starts[setting + 1]].astype(np.float64), axis=1)  # NaN last
        firsts = np.arange(len(own)) * own.shape[1]
        counts = (~np.isnan(own)).sum(axis=1)
        for name, share in SHARES.items():
            curves[name][:, setting] = quantiles(own.reshape(-1), firsts, counts, share) if own.size else np.nan
    return Curves(**curves)
