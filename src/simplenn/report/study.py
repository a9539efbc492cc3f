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

from simplenn.config import Kind, kind_of
from simplenn.errors import ConfigError
from simplenn.metric import declared
from simplenn.report.comparable import (
    different_code,
    different_data,
    different_lengths,
    different_untold,
    immaterial,
    objective_of_all,
)
from simplenn.report.configurations import Configurations
from simplenn.report.runs import once_each, runs_in
from simplenn.report.settings import ONE_SETTING, STATISTICS, settings_of
from simplenn.rundir import shown
from simplenn.rundir.lock import at_work_in
from simplenn.sweep.left import Left, what_is_left
from simplenn.sweep.multirun import MULTIRUN, resume_command
from simplenn.sweep.results import DIGEST, RESULTS, reason_not_as_written, refuse_no_sweep, table_of

if TYPE_CHECKING:
    import polars

OWN_COLUMNS = ("setting", "value", *STATISTICS)  # which no swept key may be called


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
    (its place in `sweeps`), `subdir`, `identity`, `message`, and `part` and `row` where a part has it. `left` says
    for each sweep what its last command asks for that isn't trained. `notes` are sentences about what a
    reader has to know before comparing the numbers.
    """

    sweeps: list[Path]
    runs: "polars.DataFrame"
    places: "polars.DataFrame"
    keys: list[str]
    objective: str
    settings: "polars.DataFrame"
    left: list[Left] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @cached_property
    def numbers(self) -> list[str]:
        """The keys whose values are numbers, and more than one."""
        return [key for key in self.keys if self._is_number(key) and self.settings[key].drop_nulls().n_unique() > 1]

    @property
    def all_left(self) -> Left:
        """What is left of all sweeps; a run of several counts in each."""
        return sum(self.left, Left())

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
    sweeps = list({Path(sweep).resolve(): Path(sweep) for sweep in sweeps}.values())
    for sweep in sweeps:
        refuse_no_sweep(sweep)
    runs = runs_in(sweeps)
    at_work = {sweep: at_work_in(sweep) for sweep in sweeps}
    for number, (sweep, who) in enumerate(at_work.items()):
        if not (runs["sweep"] == number).any():
            raise ConfigError(f"{sweep} must have runs to report on, and has none yet; {_how_to_get_some(sweep, who)}")
    study = study_of_runs(sweeps, once_each(runs), left=_left(sweeps, runs))
    notes = [f"{who} is at work in {shown(sweep)}." for sweep, who in at_work.items() if who]
    if num_twice := len(runs) - len(study.runs):
        notes.append(f"{num_twice:,} runs are in more than one of the sweeps, and count once.")
    notes += [note for sweep, who in at_work.items() if not who and (note := _changed_table(sweep))]
    return replace(study, notes=[*notes, *study.notes])


def _left(sweeps: Sequence[Path], runs: "polars.DataFrame") -> list[Left]:
    """`runs` as `all_runs_of` gives them."""
    return [what_is_left(sweep, runs.filter(runs["sweep"] == number)) for number, sweep in enumerate(sweeps)]


def _changed_table(sweep: Path) -> str:
    """A note where the table that people read is not the one that was written; its runs are read all the same."""
    if not all((sweep / name).is_file() for name in (RESULTS, DIGEST)):
        return ""
    reason = reason_not_as_written(sweep)
    return f"{reason}; {resume_command(sweep)} writes it anew." if reason else ""


def _how_to_get_some(sweep: Path, who: str | None) -> str:
    if who:
        return f"{who} is at work in it, so try again when it has trained a stack"
    if (sweep / MULTIRUN).is_file():
        return f"its command has ended, so go on with {resume_command(sweep)}"
    return "see how its command ended"


def study_of_runs(sweeps: Sequence[Path], runs: "polars.DataFrame", left: Sequence[Left] | None = None) -> Study:
    """The same, of the runs as `all_runs_of` gives them, or those of one sweep as `all_runs` does; `left` as the
    study has it, where some of the runs have been left out since."""
    import polars

    if "sweep" not in runs.columns:
        runs = runs.with_columns(sweep=polars.lit(0, polars.Int64))
    table = table_of(runs)
    keys = [name.removeprefix("key/") for name in runs.columns if name.startswith("key/")]
    if taken := [key for key in keys if key in OWN_COLUMNS]:
        raise ConfigError(f"a swept key must not be called {taken[0]}, as a column of a report is; rename it")
    table = table.with_columns(*(_as_numbers(table[key]) for key in keys))
    keys = [key for key in keys if kind_of(key) not in (Kind.SEED, Kind.EXECUTION)]
    configurations = Configurations(sweeps)
    same = immaterial(configurations, runs, keys)
    keys = [key for key in keys if key not in same]
    objective, notes = objective_of_all(runs)
    left = list(left) if left is not None else _left(sweeps, runs)
    if num_left := (together := sum(left, Left())).num_runs:
        most = "at most " if len(sweeps) > 1 else ""  # they may be of several sweeps, too
        num_runs = len(runs) + together.to_begin
        notes.append(f"{most}{num_left:,} of {num_runs:,} runs are left to train: this is so far.")
    notes += [*different_data(configurations, runs), *different_lengths(runs, keys)]
    notes += [*different_untold(configurations, runs), *different_code(runs)]
    worst = declared(objective).worst
    value = (
        polars.when(runs["status"] == "diverged")
        .then(worst)
        .when(runs["status"] == "done")
        .then(_finals(runs, objective))
    )
    table = table.with_columns(value.alias("value"))
    own = settings_of(table, keys, worst)
    if keys:
        names = own.select("setting", *keys)
        table = table.join(names, on=keys, how="left", nulls_equal=True, maintain_order="left")
    else:
        table = table.with_columns(setting=polars.lit(ONE_SETTING))
    columns = [name for name in table.columns if name not in ("setting", "value")]
    places = runs.select("sweep", "subdir", "identity", "message", "part", "row")
    table = table.select(*columns, "setting", "value")
    return Study(list(sweeps), table, places, keys, objective, own, left, notes)


def _finals(runs: "polars.DataFrame", tag: str) -> "polars.Series":
    """[R], of numbers or null."""
    import polars

    if f"final/{tag}" not in runs.columns:
        return polars.Series([None] * len(runs), dtype=polars.Float64)
    return runs[f"final/{tag}"].cast(polars.Float64).fill_nan(None)


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
