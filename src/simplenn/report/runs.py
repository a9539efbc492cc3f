"""The runs of sweeps as a report takes them: each once, and of a sweep of which there is only a results.csv, what that
says. Imports no torch.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simplenn.config import Kind, kind_of
from simplenn.errors import ConfigError
from simplenn.rundir import STATUSES
from simplenn.sweep.results import RESULTS

if TYPE_CHECKING:
    import polars


def runs_in(sweeps: Sequence[Path]) -> "polars.DataFrame":
    """As `all_runs_of`; of a sweep of which there is no more than a results.csv, what that says. Raises `ConfigError`,
    and `Damaged`."""
    import polars

    from simplenn.sweep.all_runs import all_runs_of

    runs = all_runs_of(sweeps)
    alone = [number for number, sweep in enumerate(sweeps) if _is_table_alone(sweep, runs, number)]
    tables = [_of_table(sweeps[number], number) for number in alone]
    if not tables:
        return runs
    return polars.concat([runs, *tables], how="diagonal_relaxed").sort("sweep", maintain_order=True)


def once_each(runs: "polars.DataFrame") -> "polars.DataFrame":
    """The runs, each once that two sweeps have: as it has ended, after most epochs, in the last sweep."""
    import polars

    by_place = polars.format("{}/{}", "sweep" if "sweep" in runs.columns else polars.lit(0), "subdir")
    twin = polars.when(polars.col("identity") == "").then(by_place).otherwise("identity").alias("twin")
    lengths = [name for name in runs.columns if kind_of(name.removeprefix("key/")) is Kind.LENGTH]
    if not runs.select(twin, *lengths).is_duplicated().any():
        return runs
    has_ended = polars.col("status").is_in(["done", "diverged"]).alias("has_ended")
    ranked = runs.with_columns(twin, has_ended).with_row_index("order").sort("has_ended", "epoch", "order")
    last = ranked.unique(["twin", *lengths], keep="last", maintain_order=True)
    return last.sort("order").drop("order", "twin", "has_ended")


def _is_table_alone(sweep: Path, runs: "polars.DataFrame", number: int) -> bool:
    return not (runs["sweep"] == number).any() and (sweep / RESULTS).exists()


def _of_table(sweep: Path, number: int) -> "polars.DataFrame":
    """The runs of a results.csv that lies there without what it derives from, in the form of `all_runs_of`.

    Raises `ConfigError` where it lacks a column, as one of another program or of an older version may, or has what
    can't be in it.
    """
    import polars

    path = sweep / RESULTS
    try:
        table = polars.read_csv(path, infer_schema_length=None)
    except (polars.exceptions.PolarsError, OSError) as error:
        raise ConfigError(f"{path} can't be read: {' '.join(str(error).split())}") from error
    if missing := [name for name in ("run", "status", "epoch") if name not in table.columns]:
        raise ConfigError(f"{path} must have the column {missing[0]}, and has {', '.join(table.columns) or 'none'}")
    at_status, at_epoch = table.columns.index("status"), table.columns.index("epoch")
    keys = table.columns[table.columns.index("run") + 1 : at_status]
    finals = [name for name in table.columns[at_epoch + 1 :] if not name.startswith("best/")]
    kinds = {"epoch": polars.Int64, **dict.fromkeys(finals, polars.Float64)}
    for name, kind in kinds.items():
        if table[name].cast(kind, strict=False).null_count() > table[name].null_count():
            raise ConfigError(f"{path} must have numbers for {name}, and has another text")
    if strange := set(table["status"].cast(polars.String).to_list()) - set(STATUSES):
        raise ConfigError(f"{path} must have one of {', '.join(STATUSES)} for status, and has {min(map(str, strange))}")
    names = {**{name: f"key/{name}" for name in keys}, **{name: f"final/{name}" for name in finals}}
    nothing = {name: polars.lit(None, polars.Int64) for name in ("part", "row", "cfg")}
    texts = dict.fromkeys(("identity", "message", "changed_code"), polars.lit(""))
    table = table.with_columns(
        polars.col("run").cast(polars.String), *(polars.col(n).cast(k) for n, k in kinds.items())
    )
    return table.rename(names).with_columns(
        sweep=polars.lit(number, polars.Int64), subdir=polars.format("runs/{}", "run"), **texts, **nothing
    )
