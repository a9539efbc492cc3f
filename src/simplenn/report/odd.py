"""The odd ones of a sweep: settings some of whose runs diverged, learned nothing, or ended far from the others.

A run has learned nothing where its R2 is 0 or less: it is no better than one answer to every input, as a network whose
units are all dead. Where nearly all runs of a setting are like that, it is the setting that is odd.

A run ended far from the others where its objective is worse than the setting's median by more than 3.5 robust standard
deviations (1.4826 times the median absolute deviation; Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993)
of the logarithms, and at least twice as large: losses of one setting lie over orders of magnitude. Where some values
are not above 0, the values themselves take the place of their logarithms.
"""

from dataclasses import dataclass

import numpy as np
import polars

from simplenn.metric import cost
from simplenn.report.comparison import short_names
from simplenn.report.study import Study

FAR = 3.5  # robust standard deviations
ROBUST = 1.4826  # makes the median absolute deviation of a normal distribution its standard deviation
LEAST = 5  # runs, of which one can be far from the others
NEARLY_ALL = 0.9


@dataclass(frozen=True)
class Odd:
    """Some runs of a setting. `example` is one of them, the worst; `sweep` the place of its sweep in the study's."""

    setting: str
    name: str
    kind: str  # diverged, dead (has learned nothing), far
    count: int
    n: int
    example: str
    sweep: int

    @property
    def is_all(self) -> bool:
        return self.count == self.n


def odd_ones(study: Study) -> list[Odd]:
    """By kind, then in the order of the settings."""
    names = short_names(study)
    order = {name: place for place, name in enumerate(study.settings["setting"])}
    code = polars.col("setting").cast(polars.Enum(study.settings["setting"].to_list()))  # faster to group by
    runs = study.runs.with_columns(code.alias("setting"), _sweep=study.places["sweep"])
    runs = runs.filter(polars.col("value").is_not_null())
    found = []
    flags = {"diverged": polars.col("value") == study.worst, "dead": _is_dead(study), "far": _is_far(study)}
    counts = dict(study.settings.select("setting", "n").iter_rows())
    taken = polars.lit(False)
    for kind, flag in flags.items():
        if flag is None:
            continue
        flag = flag & ~taken
        taken = taken | flag
        own = runs.filter(flag).with_columns(_cost=cost(study.objective, polars.col("value")))
        own = own.sort("_cost", descending=True, maintain_order=True)
        for setting, count, example, sweep in (
            own.group_by("setting", maintain_order=True)
            .agg(polars.len(), polars.col("run").first(), polars.col("_sweep").first())
            .iter_rows()
        ):
            found.append(Odd(setting, names[setting], kind, count, counts[setting], example, sweep))
    kinds = list(flags)
    return sorted(found, key=lambda odd: (kinds.index(odd.kind), order[odd.setting]))


def _is_dead(study: Study) -> polars.Expr | None:
    tag = f"{study.objective.rpartition('/')[0]}/r2"
    if tag not in study.runs.columns or not study.runs[tag].dtype.is_numeric():
        return None
    return ((polars.col(tag) <= 0) & (polars.col("value") != study.worst)).fill_null(False)


def _is_far(study: Study) -> polars.Expr:
    value = cost(study.objective, polars.col("value"))
    finite = polars.when(polars.col("value").is_finite()).then(value)
    is_positive = (finite.min() > 0).over("setting")
    scale = polars.when(is_positive).then(finite.log()).otherwise(finite)
    middle = scale.median().over("setting")
    spread = ROBUST * (scale - middle).abs().median().over("setting")
    least = polars.when(is_positive).then(np.log(2)).otherwise(1e-9)
    distance = scale - middle
    enough = polars.col("value").count().over("setting") >= LEAST
    return ((distance > FAR * spread) & (distance >= least) & enough).fill_null(False)
