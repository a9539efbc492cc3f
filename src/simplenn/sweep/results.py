"""`results.csv`: a row per run. Imports no torch, so that a name that isn't there is refused at once.

Columns: `run`, each swept key by its full name, `status`, `epoch`, the final metrics by name, and their best
values as `best/<name>`.
"""

import csv
import heapq
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simplenn.config import ConfigError, nearest
from simplenn.run import replacing

if TYPE_CHECKING:
    from simplenn.sweep.part import Part

RESULTS = "results.csv"
MOST_COMPARED = 300


def write_results(path: Path, parts: "list[Part]", order: np.ndarray) -> None:
    """`order` puts the parts' runs, one after the other, into the table's order."""
    import polars

    columns = {"run": _joined(parts, order, lambda part: part.names)}
    for key in dict.fromkeys(key for part in parts for key in part.swept):
        columns[key] = _uniform(_joined(parts, order, lambda part: part.swept.get(key) or [None] * len(part)))  # noqa: B023
    columns["status"] = _joined(parts, order, lambda part: part.status)
    columns["epoch"] = _joined(parts, order, lambda part: part.epoch)
    frame = polars.DataFrame(columns, strict=False)
    numbers = {}
    for prefix, kind in (("", "finals"), ("best/", "bests")):
        for name in dict.fromkeys(name for part in parts for name in getattr(part, kind)):
            values = [getattr(part, kind).get(name, np.full(len(part), np.nan)) for part in parts]
            numbers[prefix + name] = polars.Series(np.concatenate(values)[order], nan_to_null=True)
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
    return rows


def check_names(names: list[str], rows: list[dict[str, str]]) -> None:
    """Raises `ConfigError`, naming the nearest, where one is no run of the sweep."""
    known = {row["run"]: None for row in rows}
    for name in names:
        if name not in known:
            raise ConfigError(f"{name} is not a run of the sweep; {nearest(name, _sharing_words(name, known), 3)}")


def where(rows: list[dict[str, str]], conditions: dict[str, str]) -> list[str]:
    """The names of the runs with these values in these columns. Raises `ConfigError` for another column."""
    for key in conditions:
        if rows and key not in rows[0]:
            raise ConfigError(f"{key} is not a column of {RESULTS}; {nearest(key, list(rows[0]), 3)}")
    return [row["run"] for row in rows if all(_same(row[key], value) for key, value in conditions.items())]


def _sharing_words(name: str, names: Iterable[str]) -> list[str]:
    """Those that have the most of its words, as the nearest of 100,000 would take seconds to find."""
    words = set(name.split(","))
    return heapq.nlargest(MOST_COMPARED, names, key=lambda other: len(words.intersection(other.split(","))))


def _same(one: str, other: str) -> bool:
    try:
        return one == other or float(one) == float(other)
    except ValueError:
        return False


def _joined(parts: "list[Part]", order: np.ndarray, values: Any) -> list[Any]:
    flat = [value for part in parts for value in values(part)]
    return [flat[place] for place in order.tolist()]


def _uniform(values: list[Any]) -> list[Any]:
    """Numbers as they are; anything else as text."""
    if all(isinstance(value, int | float | None) and not isinstance(value, bool) for value in values):
        return values
    return [None if value is None else str(value) for value in values]


def _sweeps_near(sweep: Path) -> str:
    beside = sweep.parent
    sweeps = sorted(entry.name for entry in beside.iterdir() if (entry / RESULTS).is_file()) if beside.is_dir() else []
    return nearest(sweep.name, sweeps[:50]) if sweeps else "make one with python scripts/train.py -m"
