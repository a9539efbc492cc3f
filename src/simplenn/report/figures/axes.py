"""What the figures share: the axis of the objective, bands and points on it, labels, and which line has which look.
Imports matplotlib.

Values beyond an axis, as those of diverged runs, are drawn at its edge, as hollow markers.
"""

import textwrap
from collections.abc import Sequence

import numpy as np
import polars
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from simplenn.metric import METRICS, declared
from simplenn.report.study import Study
from simplenn.report.style import FONT, INK, Look, is_logarithmic, limits, look, tidy

MOST_LINES = 7  # families in one figure
MOST_LETTERS = 80  # of a line of a name within the axes
NAMES = {
    "lr": "learning rate",
    "max_epochs": "number of epochs",
    "momentum": "momentum",
    "batch_size": "batch size",
}
WHAT = {"loss": "mean squared error", "mae": "mean absolute error", "r2": "R²"}


def value_axis(axes: Axes, study: Study, values: np.ndarray) -> tuple[float, float]:
    """Makes the vertical axis one of these values of the objective; its ends."""
    tidy(axes)
    logarithmic = is_logarithmic(values)
    low, high = limits(values, logarithmic, bad_is_high=study.less_is_better)
    if logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(low, high)
    if not np.isfinite(values).any():
        axes.set_yticks([])  # all have diverged: there are no numbers to read
    axes.set_ylabel(value_label(study), fontsize=FONT, color=INK)
    return low, high


def draw_band(axes: Axes, x: np.ndarray, low: np.ndarray, high: np.ndarray, style: Look) -> None:
    axes.fill_between(x, low, high, color=style.color, alpha=0.16, linewidth=0)
    for edge in (low, high):
        axes.plot(x, edge, color=style.color, linewidth=0.8, linestyle=style.line, alpha=0.7)


def draw_points(axes: Axes, x: np.ndarray, y: np.ndarray, style: Look, face: str) -> None:
    """Whole ones also at the edge of the axes, where they are no part of the layout."""
    if len(x):
        (points,) = axes.plot(x, y, style.marker, color=style.color, markerfacecolor=face, markersize=7, clip_on=False)
        points.set_in_layout(False)
        points.set_zorder(3)


def wrapped(name: str, letters: int = MOST_LETTERS) -> str:
    """A setting's name in lines of at most so many letters: names may have hundreds, and the axes need some room."""
    return textwrap.fill(name, letters)


def within(values: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    """With values beyond the axis at its end."""
    return np.clip(values.astype(float), *ends)


def is_within(values: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    return (values >= ends[0]) & (values <= ends[1])


def families(study: Study) -> list[str]:
    """Best first, at most as many as there are looks."""
    return _all_families(study)[:MOST_LINES]


def left_out(study: Study, most: int = MOST_LINES) -> str:
    """How many families beyond the first are not drawn, for the words below a title; empty where all are."""
    num = len(_all_families(study)) - most
    return f"; {num:,} more of {family_name(study)} {'is' if num == 1 else 'are'} left out" if num > 0 else ""


def without(study: Study, keys: Sequence[str]) -> str:
    """That settings without one of these numbers have no place in a figure, in words; empty where all have them."""
    ended = study.settings.filter(polars.col("median").is_not_null())
    names = [key.rpartition(".")[2] for key in keys if ended[key].null_count()]
    return f"; settings without {' or '.join(names)} are not drawn" if names else ""


def _all_families(study: Study) -> list[str]:
    if study.family is None:
        return [""]
    return study.settings[study.family].cast(polars.String).drop_nulls().unique(maintain_order=True).to_list()


def look_of(study: Study, family: str | None) -> Look:
    """The same in all figures."""
    names = families(study)
    return look(names.index(family) if family in names else 0)


def family_name(study: Study) -> str:
    return "all" if study.family is None else study.family.rpartition(".")[2]


def label_of(key: str) -> str:
    last = key.rpartition(".")[2]
    return f"{NAMES[last]} ({key})" if last in NAMES else key


def value_label(study: Study) -> str:
    name = declared(study.objective).name
    return f"{study.objective} ({WHAT[name]})" if name in WHAT and name in METRICS else study.objective


def runs_of(study: Study) -> str:
    counts = study.settings["n"].filter(study.settings["n"] > 0)
    low, high = int(counts.min() or 0), int(counts.max() or 0)  # pyright: ignore[reportArgumentType]
    if high == 1:
        return "one run each"
    number = f"{high:,}" if low == high else f"{low:,} to {high:,}"
    return f"median and 10–90 % band of {number} runs each"  # noqa: RUF001
