"""`curves.parquet`: a row per run and epoch, with every metric by its name, runs in the order of `results.csv`.

Shapes: R runs, T epochs.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simplenn.rundir import replacing

if TYPE_CHECKING:
    from simplenn.groups import RunGroup

LEVEL = 1  # of zstd: curves in double precision hardly get smaller above it


def write_curves(path: Path, groups: "Sequence[RunGroup]", order: np.ndarray) -> None:
    """`order` puts the groups' runs, one after the other, into the file's order."""
    import polars

    from simplenn.groups.metrics import row_counts

    places = np.argsort(order)  # of each run in the file
    counts_by_group = [row_counts(group.ended) for group in groups]
    counts = np.concatenate(counts_by_group)
    starts = np.zeros(len(order) + 1, np.int64)
    np.cumsum(counts[order], out=starts[1:])
    names = [name for group in groups for name in group.names]
    frame = polars.DataFrame(
        {
            "run": _names([names[k] for k in order.tolist()], counts[order]),
            "epoch": (np.arange(starts[-1]) - np.repeat(starts[:-1], counts[order]) + 1).astype(np.int32),
        }
    )
    for metric in dict.fromkeys(name for group in groups for name in group.ended.curves):
        column = np.full(starts[-1], np.nan)
        first = 0
        for group, own_counts in zip(groups, counts_by_group, strict=True):
            own_starts = starts[places[first : first + len(group)]]
            if metric in group.ended.curves:
                _fill(column, group.ended.curves[metric].numpy(), own_counts, own_starts)
            first += len(group)
        frame = frame.with_columns(polars.Series(metric, column, nan_to_null=bool(np.isnan(column).any())))
    with replacing(path) as temporary:
        frame.write_parquet(temporary, compression="zstd", compression_level=LEVEL, statistics=False)


def read_curves(path: Path, names: Sequence[str], metrics: Sequence[str], num_epochs: int) -> dict[str, np.ndarray]:
    """The curves of these runs, [T, R] in their order; NaN where they have no row or no such value."""
    import polars

    found = polars.scan_parquet(path).filter(polars.col("run").is_in(list(names))).collect()
    place = {name: k for k, name in enumerate(names)}
    runs = np.array([place[name] for name in found["run"].cast(polars.String).to_list()], np.int64)
    epochs = found["epoch"].to_numpy() - 1
    curves = {metric: np.full((num_epochs, len(names)), np.nan) for metric in metrics}
    for metric, curve in curves.items():
        if metric in found.columns:
            curve[epochs, runs] = found[metric].fill_null(float("nan")).to_numpy()
    return curves


def _names(names: Sequence[str], counts: np.ndarray) -> Any:
    """Each run's name once a row, kept as numbers into the list of names."""
    import polars

    return polars.Series(names, dtype=polars.Enum(names)).gather(np.repeat(np.arange(len(names)), counts))


def _fill(column: np.ndarray, curve: np.ndarray, counts: np.ndarray, starts: np.ndarray) -> None:
    """Puts the first `counts` values of each run, [T, R], at its place in the column."""
    consecutive = np.array_equal(starts[1:], starts[:-1] + counts[:-1])
    if consecutive and np.all(counts == len(curve)):
        column[starts[0] : starts[0] + curve.size].reshape(curve.shape[::-1])[:] = curve.T
        return
    for epoch, values in enumerate(curve):
        has = counts > epoch
        column[starts[has] + epoch] = values[has]
