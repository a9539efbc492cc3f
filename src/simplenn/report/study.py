"""The runs of one sweep, or of several, side by side by their settings. Imports no torch.

A setting is what a run is configured with except its seed, so the runs of one setting differ in the seed alone, and a
setting's quality is the median of its runs' objectives: a seed is luck.

Shapes: R runs, S settings.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from simplenn.config import Kind, kind_of, setting
from simplenn.errors import ConfigError
from simplenn.metric import declared, objective_tags
from simplenn.rundir import shown
from simplenn.rundir.lock import at_work_in
from simplenn.sweep.results import RESULTS, refuse_no_sweep, table_of

if TYPE_CHECKING:
    import numpy as np
    import polars

STATISTICS = ("n", "median", "q10", "q90", "mean", "sd", "diverged", "failed", "unfinished")
OWN_COLUMNS = ("setting", "value", *STATISTICS)  # which no swept key may be called
ONE_SETTING = "all runs"  # the name of the setting where only the seed is swept
DIGITS = 6  # of a number in a setting's name, where so many tell all values apart


@dataclass(frozen=True)
class Study:
    """`runs` has the columns of results.csv and, for each of the R runs, its `setting` as text and its `value`: the
    final objective, in its own unit. A diverged run has the worst value there is (`worst`), one that failed or isn't
    finished has none (null).

    `settings` has S rows, best first, with the columns of summary.csv: the setting, a column for each of `keys`, then
        n               the runs that count: those that are done or diverged
        median, q10, q90    of their values: diverged ones are among them as the worst, so a quantile may be infinite
        mean, sd        infinite where a run has diverged; no sd of one run, or where all have diverged
        diverged, failed, unfinished    how many runs; only the first are among the n
    No number is ever NaN. A setting without a run that counts has null for a median, and stands last.

    `keys` are the swept keys but the seed. `places` has for each run, in the order of `runs`, where it lies: `sweep`
    (its place in `sweeps`), `subdir`, `identity`, `message`, and `part` and `row` where a part has it. `notes` are
    sentences about what a reader has to know before comparing the numbers.
    """

    sweeps: list[Path]
    runs: "polars.DataFrame"
    places: "polars.DataFrame"
    keys: list[str]
    objective: str
    settings: "polars.DataFrame"
    notes: list[str] = field(default_factory=list)

    @cached_property
    def numbers(self) -> list[str]:
        """The keys whose values are numbers, and more than one."""
        return [key for key in self.keys if self._is_number(key) and self.settings[key].drop_nulls().n_unique() > 1]

    @property
    def family(self) -> str | None:
        """The key that people compare by: the optimizer, or the first other swept key that is no number."""
        texts = [key for key in self.keys if not self._is_number(key)]
        return "optimizer" if "optimizer" in texts else texts[0] if texts else None

    @property
    def seed(self) -> str | None:
        """The column of the seed; `None` where it isn't swept."""
        return next((name for name in self.runs.columns if kind_of(name) is Kind.SEED), None)

    @property
    def less_is_better(self) -> bool:
        return declared(self.objective).less_is_better

    @property
    def worst(self) -> float:
        """What a diverged run has for a value."""
        return declared(self.objective).worst

    def _is_number(self, key: str) -> bool:
        return self.settings[key].dtype.is_numeric()


def study_of(sweeps: Sequence[Path]) -> Study:
    """Reads the sweeps as they are now: finished, running or cut off.

    Raises `ConfigError` in one line where one of them isn't a sweep, or none of them has a run, and `Damaged`.
    """
    from simplenn.sweep.all_runs import all_runs_of

    sweeps = list({Path(sweep).resolve(): Path(sweep) for sweep in sweeps}.values())
    for sweep in sweeps:
        if not sweep.is_dir():
            what = "a file" if sweep.exists() else "missing"
            raise ConfigError(f"{sweep} must be a sweep's directory, and is {what}")
        refuse_no_sweep(sweep)
    runs = all_runs_of(sweeps)
    if len(sweeps) == 1 and not len(runs) and (sweeps[0] / RESULTS).exists():
        runs = _of_table(sweeps[0])
    for number, sweep in enumerate(sweeps):
        if not (runs["sweep"] == number).any():
            raise ConfigError(f"{sweep} must have runs to report on, and has none yet; see how its command ended")
    keys = [name for name in runs.columns if name.startswith("key/")]
    study = study_of_runs(sweeps, once_each(runs, keys))
    at_work = {sweep: at_work_in(sweep) for sweep in sweeps}
    so_far = [f"{shown(sweep)} is in the hands of {who}: this is so far." for sweep, who in at_work.items() if who]
    return replace(study, notes=[*so_far, *study.notes])


def once_each(runs: "polars.DataFrame", keys: Sequence[str]) -> "polars.DataFrame":
    """The runs, each once that two sweeps have: as it has ended, after most epochs, in the last sweep."""
    import polars

    by_place = polars.format("{}/{}", "sweep" if "sweep" in runs.columns else polars.lit(0), "subdir")
    twin = polars.when(polars.col("identity") == "").then(by_place).otherwise("identity").alias("twin")
    if not runs.select(twin, *keys).is_duplicated().any():
        return runs
    has_ended = polars.col("status").is_in(["done", "diverged"]).alias("has_ended")
    ranked = runs.with_columns(twin, has_ended).with_row_index("order").sort("has_ended", "epoch", "order")
    last = ranked.unique(["twin", *keys], keep="last", maintain_order=True)
    return last.sort("order").drop("order", "twin", "has_ended")


def study_of_runs(sweeps: Sequence[Path], runs: "polars.DataFrame") -> Study:
    """The same, of the runs as `all_runs_of` gives them, or those of one sweep as `all_runs` does."""
    import polars

    if "sweep" not in runs.columns:
        runs = runs.with_columns(sweep=polars.lit(0, polars.Int64))
    table = table_of(runs)
    keys = [name.removeprefix("key/") for name in runs.columns if name.startswith("key/")]
    if taken := [key for key in keys if key in OWN_COLUMNS]:
        raise ConfigError(f"a swept key must not be called {taken[0]}, as a column of a report is; rename it")
    table = table.with_columns(*(_as_numbers(table[key]) for key in keys))
    keys = [key for key in keys if kind_of(key) is not Kind.SEED]
    objective, notes = _objective_of(runs)
    notes += [*_of_different_lengths(runs, keys), *different_untold(sweeps, runs)]
    worst = declared(objective).worst
    value = (
        polars.when(runs["status"] == "diverged")
        .then(worst)
        .when(runs["status"] == "done")
        .then(_finals(runs, objective))
    )
    table = table.with_columns(value.alias("value"))
    own = _settings_of(table, keys, worst)
    if keys:
        names = own.select("setting", *keys)
        table = table.join(names, on=keys, how="left", nulls_equal=True, maintain_order="left")
    else:
        table = table.with_columns(setting=polars.lit(ONE_SETTING))
    columns = [name for name in table.columns if name not in ("setting", "value")]
    places = runs.select("sweep", "subdir", "identity", "message", "part", "row")
    return Study(list(sweeps), table.select(*columns, "setting", "value"), places, keys, objective, own, notes)


def _finals(runs: "polars.DataFrame", tag: str) -> "polars.Series":
    """[R], of numbers or null."""
    import polars

    if f"final/{tag}" not in runs.columns:
        return polars.Series([None] * len(runs), dtype=polars.Float64)
    return runs[f"final/{tag}"].cast(polars.Float64).fill_nan(None)


def _of_table(sweep: Path) -> "polars.DataFrame":
    """The runs of a results.csv that lies there without what it derives from, in the form of `all_runs_of`.

    Raises `ConfigError` where it lacks a column, as one of another program or of an older version may.
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
    names = {**{name: f"key/{name}" for name in keys}, **{name: f"final/{name}" for name in finals}}
    nothing = {name: polars.lit(None, polars.Int64) for name in ("part", "row", "cfg")}
    texts = {"identity": polars.lit(""), "message": polars.lit("")}
    return table.rename(names).with_columns(
        sweep=polars.lit(0, polars.Int64), subdir=polars.format("runs/{}", "run"), **texts, **nothing
    )


def _as_numbers(column: "polars.Series") -> "polars.Series":
    """Numbers, where all that isn't null is one: a key that some runs don't have makes all values texts."""
    import polars

    if column.dtype != polars.String:
        return column
    texts = column.unique().drop_nulls()
    texts = texts.filter(texts != "null")
    if not len(texts) or texts.cast(polars.Float64, strict=False).null_count():
        return column
    return column.cast(polars.Float64, strict=False)


def _objective_of(runs: "polars.DataFrame") -> tuple[str, list[str]]:
    """The tag by which all runs can be compared: that over validation data, where each run that is done has it."""
    import polars

    trained, validated = objective_tags()
    done = runs.filter(polars.col("status") == "done")
    counts = {
        tag: len(done) - done[f"final/{tag}"].null_count() if f"final/{tag}" in runs.columns else 0
        for tag in (trained, validated)
    }
    if f"final/{validated}" in runs.columns and (counts[validated] == len(done) or counts[validated] > counts[trained]):
        num_without = len(done) - counts[validated]
        note = f"{num_without:,} of {len(done):,} runs that are done have no {validated}, and don't count."
        return validated, [note] if num_without else []
    if f"final/{trained}" not in runs.columns and not len(done):
        return trained, []  # as where all runs have failed
    if f"final/{trained}" not in runs.columns:
        raise ConfigError(f"a sweep's runs must have {validated} or {trained} to be compared, and have neither yet")
    if not counts[validated]:
        return trained, []
    number = f"{len(done) - counts[validated]:,} of {len(done):,}"
    return trained, [f"{number} runs have no {validated}, so all are compared by {trained}."]


def _of_different_lengths(runs: "polars.DataFrame", keys: Sequence[str]) -> list[str]:
    """A note where runs that are done have different numbers of epochs, though these are not swept."""
    epochs = runs.filter(runs["status"] == "done")["epoch"]
    if not len(epochs) or epochs.min() == epochs.max() or any(kind_of(key) is Kind.LENGTH for key in keys):
        return []
    return [f"runs that are done have from {epochs.min():,} to {epochs.max():,} epochs, and are compared as they are."]


def different_untold(sweeps: Sequence[Path], runs: "polars.DataFrame") -> list[str]:
    """Notes on runs that count as of one setting by what their commands said, and aren't: another value in a file of
    conf/, which was edited between two commands."""
    import polars

    from simplenn.sweep.parts import find_parts

    keys = [name for name in runs.columns if name.startswith("key/")]
    keys = [name for name in keys if kind_of(name.removeprefix("key/")) is not Kind.SEED]
    own = runs.filter(polars.col("part").is_not_null())
    kinds = own.group_by("cfg", *keys, maintain_order=True).agg(polars.col("sweep", "part").first())
    together = kinds.group_by(keys or polars.lit(0)).agg("cfg")["cfg"]
    several = {tuple(sorted(codes)) for codes in together.to_list() if len(codes) > 1}
    if not several:
        return []
    first = {
        code: (sweep, part) for code, sweep, part in kinds.unique("cfg").select("cfg", "sweep", "part").iter_rows()
    }
    parts = {(number, part.number): part for number, sweep in enumerate(sweeps) for part in find_parts(sweep)}
    found_in = {code: parts[tuple(first[code])] for codes in several for code in codes}
    values = {code: setting(part.cfg) for code, part in found_in.items()}
    found: set[str] = set()
    for codes in several:
        told = {key for code in codes for key in found_in[code].structure["columns"]}
        told |= {name.removeprefix("key/") for name in keys}
        names = {name for code in codes for name in values[code]} - told
        found |= {name for name in names if len({repr(values[code].get(name)) for code in codes}) > 1}
    if not found:
        return []
    return [f"runs of one setting differ in {', '.join(sorted(found))}, as files of conf/ changed between commands."]


def _settings_of(table: "polars.DataFrame", keys: Sequence[str], worst: float) -> "polars.DataFrame":
    """[S]: see `Study`."""
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
