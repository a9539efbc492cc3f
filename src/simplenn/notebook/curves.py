"""The curves of all runs of a sweep in one table. Imports no torch.

Shapes: R runs.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars

from simplenn.metric import LEARNING_RATE, OLD_LEARNING_RATE
from simplenn.rundir import Run, in_row_order, read_rows
from simplenn.sweep.all_runs import KEY
from simplenn.sweep.parts import CURVES, Part, find_parts

PLACE = "place"  # the run's row in the table of all runs


def curves_of(sweep: Path, runs: polars.DataFrame) -> polars.DataFrame:
    """A row per run and epoch, in the order of `runs`, which are those of `all_runs`: the run's name, what was swept,
    `epoch`, then each metric. Raises `Damaged`, and `ConfigError` for a damaged metrics.csv."""
    frames = list(_pieces(sweep, runs.with_row_index(PLACE)))
    keys = [name for name in runs.columns if name.startswith(KEY)]
    labels = runs.select("run", *(polars.col(name).alias(name.removeprefix(KEY)) for name in keys))
    if not frames:
        return labels.head(0).with_columns(epoch=polars.lit(0, polars.Int32))
    curves = polars.concat(frames, how="diagonal_relaxed")
    if not curves[PLACE].is_sorted():
        curves = curves.sort(PLACE, "epoch", maintain_order=True)
    metrics = in_row_order(set(curves.columns) - {PLACE, "epoch", "step", *labels.columns})
    return polars.concat([labels[curves[PLACE]], curves.select("epoch", *metrics)], how="horizontal")


def _pieces(sweep: Path, runs: polars.DataFrame) -> Iterator[polars.DataFrame]:
    parts = {part.number: part for part in find_parts(sweep)}
    for (number,), own in runs.drop_nulls("part").group_by("part", maintain_order=True):
        yield _of_part(parts[int(str(number))], own)
    for place, subdir in runs.filter(polars.col("part").is_null()).select(PLACE, "subdir").iter_rows():
        rows = read_rows(Run(sweep / subdir).metrics_file)
        if rows:
            frame = polars.DataFrame([{PLACE: place} | row for row in rows], infer_schema_length=None)
            yield frame.with_columns(polars.col(PLACE).cast(polars.UInt32), polars.col("epoch").cast(polars.Int32))


def _of_part(part: Part, own: polars.DataFrame) -> polars.DataFrame:
    """The curves of the runs in these rows of the part."""
    part.verify([CURVES])
    table = part.sound(CURVES, lambda: polars.read_parquet(part.path / CURVES))
    places = np.full(len(part.table), -1)
    places[own["row"].to_numpy()] = own[PLACE].to_numpy()
    of_each = np.repeat(places, part.table["num_rows"].to_numpy())  # the runs' rows stand together, in their order
    table = table.rename({OLD_LEARNING_RATE: LEARNING_RATE}, strict=False)  # in a part of an earlier release
    table = table.drop("run").with_columns(polars.Series(PLACE, of_each))
    return table.filter(polars.col(PLACE) >= 0).with_columns(polars.col(PLACE).cast(polars.UInt32))
