"""Which setting is best, and how sure that is, in numbers and in words.

The best setting of each optimizer (or other `Study.family`) has the lowest median over its seeds, with a bootstrap
interval of it. The best of all is then held against its rivals, seed by seed where both have the seed. A setting that
is chosen as the best of many, and its rival, too, are lucky ones: so a sign test's p-value is multiplied by the number
of pairs of settings (Bonferroni's correction), before it may say that the one is really better.

Shapes: S settings, n runs of one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars

from simplenn.metric import cost
from simplenn.report.settings import texts_of
from simplenn.report.statistics import LEAST, NUM_DRAWS, median_interval, share_of_lower_medians, sign_test
from simplenn.report.study import Study

CERTAIN = 0.05  # a p-value below it counts
CLEAR = 0.6  # share of the seeds from which on a better setting is called better without a restriction
MOST_RIVALS = 4


@dataclass(frozen=True)
class Best:
    """The best setting of a family; `interval` is that of its median, `None` of too few runs."""

    family: str | None
    name: str
    row: dict[str, Any]  # of `Study.settings`
    interval: tuple[float, float] | None

    @property
    def has_ended_well(self) -> bool:
        """Whether its median run has not diverged."""
        return bool(np.isfinite(self.row["median"]))


@dataclass(frozen=True)
class Rivalry:
    """The best setting against another one. Paired, `wins`, `losses` and `ties` count the seeds that both have; else
    `share` is how often the best one's median is the better one in the bootstrap."""

    best: str
    rival: str
    num_pairs: int  # of settings that they could have been
    least: int = LEAST  # runs, of the one of the two settings that has fewer
    wins: int = 0
    losses: int = 0
    ties: int = 0
    share: float | None = None

    @property
    def num_seeds(self) -> int:
        return self.wins + self.losses + self.ties

    @property
    def p(self) -> float:
        """The p-value of the comparison, for the choice among all pairs."""
        if self.share is None:
            own = sign_test(self.wins, self.losses)
        else:  # of so many draws, none can say that something never happens
            own = 2 * max(min(self.share, 1 - self.share), 1 / (NUM_DRAWS + 1))
        return min(1.0, own * self.num_pairs)

    @property
    def sentence(self) -> str:
        """For people: "adam at 0.01 beats sgd at 0.003 in 93 of 100 seeds: it is really better (...)"."""
        if self.share is not None:
            return (
                f"{self.best} and {self.rival} share no seeds; drawn again by the bootstrap, the median of the first "
                f"is the better one in {_percent(self.share)} of draws: {self._verdict(self.share)}"
            )
        tied = f", {self.ties:,} equal" if self.ties else ""
        if self.ties == self.num_seeds:
            return f"{self.best} and {self.rival} are equal in {self.ties:,} of {self.num_seeds:,} seeds"
        how_often = f"{self.wins:,} of {self.num_seeds:,} {'seed' if self.num_seeds == 1 else 'seeds'}{tied}"
        share = self.wins / max(self.wins + self.losses, 1)
        return f"{self.best} beats {self.rival} in {how_often}: {self._verdict(share)}"

    def _verdict(self, share: float) -> str:
        if (self.num_seeds if self.share is None else self.least) < LEAST:
            return f"too few {'seeds' if self.share is None else 'runs'} to tell that from luck"
        if self.p >= CERTAIN:
            return f"that may be luck ({self._evidence})"
        if share < 0.5:
            return f"so by seeds {self.rival} is better, and by the median it isn't ({self._evidence})"
        if share < CLEAR:
            return f"it is better, but only a little more often than not ({self._evidence})"
        return f"it is really better ({self._evidence})"

    @property
    def _evidence(self) -> str:
        test = "sign test" if self.share is None else "bootstrap"
        p = "p < 0.001" if self.p < 0.001 else f"p = {self.p:.2g}"
        return f"{test}, {p}" + (f" over {self.num_pairs:,} pairs of settings" if self.num_pairs > 1 else "")


@dataclass(frozen=True)
class Comparison:
    """`bests` are the best settings of all families, best first; none where no median is finite. Of the families in
    `diverging`, which are then rivals all the same, even the best setting has diverged in most of its runs."""

    bests: list[Best]
    diverging: list[Best]
    rivalries: list[Rivalry]
    most_seeds: int  # of any setting


def compare(study: Study) -> Comparison:
    ranked = study.settings.filter(polars.col("median").is_not_null())
    family = study.family
    firsts = ranked if family is None else ranked.unique(family, keep="first", maintain_order=True)
    names = short_names(study)
    most = int(study.settings["n"].max() or 0)  # pyright: ignore[reportArgumentType]
    found = [_best(study, row, names) for row in firsts.head(1 if family is None else len(firsts)).rows(named=True)]
    bests = [best for best in found if best.has_ended_well]
    diverging = [best for best in found if not best.has_ended_well]
    if not bests or most < 2:
        return Comparison(bests, diverging, [], most)
    seconds = ranked["setting"].to_list()[1:2]
    others = [best.row["setting"] for best in [*bests[1:], *diverging]]
    rivals = list(dict.fromkeys([*seconds, *others]))[:MOST_RIVALS]
    num = len(study.settings)
    best, pairs = bests[0].row["setting"], num * (num - 1) // 2
    return Comparison(bests, diverging, [rivalry(study, best, rival, pairs, names) for rival in rivals], most)


def _best(study: Study, row: dict[str, Any], names: dict[str, str]) -> Best:
    family = None if study.family is None else str(row[study.family])
    interval = median_interval(values_of(study, row["setting"])) if np.isfinite(row["median"]) else None
    return Best(family, names[row["setting"]], row, interval)


def rivalry(study: Study, best: str, rival: str, num_pairs: int, names: dict[str, str]) -> Rivalry:
    """Paired, where at least half of the runs of the setting with fewer share their seeds with the other's."""
    one, other = values_of(study, best), values_of(study, rival)
    if study.seed is not None:
        seeds = [_by_seed(study, study.seed, setting) for setting in (best, rival)]
        both = seeds[0].join(seeds[1], on=study.seed, how="inner", suffix="_rival")
        if 2 * len(both) >= min(len(one), len(other)):
            own, theirs = (cost(study.objective, both[name].to_numpy()) for name in ("value", "value_rival"))
            wins, losses = int((own < theirs).sum()), int((own > theirs).sum())
            ties = len(both) - wins - losses
            return Rivalry(names[best], names[rival], num_pairs, wins=wins, losses=losses, ties=ties)
    share = share_of_lower_medians(cost(study.objective, one), cost(study.objective, other))
    return Rivalry(names[best], names[rival], num_pairs, min(len(one), len(other)), share=share)


def values_of(study: Study, setting: str) -> np.ndarray:
    """[n]: the objectives of a setting's runs that count."""
    return study.runs.filter(polars.col("setting") == setting)["value"].drop_nulls().to_numpy()


def ranked_runs(study: Study, setting: str) -> list[tuple[str, int]]:
    """Name and sweep of the setting's runs that count, best first."""
    own = study.runs.with_columns(_sweep=study.places["sweep"])
    own = own.filter((polars.col("setting") == setting) & polars.col("value").is_not_null())
    own = own.with_columns(_cost=cost(study.objective, polars.col("value"))).sort("_cost", maintain_order=True)
    return list(own.select("run", "_sweep").iter_rows())


def median_of(ranked: list[tuple[str, int]]) -> tuple[str, int]:
    """The run in the middle; of two, the better one."""
    return ranked[(len(ranked) - 1) // 2]


def short_names(study: Study) -> dict[str, str]:
    """Each setting as people say it: `adam at 0.01`, `adam at 0.01, momentum 0.9`."""
    family, rate = study.family, next((key for key in study.keys if key.rpartition(".")[2] == "lr"), None)
    texts = {key: texts_of(study.settings[key]) for key in study.keys}
    last_names = short_keys(study.keys)
    rest = [key for key in study.keys if key not in (family, rate)]
    names = []
    for place in range(len(study.settings)):
        words = [
            _said(last_names[key], texts[key][place]) for key in rest if not _is_absent(key, texts[key][place], family)
        ]
        first = "" if family is None else _family_said(last_names[family], texts[family][place])
        if rate is not None and texts[rate][place] is not None:
            first = f"{first} at {texts[rate][place]}" if first else f"lr {texts[rate][place]}"
        names.append(", ".join([first, *words] if first else words))
    settings = study.settings["setting"].to_list()
    if not study.keys:
        names = settings
    return dict(zip(settings, names, strict=True))


def _said(name: str, text: str | None) -> str:
    return f"no {name}" if text in (None, "null") else f"{name} {text}"


def _family_said(name: str, text: str | None) -> str:
    """By its option, which says what it is by itself, as `adam`; but `true` and `null` don't."""
    return _said(name, text) if text in (None, "null", "true", "false") else str(text)


def _is_absent(key: str, text: str | None, family: str | None) -> bool:
    """Whether the setting doesn't have the key, as an optimizer without momentum."""
    return text in (None, "null") and family is not None and key.startswith(f"{family}.")


def short_keys(keys: Sequence[str]) -> dict[str, str]:
    """The last part of each key, or the whole where two have the same."""
    lasts = [key.rpartition(".")[2] for key in keys]
    return {key: last if lasts.count(last) == 1 else key for key, last in zip(keys, lasts, strict=True)}


def _by_seed(study: Study, seed: str, setting: str) -> polars.DataFrame:
    own = study.runs.filter((polars.col("setting") == setting) & polars.col("value").is_not_null())
    return own.select(seed, "value").unique(seed, keep="last", maintain_order=True)


def _percent(share: float) -> str:
    if 0.001 <= share <= 0.999 or share in (0, 1):
        return f"{100 * share:.1f} %"
    return "less than 0.1 %" if share < 0.5 else "more than 99.9 %"
