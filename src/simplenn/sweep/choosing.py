"""Runs of a sweep by what a person says of them. Imports no torch.

`table` is that of `results`.
"""

import contextlib
import fnmatch
import heapq
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from simplenn.config import closest, did_you_mean, distance
from simplenn.errors import ConfigError
from simplenn.sweep.multirun import num_to_begin, resume_command
from simplenn.sweep.told import canonical

if TYPE_CHECKING:
    import polars

NEXT_KEY = re.compile(r",(?=[A-Za-z_][\w./@]*=)(?![^\[]*\])")  # a comma in a value is followed by no key
NEAREST = 3


def find(name: str, table: "polars.DataFrame", sweep: Path | None = None) -> str:
    """The run of this name, its values in any order and its numbers in any form (`seed=3,optimizer.lr=1e-2`). Of the
    sweep whose directory is given, it may also be one that is not trained yet.

    Raises `ConfigError`, naming the nearest, where it is not a run of the sweep.
    """
    if (table["run"] == name).any():
        return name
    values = parse(name)
    fitting = _fitting(table, values) if values else []
    if len(fitting) == 1:
        return fitting[0]
    if len(fitting) > 1:
        raise ConfigError(f"{name} is not one run of the sweep but {len(fitting)}; add more, or give --where {name}")
    names = table["run"].to_list()
    if values:
        columns = [key for key in values if key in table.columns]
        rows = zip(names, table.select(columns).iter_rows() if columns else [()] * len(names), strict=True)
        near = heapq.nsmallest(
            NEAREST, rows, key=lambda row: _distance(dict(zip(columns, row[1], strict=True)), values)
        )
        names = [run for run, _ in near]
    else:
        names = closest(name, names, NEAREST) or names[:NEAREST]
    if sweep is not None and (num := num_to_begin(sweep, len(table))):
        raise ConfigError(
            f"{name} is none of the {len(table):,} runs that the sweep has so far; {num:,} are left to train: "
            f"{resume_command(sweep)}"
        )
    raise ConfigError(f"{name} is not a run of the sweep; did you mean {' or '.join(names)}?")


def find_all(pattern: str, table: "polars.DataFrame", sweep: Path) -> list[str]:
    """The runs whose names fit, where * stands for any characters and ? for one; else that which `find` finds."""
    fitting = fnmatch.filter(table["run"].to_list(), pattern.replace("[", "[[]"))  # a name's lists have brackets
    return fitting or [find(pattern, table, sweep)]


def parse(text: str) -> dict[str, str]:
    """The values by key in `key=value,key=[1,2]`; none where it isn't of that form."""
    pairs = [pair.split("=", 1) for pair in NEXT_KEY.split(text)]
    return {} if any(len(pair) < 2 for pair in pairs) else dict(pairs)


def where(table: "polars.DataFrame", conditions: Mapping[str, str]) -> list[str]:
    """The names of the runs with these values in these columns. Raises `ConfigError` for another column."""
    for key in conditions:
        if key not in table.columns:
            raise ConfigError(f"{key} is not a column of results.csv; {did_you_mean(key, table.columns, 3)}")
    return _fitting(table, conditions)


def _fitting(table: "polars.DataFrame", values: Mapping[str, str]) -> list[str]:
    import polars

    if any(key not in table.columns for key in values):
        return []
    for key, text in values.items():
        as_text = polars.col(key).cast(polars.String).fill_null("")
        fits = (as_text == text) | (as_text == canonical(text))
        with contextlib.suppress(ValueError):
            fits |= polars.col(key).cast(polars.Float64, strict=False).fill_null(float("nan")) == float(text)
        table = table.filter(fits)
    return table["run"].to_list()


def _distance(own: Mapping[str, object], values: Mapping[str, str]) -> float:
    return sum(distance("" if own.get(key) is None else str(own[key]), text) for key, text in values.items())
