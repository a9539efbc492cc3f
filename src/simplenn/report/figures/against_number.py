"""The objective against a swept number, a line for each family. Imports matplotlib."""

from collections.abc import Sequence

import numpy as np
import polars
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from simplenn.report.comparison import short_keys
from simplenn.report.figures.axes import (
    draw_band,
    draw_points,
    families,
    is_within,
    label_of,
    left_out,
    look_of,
    runs_of,
    value_axis,
    within,
    without,
)
from simplenn.report.study import Study
from simplenn.report.style import FONT, HEIGHT, INK, WIDTH, Look, head, is_logarithmic, limits, new_figure, tidy


def against(study: Study, key: str) -> Figure:
    """The objective against a swept number: the median of each setting, its 10-90 % band, and below, where any runs
    diverged, their share. Where other keys are swept as well, the best setting at each number stands for all."""
    settings, lines = study.settings, []
    family = study.family
    keys = [key] if family is None else [family, key]
    best = settings.filter(polars.col("median").is_not_null() & polars.col(key).is_not_null())
    best = best.unique(keys, keep="first", maintain_order=True)
    for name in families(study):
        own = best if family is None else best.filter(polars.col(family) == name)
        if len(own):
            lines.append((name, own.sort(key)))
    has_diverged = bool(sum(own["diverged"].sum() for _, own in lines))
    figure = new_figure(WIDTH, HEIGHT + (1.0 if has_diverged else 0.0))
    ratios = {"height_ratios": [5, 1]} if has_diverged else {}
    rows = figure.subplots(2 if has_diverged else 1, 1, sharex=True, squeeze=False, gridspec_kw=ratios)[:, 0]
    axes: Axes = rows[0]
    values = np.concatenate([own.select("median", "q10", "q90").to_numpy().ravel() for _, own in lines])
    ends = value_axis(axes, study, values)
    for name, own in lines:
        _line(axes, study, own[key].to_numpy(), own, look_of(study, name), name, ends)
    x = np.concatenate([own[key].to_numpy() for _, own in lines]).astype(float)
    if is_logarithmic(x):
        axes.set_xscale("log")
        axes.set_xlim(*limits(x, True))
    if has_diverged:
        _shares(rows[1], [(own[key].to_numpy(), own, look_of(study, name)) for name, own in lines])
    rows[-1].set_xlabel(label_of(key), fontsize=FONT, color=INK)
    if len(lines) > 1 or family is not None:
        axes.legend(frameon=False, fontsize=FONT, handlelength=3.2)
    medians = np.concatenate([own["median"].to_numpy() for _, own in lines])
    hollow = "; hollow: diverged, or beyond the axis" if not is_within(medians, ends).all() else ""
    others = [other for other in study.keys if other not in keys]
    best_of = f"; the best of {', '.join(short_keys(others).values())} at each" if others else ""
    best_of += left_out(study) + without(study, [key])
    name = label_of(key).partition(" (")[0]
    head(axes, f"Final {study.objective} against the {name}", f"{runs_of(study)}{best_of}{hollow}")
    return figure


def _line(
    axes: Axes, study: Study, x: np.ndarray, own: polars.DataFrame, style: Look, name: str, ends: tuple[float, float]
) -> None:
    low, middle, high = (within(own[column].to_numpy(), ends) for column in ("q10", "median", "q90"))
    if int(own["n"].max() or 0) > 1:  # pyright: ignore[reportArgumentType]
        draw_band(axes, x, low, high, style)
    axes.plot(x, middle, color=style.color, linewidth=2, linestyle=style.line)
    axes.plot([], [], color=style.color, linewidth=2, linestyle=style.line, marker=style.marker, label=name)
    beyond = ~is_within(own["median"].to_numpy(), ends)
    draw_points(axes, x[~beyond], middle[~beyond], style, style.color)
    draw_points(axes, x[beyond], middle[beyond], style, "white")


def _shares(axes: Axes, lines: Sequence[tuple[np.ndarray, polars.DataFrame, Look]]) -> None:
    """How many of the runs diverged at each number."""
    tidy(axes)
    for x, own, style in lines:
        share = own["diverged"].to_numpy() / own["n"].to_numpy()
        axes.plot(x, share, linestyle=style.line, color=style.color, linewidth=1.2)
        draw_points(axes, x, share, style, style.color)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1])
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes.set_ylabel("diverged", fontsize=FONT, color=INK)
