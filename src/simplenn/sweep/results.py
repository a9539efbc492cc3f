"""`results.csv`: a row per run. Imports no torch, so that a name that isn't there is refused at once.

Columns: `run`, each swept key by its full name, `status`, `epoch`, the final metrics by name, and their best
values as `best/<name>`.
"""

import csv
import heapq
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simplenn.config import closest, did_you_mean, distance
from simplenn.errors import ConfigError
from simplenn.rundir import replacing

if TYPE_CHECKING:
    from simplenn.groups import RunGroup

RESULTS = "results.csv"
NEAREST = 3


def write_results(path: Path, groups: "Sequence[RunGroup]", order: np.ndarray) -> None:
    """`order` puts the groups' runs, one after the other, into the table's order."""
    import polars

    from simplenn.groups.metrics import best_values, final_values

    columns = {"run": _joined([group.names for group in groups], order)}
    for key in dict.fromkeys(key for group in groups for key in group.swept):
        columns[key] = _uniform(_joined([group.swept.get(key) or [None] * len(group) for group in groups], order))
    columns["status"] = _joined([group.ended.status for group in groups], order)
    columns["epoch"] = _joined([group.ended.epoch for group in groups], order)
    frame = polars.DataFrame(columns, strict=False)
    numbers = {}
    for prefix, values_of in (("", final_values), ("best/", best_values)):
        found = [values_of(group.ended) for group in groups]
        for name in dict.fromkeys(name for values in found for name in values):
            own = [values.get(name, np.full(len(group), np.nan)) for values, group in zip(found, groups, strict=True)]
            numbers[prefix + name] = polars.Series(np.concatenate(own)[order], nan_to_null=True)
    frame = frame.with_columns(**{name: values for name, values in numbers.items() if name not in columns})
    with replacing(path) as temporary:
        frame.write_csv(temporary)


def read_results(sweep: Path) -> list[dict[str, str]]:
    """The rows as they stand. Raises `ConfigError` where there are none to read."""
    path = sweep / RESULTS
    try:
        with path.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
    except FileNotFoundError:
        raise ConfigError(f"{sweep} must be a sweep's directory, but has no {RESULTS}; {_sweeps_near(sweep)}") from None
    except (OSError, ValueError, csv.Error) as error:
        raise ConfigError(f"{path} must hold a row per run, but can't be read: {error}") from error
    if any(None in row or None in row.values() or not row.get("run") or not row.get("status") for row in rows):
        raise ConfigError(f"{path} is damaged: it must hold a row per run, with a run and a status in each")
    if not rows:
        raise ConfigError(f"{path} must hold a row per run, and has none; run the sweep anew")
    return rows


def find(name: str, rows: list[dict[str, str]]) -> str:
    """The run of this name, its values in any order and its numbers in any form (`seed=3,optimizer.lr=1e-2`).

    Raises `ConfigError`, naming the nearest, where it is not a run of the sweep.
    """
    if any(row["run"] == name for row in rows):
        return name
    values = parse(name)
    fitting = [row["run"] for row in rows if values and _has(row, values)]
    if len(fitting) == 1:
        return fitting[0]
    if len(fitting) > 1:
        raise ConfigError(f"{name} is not one run of the sweep but {len(fitting)}; add more, or give --where {name}")
    if values:
        near = heapq.nsmallest(NEAREST, rows, key=lambda row: sum(distance(row.get(k, ""), values[k]) for k in values))
        names = [row["run"] for row in near]
    else:
        names = [row["run"] for row in rows]
        names = closest(name, names, NEAREST) or names[:NEAREST]
    raise ConfigError(f"{name} is not a run of the sweep; did you mean {' or '.join(names)}?")


def parse(text: str) -> dict[str, str]:
    """The values by key in `key=value,key=[1,2]`; none where it isn't of that form."""
    pairs = [pair.split("=", 1) for pair in re.split(r",(?![^\[]*\])", text)]
    return {} if any(len(pair) < 2 for pair in pairs) else dict(pairs)


def where(rows: list[dict[str, str]], conditions: dict[str, str]) -> list[str]:
    """The names of the runs with these values in these columns. Raises `ConfigError` for another column."""
    for key in conditions:
        if rows and key not in rows[0]:
            raise ConfigError(f"{key} is not a column of {RESULTS}; {did_you_mean(key, list(rows[0]), 3)}")
    return [row["run"] for row in rows if _has(row, conditions)]


def _has(row: dict[str, str], values: dict[str, str]) -> bool:
    return all(distance(row.get(key, ""), value) == 0 for key, value in values.items())


def _joined(lists: Sequence[Sequence[Any]], order: np.ndarray) -> list[Any]:
    flat = [value for values in lists for value in values]
    return [flat[place] for place in order.tolist()]


def _uniform(values: list[Any]) -> list[Any]:
    """Numbers as they are; anything else as text."""
    if all(isinstance(value, int | float | None) and not isinstance(value, bool) for value in values):
        return values
    return [None if value is None else str(value) for value in values]


def _sweeps_near(sweep: Path) -> str:
    beside = sweep.parent
    sweeps = sorted(entry.name for entry in beside.iterdir() if (entry / RESULTS).is_file()) if beside.is_dir() else []
    return did_you_mean(sweep.name, sweeps) if sweeps else "make one with python scripts/train.py -m"
