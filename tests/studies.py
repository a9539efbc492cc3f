"""Studies of runs that were never trained, of columns written out in a test."""

from pathlib import Path
from typing import Any

import polars

from simplenn.report import Study, study_of_runs


def runs_of(**columns: list) -> polars.DataFrame:
    """As `all_runs` has them, of these columns; `key_lr` is the swept key `lr`, `final` the objective."""
    num = len(next(iter(columns.values())))
    names = {"final": "final/val/loss", "status": "status"}
    frame = polars.DataFrame({"num": range(num)}).select(
        polars.format("run{}", "num").alias("run"), polars.format("runs/{}", "num").alias("subdir"), "num"
    )
    own = {names.get(name, name.replace("key_", "key/").replace("__", ".")): values for name, values in columns.items()}
    own.setdefault("status", ["done"] * num)
    empty = dict.fromkeys(("identity", "message", "changed_code"), polars.lit(""))
    empty |= {"epoch": polars.lit(3, polars.Int64)}
    empty |= {name: polars.lit(None, polars.Int64) for name in ("part", "row", "cfg")}
    return frame.with_columns(**{name: polars.Series(values) for name, values in own.items()}, **empty)


def study(**columns: list[Any]) -> Study:
    return study_of_runs([Path("sweep")], runs_of(**columns))
