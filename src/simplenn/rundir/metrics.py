"""A run's rows, one an epoch: `metrics.csv`. Knows nothing of training."""

import csv
import io
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from simplenn.errors import ConfigError
from simplenn.metric import cost, is_best_so_far, is_measured_before_training, objective_of
from simplenn.rundir.atomic import write_atomically, writing
from simplenn.rundir.crash_points import crash_point


def in_row_order(names: Iterable[str]) -> list[str]:
    """The metrics of a row, `train/` before `val/`, the learning rate last."""
    return sorted(names, key=lambda name: (name == "lr", name))


def metrics_of(row: Mapping[str, float]) -> dict[str, float]:
    """A row's metrics; the learning rate is none."""
    return {name: value for name, value in row.items() if name not in ("epoch", "step", "lr")}


class Best:
    """The row with the best objective so far, as `metric.is_best_so_far` says; rows without one don't count."""

    def __init__(self, rows: Iterable[Mapping[str, float]] = ()) -> None:
        self.row: Mapping[str, float] = {}
        self.tag = ""
        self._validated, self._cost = False, math.inf
        for row in rows:
            self.take(row)

    def take(self, row: Mapping[str, float]) -> bool:
        """Adds a row; whether it is the best."""
        tag = objective_of(row)
        if tag not in row:
            return False
        validated, own = not is_measured_before_training(tag), cost(tag, row[tag])
        better = is_best_so_far(validated, own, self._validated, self._cost)
        if better:
            self.row, self.tag = row, tag
            self._validated, self._cost = validated, own
        return better

    @property
    def values(self) -> dict[str, float]:
        """All metrics of that row; none where there is no row."""
        return metrics_of(self.row)


def read_rows(path: Path) -> list[dict[str, float]]:
    """The rows of a `metrics.csv`, without the empty cells; none where there is no file. Raises `ConfigError`.

    A last line that a kill has cut short, so that no line end follows, is left out.
    """
    if not path.exists():
        return []
    try:
        text = path.read_bytes().decode()
        whole = text[: text.rfind("\n") + 1]
        return [_numbers(row) for row in csv.DictReader(io.StringIO(whole))]
    except (ValueError, csv.Error) as error:
        raise ConfigError(f"{path} must hold rows of numbers, but can't be read: {error}") from error


def append_row(path: Path, row: Mapping[str, float]) -> None:
    """Adds a row; a metric that is new gives the file a new column."""
    if path.exists():
        with path.open(newline="") as stream:
            names = next(csv.reader(stream), [])
        if set(row) <= set(names):
            crash_point("before write", path)
            with writing(path), path.open("a", newline="") as stream:
                csv.DictWriter(stream, names, lineterminator="\n").writerow(row)
            crash_point("after write", path)
            return
    write_rows(path, [*read_rows(path), dict(row)])


def write_rows(path: Path, rows: list[dict[str, float]]) -> None:
    """Writes the whole file anew, complete or not at all."""
    names = dict.fromkeys(name for row in rows for name in row)
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    if None in row or None in row.values() or "epoch" not in row:
        raise ValueError(f"a row must have a cell for each column, got {list(row.values())}")
    return {k: int(v) if k in ("epoch", "step") else float(v) for k, v in row.items() if v}
