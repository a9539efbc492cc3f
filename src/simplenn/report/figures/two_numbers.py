"""The objective by two swept numbers, as a heat map. Imports matplotlib."""

import textwrap

import numpy as np
import polars
from matplotlib.axes import Axes
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
    medians = settings["median"].drop_nulls().to_numpy()
    finite = medians[np.isfinite(medians)]
    if not len(finite):
        norm = Normalize(0, 1)
    else:
        logarithmic = is_logarithmic(finite)
        low, high = limits(finite, logarithmic, bad_is_high=study.less_is_better)
        norm = (LogNorm if logarithmic else Normalize)(max(low, float(finite.min())), min(high, float(finite.max())))
    mesh = None
    for axes, name in zip(panels, names, strict=True):
        own = settings if family is None else settings.filter(polars.col(family) == name)
        own = own.unique([one, other], keep="first", maintain_order=True)
        grid = np.full((len(second), len(first)), np.nan)
        for x, y, median in own.select(one, other, "median").iter_rows():
            grid[second.index(y), first.index(x)] = np.nan if median is None else median
        axes.set_facecolor("#eeeeee")
        scale = SCALE if study.less_is_better else f"{SCALE}_r"
        mesh = axes.pcolormesh(np.ma.masked_invalid(grid), cmap=scale, norm=norm, edgecolors="white", linewidth=1)
        _mark_cells(axes, grid, norm, scale)
        for axis, values, key in ((axes.xaxis, first, one), (axes.yaxis, second, other)):
            _name_ticks(axis, values, study, key)
        axes.set_xlabel(label_of(one), fontsize=FONT, color=INK)
        if family is not None:
            axes.set_title(name, loc="left", fontsize=FONT + 1, color=INK)
        axes.tick_params(length=0, labelsize=FONT - 1, colors=INK)
        for spine in axes.spines.values():
            spine.set_visible(False)
    panels[0].set_ylabel(label_of(other), fontsize=FONT, color=INK)
    if mesh is not None and len(finite):
        bar = figure.colorbar(mesh, ax=list(panels), shrink=0.9, pad=0.02)
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


def _name_ticks(axis, values: list, study: Study, key: str) -> None:
    texts = texts_of(polars.Series(values))
    every = max(1, len(values) // 12)
    axis.set_ticks([place + 0.5 for place in range(0, len(values), every)], [str(text) for text in texts[::every]])
