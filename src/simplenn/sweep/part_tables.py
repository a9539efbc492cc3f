"""The tables of a part: a row per run, and a row per run and epoch.

`runs.parquet` has for each run its name (`run`), `subdir`, `num`, `identity`, `status`, `message`, `epoch`, `num_rows`
(in `curves.parquet`, where its rows stand together in the order of the runs); the texts of the overrides that are not
the same in all runs as `override/<place>`; the values of the group's columns as `column/<key>`, as JSON where they are
not of one type; each metric's final value as `final/<name>` and that of the best epoch as `best/<name>`.

Shapes: R runs, T epochs.
"""

import json
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import polars

from simplenn.groups import RunGroup
from simplenn.groups.metrics import best_values, final_values, row_counts

LEVEL = 1  # of zstd; curves in double precision hardly get smaller than by lz4, which is faster
ROWS_AT_ONCE = 2**16  # of a row group: so much is decoded to read one run
FEW = 64  # runs, up to which each is read by itself


def write(group: RunGroup, runs: Path, curves: Path) -> None:
    """Raises what polars or the system raise."""
    _write(_runs(group), runs, compression="zstd", compression_level=LEVEL, statistics=False)
    _write(_curves(group), curves, compression="lz4", statistics=False, row_group_size=ROWS_AT_ONCE)


def _write(table: polars.DataFrame, path: Path, **options: Any) -> None:
    try:
        table.write_parquet(path, **options)
    except polars.exceptions.PolarsError:
        # the last bytes of the file fail without the system's reason, which is asked for by writing some more
        with path.open("ab", buffering=0) as stream:
            stream.write(bytes(ROWS_AT_ONCE))
        raise


def described(group: RunGroup) -> dict[str, Any]:
    """What the tables leave to the part's structure."""
    return {
        "overrides": _template(group.overrides),
        "columns": {key: "json" if _type_of(values) is None else "values" for key, values in group.columns.items()},
        "curves": list(group.ended.curves),
    }


def _runs(group: RunGroup) -> polars.DataFrame:
    outcome = group.ended
    columns: dict[str, Any] = {
        "run": group.names,
        "subdir": group.subdirs,
        "num": group.nums,
        "identity": group.identities,
        "status": outcome.status,
        "message": outcome.message,
        "epoch": outcome.epoch,
        "num_rows": row_counts(outcome),
    }
    for place, text in enumerate(_template(group.overrides)):
        if text is None:
            texts = [overrides[place] if place < len(overrides) else None for overrides in group.overrides]
            columns[f"override/{place}"] = polars.Series(texts, dtype=polars.String)
    for key, values in group.columns.items():
        kind = _type_of(values)
        texts = [json.dumps(value) for value in values] if kind is None else values
        columns[f"column/{key}"] = polars.Series(texts, dtype=kind or polars.String)
    for prefix, values in (("final", final_values(outcome)), ("best", best_values(outcome))):
        columns |= {f"{prefix}/{name}": polars.Series(numbers, nan_to_null=True) for name, numbers in values.items()}
    return polars.DataFrame(columns)


def _template(overrides: Sequence[Sequence[str]]) -> list[str | None]:
    """The overrides that all runs have, in their places; `None` for one that differs, or that some runs lack."""
    sets = [set(texts) for texts in zip_longest(*overrides)]
    return [texts.pop() if len(texts) == 1 else None for texts in sets]


def _type_of(values: Sequence[Any]) -> Any:
    """The type of a column that gives each value back as it is; `None` where none does, as for whole numbers among
    fractions."""
    types = set(map(type, values))
    if types == {float}:
        return polars.Float64
    return polars.Int64 if types == {int} and min(values) >= -(2**63) and max(values) < 2**63 else None


def column_of(key: str, kind: str, table: polars.DataFrame) -> list[Any]:
    """The values of the group's column in these rows."""
    values = table[f"column/{key}"].to_list()
    return [json.loads(value) for value in values] if kind == "json" else values


def _curves(group: RunGroup) -> polars.DataFrame:
    counts = row_counts(group.ended)
    has = np.arange(len(group.ended.steps)) < counts[:, None]  # [R, T]
    names = polars.Series("run", group.names, dtype=polars.Enum(list(dict.fromkeys(group.names))))
    columns: dict[str, Any] = {
        "run": names.gather(np.repeat(np.arange(len(group)), counts)),
        "epoch": np.broadcast_to(np.arange(1, len(group.ended.steps) + 1, dtype=np.int32), has.shape)[has],
    }
    is_whole = bool(has.all())
    for metric, curve in group.ended.curves.items():
        values = curve.numpy().T
        values = np.ascontiguousarray(values).reshape(-1) if is_whole else values[has]
        columns[metric] = polars.Series(values, nan_to_null=bool(np.isnan(values).any()))
    return polars.DataFrame(columns)


def read_curves(
    path: Path, num_rows: np.ndarray, runs: Sequence[int], metrics: Sequence[str], num_epochs: int
) -> dict[str, np.ndarray]:
    """The curves of these runs, [T, R]; NaN where a run has no row or no such value. `num_rows` are all runs'."""
    starts = np.concatenate([[0], np.cumsum(num_rows)])
    curves = {metric: np.full((num_epochs, len(runs)), np.nan) for metric in metrics}
    if len(runs) <= FEW:
        for place, run in enumerate(runs):
            frame = polars.scan_parquet(path).slice(int(starts[run]), int(num_rows[run])).collect()
            for metric, curve in curves.items():
                curve[: len(frame), place] = _numbers(frame[metric])
        return curves
    frame = polars.read_parquet(path, columns=list(metrics))
    own = np.asarray(runs)
    for metric, curve in curves.items():
        values = _numbers(frame[metric])
        for epoch in range(num_epochs):
            has = num_rows[own] > epoch
            curve[epoch, has] = values[starts[own[has]] + epoch]
    return curves


def _numbers(series: polars.Series) -> np.ndarray:
    return series.fill_null(float("nan")).to_numpy()
