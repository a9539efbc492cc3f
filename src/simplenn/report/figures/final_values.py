"""Where the runs end: a histogram for each family, or the settings side by side. Imports matplotlib."""

import numpy as np
import polars
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from simplenn.report.comparison import Comparison, short_names, values_of
from simplenn.report.figures.axes import (
    MOST_LINES,
    draw_points,
    family_name,
    is_within,
    left_out,
    look_of,
    runs_of,
    value_label,
    within,
    wrapped,
)
from simplenn.report.study import Study
from simplenn.report.style import FONT, INK, WIDTH, head, is_logarithmic, limits, new_figure, tidy
from simplenn.report.table import number

MOST_SETTINGS = 20
LETTERS_BESIDE = 50  # of a line of a name beside the axes


def histogram(study: Study, comparison: Comparison) -> Figure:
    """The final objectives of the best setting of each family, a panel each above a common axis."""
    bests = comparison.bests[:MOST_LINES]
    values = [values_of(study, best.row["setting"]) for best in bests]
    finite = np.concatenate([own[np.isfinite(own)] for own in values])
    figure = new_figure(WIDTH, max(3.2, 1.4 + 1.5 * len(bests)))
    rows = figure.subplots(len(bests), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    logarithmic = is_logarithmic(finite)
    edges = _bin_edges(finite, logarithmic)
    for axes, best, own in zip(rows, bests, values, strict=True):
        tidy(axes)
        color = look_of(study, best.family).color
        counts, _ = np.histogram(own[np.isfinite(own)], edges)
        axes.stairs(counts / len(own), edges, fill=True, color=color, alpha=0.35)
        axes.stairs(counts / len(own), edges, color=color, linewidth=1.2)
        _mark_median(axes, best.row["median"], edges, logarithmic)
        diverged = f", {best.row['diverged']:,} more diverged" if best.row["diverged"] else ""
        text = f"{wrapped(best.name)}\n{len(own) - best.row['diverged']:,} runs{diverged}"
        axes.text(0.01, 0.97, text, transform=axes.transAxes, va="top", fontsize=FONT, color=INK)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    if logarithmic:
        rows[-1].set_xscale("log")
    rows[-1].set_xlabel(value_label(study), fontsize=FONT, color=INK)
    figure.supylabel("share of the runs", fontsize=FONT, color=INK)
    whose = f"best setting of each {family_name(study)}" if study.family is not None else "best setting"
    head(rows[0], f"Where the runs end: final {study.objective}", f"{whose}, all its seeds{left_out(study)}")
    return figure


def _bin_edges(finite: np.ndarray, logarithmic: bool) -> np.ndarray:
    low, high = float(finite.min()), float(finite.max())
    if low == high:
        low, high = low - abs(low) * 0.1 - 1e-9, high + abs(high) * 0.1 + 1e-9
    num_bins = int(np.clip(4 * len(finite) ** (1 / 3), 10, 80))
    edges = np.geomspace(low, high, num_bins + 1) if logarithmic else np.linspace(low, high, num_bins + 1)
    edges[0], edges[-1] = low, high
    return edges


def _mark_median(axes: Axes, median: float, edges: np.ndarray, logarithmic: bool) -> None:
    low, high = float(edges[0]), float(edges[-1])  # whose quotient may overflow in silence
    place = np.log(median / low) / np.log(high / low) if logarithmic else (median - low) / (high - low)
    axes.axvline(median, color=INK, linewidth=1.4, linestyle=(0, (4, 2)))
    axes.annotate(
        f" median {number(median)} ",
        (median, 1),
        xycoords=("data", "axes fraction"),
        ha="right" if place > 0.75 else "left",
        va="top",
        fontsize=FONT - 1,
    )


def side_by_side(study: Study) -> Figure:
    """The best settings, where no number is swept: a line each from the 10 % to the 90 % quantile, the median on it."""
    names = short_names(study)
    settings = study.settings.filter(polars.col("median").is_not_null())[:MOST_SETTINGS]
    labels = [
        wrapped(names[row["setting"]], LETTERS_BESIDE)
        + (f" ({row['diverged']:,} of {row['n']:,} diverged)" if row["diverged"] else "")
        for row in settings.iter_rows(named=True)
    ]
    most_lines = 1 + max(label.count("\n") for label in labels)
    figure = new_figure(WIDTH, 1.5 + 0.36 * len(settings) * (1 + most_lines) / 2)
    axes = figure.subplots()
    tidy(axes)
    values = settings.select("median", "q10", "q90").to_numpy().ravel()
    logarithmic = is_logarithmic(values)
    ends = limits(values, logarithmic, bad_is_high=study.less_is_better)
    if logarithmic:
        axes.set_xscale("log")
    axes.set_xlim(*ends)
    for place, row in enumerate(settings.iter_rows(named=True)):
        style = look_of(study, None if study.family is None else str(row[study.family]))
        low, middle, high = (float(within(np.array([row[name]]), ends)[0]) for name in ("q10", "median", "q90"))
        axes.plot([low, high], [place, place], color=style.color, linewidth=3, alpha=0.45, solid_capstyle="butt")
        face = style.color if is_within(np.array([row["median"]]), ends)[0] else "white"
        draw_points(axes, np.array([middle]), np.array([place]), style, face)
    axes.set_yticks(range(len(settings)), labels, fontsize=FONT)
    axes.set_ylim(len(settings) - 0.5, -0.5)
    axes.set_xlabel(value_label(study), fontsize=FONT, color=INK)
    more = f"; {len(study.settings) - len(settings):,} more are worse" if len(study.settings) > len(settings) else ""
    head(axes, f"Final {study.objective} by setting", f"{runs_of(study)}{more}")
    return figure
