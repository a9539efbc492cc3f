"""The settings of a study, best first: over the runs of each, quantiles in which a diverged run counts as the worst.
Imports no torch.

Shapes: R runs, S settings.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import polars

STATISTICS = ("n", "median", "q10", "q90", "mean", "sd", "diverged", "failed", "unfinished")
ONE_SETTING = "all runs"  # the name of the setting where only the seed is swept
DIGITS = 6  # of a number in a setting's name, where so many tell all values apart


def settings_of(table: "polars.DataFrame", keys: Sequence[str], worst: float) -> "polars.DataFrame":
    """[S rows]: the columns of `Study.settings`, of the runs' `keys`, `status` and `value`."""
    import numpy as np
    import polars

    table = table.select(*keys, "status", "value")
    if keys:
        own = table.select(keys).unique(maintain_order=True).with_row_index("index")
        table = table.join(own, on=keys, how="left", nulls_equal=True, maintain_order="left")
    else:
        own = polars.DataFrame({"index": polars.Series([0], dtype=polars.get_index_type())})
        table = table.with_columns(index=polars.lit(0, polars.get_index_type()))
    counts = table.group_by("index").agg(
        polars.col("value").count().cast(polars.Int64).alias("n"),
        polars.col("value").mean().alias("mean"),
        polars.col("value").std().alias("sd"),
        *(
            (polars.col("status") == status).sum().cast(polars.Int64).alias(name)
            for status, name in (("diverged", "diverged"), ("failed", "failed"), ("interrupted", "unfinished"))
        ),
    )
    own = own.join(counts, on="index", how="left", maintain_order="left")
    is_partly = (polars.col("diverged") > 0) & (polars.col("diverged") < polars.col("n"))
    own = own.with_columns(
        polars.when(polars.col("diverged") > 0).then(worst).otherwise(polars.col("mean").fill_nan(worst)).alias("mean"),
        polars.when(is_partly)
        .then(float("inf"))
        .when(polars.col("diverged") == 0)
        .then(polars.col("sd").fill_nan(float("inf")))
        .alias("sd"),
    )
    ordered = table.filter(polars.col("value").is_not_null()).select("index", "value").sort("index", "value")
    values, n = ordered["value"].to_numpy(), own["n"].to_numpy()
    starts = np.concatenate([[0], np.cumsum(n)[:-1]])
    for name, share in (("median", 0.5), ("q10", 0.1), ("q90", 0.9)):
        found = quantiles(values, starts, n, share)
        own = own.with_columns(polars.Series(name, found, nan_to_null=True))
    own = own.with_columns(names_of(own, keys).alias("setting"))
    ascending = ["median", "q90", "q10"] if worst > 0 else ["median", "q10", "q90"]
    own = own.sort(ascending, descending=worst < 0, nulls_last=True, maintain_order=True)
    return own.select("setting", *keys, *STATISTICS)


def quantiles(values: "np.ndarray", starts: "np.ndarray", counts: "np.ndarray", share: float) -> "np.ndarray":
    """[S]: a quantile of each of S groups, which stand sorted one after another in `values`; NaN of an empty one.

    Between two values it is interpolated as numpy does by default (Hyndman and Fan, 1996, definition 7). Between a
    finite and an infinite one it is the infinite one.
    """
    import numpy as np

    found = np.full(len(counts), np.nan)
    has = counts > 0
    place = (counts[has] - 1) * share
    low = np.floor(place).astype(np.int64)
    rest = place - low
    lower = values[starts[has] + low]
    upper = values[starts[has] + np.where(rest > 0, low + 1, low)]
    with np.errstate(invalid="ignore"):
        between = lower + rest * (upper - lower)
    infinite = np.where(np.isinf(lower), lower, upper)
    found[has] = np.where(lower == upper, lower, np.where(np.isinf(lower) | np.isinf(upper), infinite, between))
    return found


def names_of(settings: "polars.DataFrame", keys: Sequence[str]) -> "polars.Series":
    """[S]: `optimizer=adam,optimizer.lr=0.01`; a key that the setting doesn't have is left out."""
    import polars

    if not keys:
        return polars.Series([ONE_SETTING] * len(settings))
    columns = []
    for key in keys:
        texts = texts_of(settings[key])
        columns.append([None if text is None else f"{key}={text}" for text in texts])
    nothing = ",".join(f"{key}=null" for key in keys)
    return polars.Series([",".join(filter(None, own)) or nothing for own in zip(*columns, strict=True)])


def texts_of(column: "polars.Series") -> list[str | None]:
    """A column's values as people read them: with as few digits as tell them apart, from 6 on; null as `None`."""
    values = column.to_list()
    if not column.dtype.is_float():
        return [None if value is None else str(value) for value in values]
    different = column.drop_nulls().unique().to_list()
    form = "{:.6g}" if len({f"{value:.{DIGITS}g}" for value in different}) == len(different) else "{!r}"
    texts = {value: form.format(value) for value in different}
    return [texts.get(value) for value in values]
