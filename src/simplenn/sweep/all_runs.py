"""All runs of a sweep as one table: those in its parts, and those that trained by themselves, from their directories.

Columns: `run`, `subdir`, `num`, `identity`, `status`, `message`, `epoch`; where the run is in a part, `part` and `row`,
and the CRC-32 of its group's configuration as `cfg`; the names of what changed of its code while it trained as
`changed_code`, empty where nothing did; the values of each swept key as `key/<key>`, final metrics as
`final/<name>`, best ones as `best/<name>`. Runs stand in the order of Hydra's job numbers. Imports no torch.
"""

import zlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars

from simplenn.config import with_length
from simplenn.metric import LEARNING_RATE
from simplenn.rundir import changed_code
from simplenn.sweep.multirun import keys_planned
from simplenn.sweep.part_values import PartValues
from simplenn.sweep.parts import STRUCTURE, Part, find_parts
from simplenn.sweep.run_directories import run_directories
from simplenn.sweep.single_runs import SingleRun, ended_later

KEY, FINAL, BEST = "key/", "final/", "best/"
LENGTH = "trainer.max_epochs"
FIRST = ("run", "subdir", "num", "identity", "status", "message", "epoch")


def all_runs(sweep: Path) -> polars.DataFrame:
    """Of several parts that hold a run the one with the highest number counts, and a directory only where its run has
    come further than in the part. Raises `Damaged`, and `ConfigError` for a sweep of an earlier release."""
    return all_runs_of([sweep]).drop("sweep")


def all_runs_of(sweeps: Sequence[Path]) -> polars.DataFrame:
    """The runs of several sweeps, with the place of each run's sweep among them as `sweep`. A key counts as swept where
    two runs differ in it, also if no single sweep goes over it. A run that two sweeps have is there twice."""
    sources: list[PartValues | SingleRun] = []
    frames, are_last = [], []
    for number, sweep in enumerate(sweeps):
        own, frame = _gathered(sweep)
        sources += own
        frames.append(frame.with_columns(sweep=polars.lit(number, polars.Int64)))
        are_last.append(_is_last(frame))
    planned = {key for sweep in sweeps for key in keys_planned(sweep)}
    keys = _swept(sources, planned)
    values = {f"{KEY}{key}": _joined([source.values(key) for source in sources]) for key in keys}
    runs = polars.concat(frames, how="diagonal_relaxed").with_columns(**values)
    runs = runs.filter(polars.concat(are_last)).sort("sweep", "num", maintain_order=True)
    ordered = ["sweep", *FIRST, "part", "row", "cfg", "changed_code", *values]
    return runs.select(*ordered, *_metrics(runs.columns, FINAL), *_metrics(runs.columns, BEST))


def _gathered(sweep: Path) -> "tuple[list[PartValues | SingleRun], polars.DataFrame]":
    """What has the runs of a sweep, and a row for each of their runs in the same order; some of them twice."""
    parts = [PartValues(part) for part in find_parts(sweep)]
    frames = [_of_part(values.part) for values in parts]
    stacked = polars.concat(frames, how="diagonal_relaxed") if frames else _nothing()
    singles = _singles(sweep, stacked)
    rows = [single.row for single in singles]
    if len({single.constant(LENGTH) for single in singles if LENGTH in single.keys}) > 1:  # there, each is a run
        for row, single in zip(rows, singles, strict=True):
            row["identity"] = row["identity"] and with_length(row["identity"], int(single.constant(LENGTH)))
    alone = polars.DataFrame(rows, infer_schema_length=None) if singles else _nothing()
    return [*parts, *singles], polars.concat([stacked, alone], how="diagonal_relaxed")


def _of_part(part: Part) -> polars.DataFrame:
    table, cfg = part.table, zlib.crc32(part.structure["cfg"].encode())
    metrics = [name for name in table.columns if name.startswith((FINAL, BEST))]
    return table.select(*FIRST, *metrics).with_columns(
        part=polars.lit(part.number, polars.Int64),
        row=polars.int_range(len(table), dtype=polars.Int64),
        cfg=polars.lit(cfg, polars.Int64),
        changed_code=polars.lit(", ".join(part.sound(STRUCTURE, lambda: changed_code(part.structure["code"])))),
    )


def _nothing() -> polars.DataFrame:
    kinds = dict.fromkeys((*FIRST, "changed_code"), polars.String) | {"num": polars.Int64, "epoch": polars.Int64}
    return polars.DataFrame(schema={**kinds, "part": polars.Int64, "row": polars.Int64, "cfg": polars.Int64})


def _singles(sweep: Path, stacked: polars.DataFrame) -> list[SingleRun]:
    """The runs of directories that belong to no part, or have come further than the part says."""
    directories = list(run_directories(sweep))
    places = [directory.relative_to(sweep).as_posix() for directory in directories]
    numbered = {"subdir": polars.Series(places, dtype=polars.String), "number": range(len(places))}
    found = polars.DataFrame(numbered)
    known = stacked.group_by("subdir", maintain_order=True).last().select("subdir", "identity", "status", "epoch")
    rows = found.join(known, on="subdir", how="left", maintain_order="left")
    singles = []
    for subdir, number, own, status, epoch in rows.iter_rows():
        if epoch is None or ended_later(directories[number], status, epoch):
            singles.append(SingleRun(directories[number], subdir, own))
    return singles


def _is_last(runs: polars.DataFrame) -> polars.Series:
    """[R]: whether no later row is of the same run; one without an identity goes by its place."""
    key = polars.when(polars.col("identity") == "").then(polars.col("subdir")).otherwise(polars.col("identity"))
    later = runs.select(key.alias("key").reverse().is_first_distinct().reverse())["key"]
    return later & runs["subdir"].reverse().is_first_distinct().reverse()


def _swept(sources: "Sequence[PartValues | SingleRun]", planned: Collection[str]) -> list[str]:
    """The keys that are not the same in all runs, in alphabetical order, without those of the command; and the planned
    ones, in which the runs that are still to come may differ."""
    known = {key for source in sources for key in source.keys}
    swept = [key for key in planned if key in known]
    keys = sorted(known - set(swept))
    for key in keys:
        first: str | None = None
        for source in sources:
            text = source.constant(key)
            if text is None or (first is not None and text != first):
                swept.append(key)
                break
            first = text
    return sorted(swept)


def _joined(values: Sequence[polars.Series]) -> polars.Series:
    """Numbers as they are where all are numbers; anything else as text."""
    if not values:
        return polars.Series([], dtype=polars.String)
    if all(column.dtype.is_numeric() for column in values):
        exact = all(column.dtype.is_integer() for column in values)
        return polars.concat([column.cast(polars.Int64 if exact else polars.Float64) for column in values])
    return polars.concat([_as_text(column) for column in values])


def _as_text(column: polars.Series) -> polars.Series:
    if column.dtype == polars.String:
        return column
    unique = column.unique().drop_nulls().to_list()
    return column.replace_strict(unique, [str(value) for value in unique], return_dtype=polars.String, default=None)


def _metrics(columns: Sequence[str], prefix: str) -> list[str]:
    """In the order of a row of metrics."""
    names = [name for name in columns if name.startswith(prefix)]
    return sorted(names, key=lambda name: (name.removeprefix(prefix) == LEARNING_RATE, name))


def overrides_of(sweep: Path, run: Mapping[str, Any]) -> list[str]:
    """Those of one run, given by its row."""
    from simplenn.rundir import Run

    if run["part"] is None:
        return Run(sweep / run["subdir"]).overrides
    from simplenn.sweep.part_values import overrides_of as of_rows

    part = next(part for part in find_parts(sweep) if part.number == run["part"])
    return of_rows(part.structure["overrides"], part.table[[run["row"]]])[0]
