"""The objective by two swept numbers, as a heat map. Imports matplotlib."""

import textwrap

import numpy as np
import polars
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from simplenn.report.comparison import short_keys
from simplenn.report.figures.axes import families, label_of, left_out, value_label, without
from simplenn.report.settings import texts_of
from simplenn.report.study import Study
from simplenn.report.style import FONT, INK, SCALE, is_logarithmic, limits, new_figure

MOST_PANELS = 4
LETTERS = 9  # of a title, to an inch
MOST_NAMED_CELLS = 150  # of a heat map, up to which each has its number


def heat_map(study: Study, one: str, other: str) -> Figure:
    """The median objective by two swept numbers, a panel per family; of further keys the best setting counts."""
    settings = study.settings.filter(polars.col(one).is_not_null() & polars.col(other).is_not_null())
    family = study.family
    names = families(study)[:MOST_PANELS]
    first, second = (sorted(settings[key].unique().to_list()) for key in (one, other))
    width = max(4.4, min(9.0, 1.9 + 0.55 * len(first)))
    height = max(3.4, min(8.0, 1.8 + 0.42 * len(second)))
    figure = new_figure(width * len(names) ** 0.75 + 1.0, height)
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    norm = _norm_of(study, settings["median"])
    scale = SCALE if study.less_is_better else f"{SCALE}_r"
    for axes, name in zip(panels, names, strict=True):
        own = settings if family is None else settings.filter(polars.col(family) == name)
        grid = _grid(own, (one, first), (other, second))
        shown = np.ma.masked_invalid(grid)
        mesh = axes.pcolormesh(shown, cmap=scale, norm=norm or Normalize(0, 1), edgecolors="white", linewidth=1)
        _mark_cells(axes, grid, mesh.norm, scale)
        _name_ticks(axes.xaxis, first)
        _name_ticks(axes.yaxis, second)
        _dress_panel(axes, label_of(one), "" if family is None else name)
    panels[0].set_ylabel(label_of(other), fontsize=FONT, color=INK)
    if norm is not None:
        bar = figure.colorbar(panels[-1].collections[0], ax=list(panels), shrink=0.9, pad=0.02)
        bar.set_label(f"median {value_label(study)}", fontsize=FONT, color=INK)
        bar.ax.tick_params(labelsize=FONT - 1)
    title = f"Median {study.objective} (darker is better; x: diverged{_taken_together(study, one, other)})"
    figure.suptitle(
        textwrap.fill(title, int(LETTERS * figure.get_figwidth())),
        x=0.01,
        ha="left",
        fontsize=FONT + 2,
        color=INK,
        fontweight="bold",
    )
    return figure


def _norm_of(study: Study, medians: polars.Series) -> Normalize | None:
    """Which values the colours' ends stand for; `None` where no median is finite."""
    values = medians.drop_nulls().to_numpy()
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    logarithmic = is_logarithmic(finite)
    low, high = limits(finite, logarithmic, bad_is_high=study.less_is_better)
    return (LogNorm if logarithmic else Normalize)(max(low, float(finite.min())), min(high, float(finite.max())))


def _grid(settings: polars.DataFrame, of_columns: tuple[str, list], of_rows: tuple[str, list]) -> np.ndarray:
    """The medians, a row for each value of one key and a column for each of the other; NaN where there is none. Of
    several settings of a cell, the first counts."""
    (one, first), (other, second) = of_columns, of_rows
    grid = np.full((len(second), len(first)), np.nan)
    settings = settings.unique([one, other], keep="first", maintain_order=True)
    for x, y, median in settings.select(one, other, "median").iter_rows():
        grid[second.index(y), first.index(x)] = np.nan if median is None else median
    return grid


def _dress_panel(axes: Axes, label: str, title: str) -> None:
    axes.set_facecolor("#eeeeee")
    axes.set_xlabel(label, fontsize=FONT, color=INK)
    if title:
        axes.set_title(title, loc="left", fontsize=FONT + 1, color=INK)
    axes.tick_params(length=0, labelsize=FONT - 1, colors=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _taken_together(study: Study, one: str, other: str) -> str:
    """What a cell doesn't show, in words."""
    others = [key for key in study.keys if key not in (one, other, study.family)]
    best_of = f"; the best of {', '.join(short_keys(others).values())} in each" if others else ""
    return best_of + left_out(study, MOST_PANELS) + without(study, [one, other])


def _mark_cells(axes: Axes, grid: np.ndarray, norm: Normalize, scale: str) -> None:
    import matplotlib

    colors = matplotlib.colormaps[scale]
    for (row, column), value in np.ndenumerate(grid):
        if np.isinf(value):
            axes.text(column + 0.5, row + 0.5, "x", ha="center", va="center", fontsize=FONT, color=INK)
        elif not np.isnan(value) and grid.size <= MOST_NAMED_CELLS:
            red, green, blue, _ = colors(float(norm(value)))
            ink = "black" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.5 else "white"
            text = f"{value:,.0f}" if 100 <= abs(value) < 10_000 else f"{value:.2g}"
            axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=FONT - 2, color=ink)


def _name_ticks(axis: Axis, values: list) -> None:
    texts = texts_of(polars.Series(values))
    every = max(1, len(values) // 12)
    axis.set_ticks([place + 0.5 for place in range(0, len(values), every)], [str(text) for text in texts[::every]])
