"""A run's rows, one an epoch: `metrics.csv`. Knows nothing of training."""

import csv
import io
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from simplenn.errors import ConfigError
from simplenn.metric import (
    LEARNING_RATE,
    OLD_LEARNING_RATE,
    cost,
    current_name,
    is_best_so_far,
    is_measured_before_training,
    objective_of,
    set_of,
)
from simplenn.rundir.atomic import write_atomically, writing
from simplenn.rundir.crash_points import crash_point

SUM = "crc32"  # the last column


def in_row_order(names: Iterable[str]) -> list[str]:
    """The metrics of a row, `train/` before `val/`, the learning rate last."""
    return sorted(names, key=lambda name: (name == LEARNING_RATE, name))


def metrics_of(row: Mapping[str, float]) -> dict[str, float]:
    """A row's metrics; the learning rate is none."""
    return {name: value for name, value in row.items() if name not in ("epoch", "step", LEARNING_RATE)}


def final_metrics(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The final metrics and learning rate of a run with these rows: those of the last epoch in which their set was
    measured, as validation may not have come with the last epoch. A metric that this epoch doesn't have, as it is
    undefined there or no longer declared, has no final value.
    """
    last = {set_of(name): row for row in rows for name in row}
    names = dict.fromkeys(name for row in rows for name in row if name not in ("epoch", "step"))
    return {name: last[set_of(name)][name] for name in names if name in last[set_of(name)]}


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


def read_rows(path: Path, most: int | None = None) -> list[dict[str, float]]:
    """The rows of a `metrics.csv`, at most the first `most`, without the empty cells and their checksums; none where
    there is no file. Raises `ConfigError`, also where a row is not what was written.

    A last line that a kill has cut short, so that no line end follows, is left out. A file without the column of
    checksums, as earlier releases wrote it, is read as it is.
    """
    if not path.exists():
        return []
    try:
        return list(islice(_rows(path.read_bytes()), most))
    except (ValueError, csv.Error) as error:
        raise ConfigError(
            f"{path} must hold the rows of numbers that the run wrote, but {error}; "
            "restore the file, or train the run anew by another name"
        ) from error


def num_sound_rows(path: Path) -> int:
    """How many rows of a `metrics.csv` can be read, up to the first that can't."""
    count = 0
    with suppress(FileNotFoundError, ValueError, csv.Error):
        for _ in _rows(path.read_bytes()):
            count += 1
    return count


def _rows(content: bytes) -> Iterator[dict[str, float]]:
    text = content.decode()
    header, *lines = (line.removesuffix("\r") for line in text[: text.rfind("\n")].split("\n"))
    names = next(csv.reader([header]), [])
    start = crc_start(header.removesuffix(f",{SUM}")) if names[-1:] == [SUM] else None
    if start is None and not all(name in ("epoch", "step", OLD_LEARNING_RATE) or "/" in name for name in names):
        raise ValueError(f"its columns are {header}")  # one of which may be what is left of that of the checksums
    for line, cells in zip(lines, csv.reader(lines), strict=True):
        if "epoch" not in names or len(cells) != len(names):
            raise ValueError(f"a row must have a cell for each column, got {cells}")
        row = dict(zip(names, cells, strict=True))
        if start is not None:
            own = line.rpartition(",")[0]
            if row.pop(SUM) != str(zlib.crc32(own.encode(), start)):
                raise ValueError(f"its row {own} doesn't have the checksum that stands behind it")
        yield {current_name(k): int(v) if k in ("epoch", "step") else float(v) for k, v in row.items() if v}


def append_row(path: Path, row: Mapping[str, float]) -> None:
    """Adds a row; a metric that is new gives the file a new column."""
    if path.exists():
        with path.open() as stream:
            header = stream.readline().rstrip("\n")
        names = next(csv.reader([header]), [])
        if set(row) <= set(names) and names[-1] == SUM:
            _, line = _with_sums(names[:-1], [row])
            crash_point("before write", path)
            with writing(path), path.open("a", newline="") as stream:
                stream.write(line)
            crash_point("after write", path)
            return
    write_rows(path, [*read_rows(path), dict(row)])


def write_rows(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Writes the whole file anew, complete or not at all."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    write_atomically(path, "".join(_with_sums(names, rows)).encode())


def crc_start(header: str) -> int:
    """What the checksum of each row starts from: the CRC-32 of the header, without the column of checksums."""
    return zlib.crc32(f"{header}\n".encode())


def _with_sums(names: Sequence[str], rows: Sequence[Mapping[str, float]]) -> list[str]:
    """The lines of the header and of the rows. A row's last cell is the CRC-32 of the header and the row without it, so
    that neither a digit nor a name that gets another is taken for the run's."""
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    header, *lines = text.getvalue()[:-1].split("\n")
    start = crc_start(header)
    return [f"{header},{SUM}\n", *(f"{line},{zlib.crc32(line.encode(), start)}\n" for line in lines)]
