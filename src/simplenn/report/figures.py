"""The figures of a sweep, as PNG: the objective against the learning rate, the loss curves and a histogram of the best
settings, heat maps of two swept numbers. Which of them there are depends on what was swept. Imports matplotlib.

Values beyond an axis, as those of diverged runs, are drawn at its edge, as hollow markers.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, PercentFormatter

from simplenn.errors import ConfigError
from simplenn.metric import METRICS, declared
from simplenn.report.comparison import Comparison, short_keys, short_names, values_of
from simplenn.report.curves import bands_of
from simplenn.report.settings import texts_of
from simplenn.report.study import Study
from simplenn.report.style import (
    FONT,
    HEIGHT,
    INK,
    SCALE,
    WIDTH,
    Look,
    head,
    is_logarithmic,
    limits,
    look,
    new_figure,
    png_of,
    tidy,
)
from simplenn.report.table import number
from simplenn.rundir import write_atomically

MOST_LINES = 7  # families in one figure
MOST_PANELS = 4
MOST_SETTINGS = 20
MOST_NAMED_CELLS = 150  # of a heat map, up to which each has its number
MOST_PAIRS = 3  # of swept numbers that get a heat map without being asked for
NAMES = {
    "lr": "learning rate",
    "max_epochs": "number of epochs",
    "momentum": "momentum",
    "batch_size": "batch size",
}
WHAT = {"loss": "mean squared error", "mae": "mean absolute error", "r2": "R²"}


class Drawing(NamedTuple):
    """`words` say for people who can't see the figure what it shows."""

    name: str  # of its file
    words: str
    png: bytes


def drawings(study: Study, comparison: Comparison, heat: Sequence[str] | None = None) -> Iterator[Drawing]:
    """`heat` are the two swept numbers of the heat map, where somebody says which. Raises `ConfigError`."""
    if heat is not None:
        _refuse_heat(study, heat)
    objective = study.objective.rpartition("/")[2]
    by = next((key for key in study.numbers if key.rpartition(".")[2] == "lr"), next(iter(study.numbers), None))
    if study.settings["median"].null_count() == len(study.settings):
        return
    if by is not None:
        last = by.rpartition(".")[2]
        words = f"final {study.objective} against {last}, a line per {_family_name(study)}"
        yield Drawing(f"{objective}_by_{last}.png", words, png_of(against(study, by)))
    elif len(study.settings) > 1:
        yield Drawing("settings.png", "the settings, best first", png_of(side_by_side(study)))
    if comparison.bests:
        if (figure := curves(study, comparison)) is not None:
            yield Drawing("curves.png", f"{study.objective} by epoch of the best settings", png_of(figure))
        words = f"histogram of the final {study.objective} of the best settings"
        if comparison.most_seeds > 1:
            yield Drawing("histogram.png", words, png_of(histogram(study, comparison)))
    pairs = [tuple(heat)] if heat is not None else list(combinations(study.numbers, 2))[:MOST_PAIRS]
    for one, other in pairs:
        lasts = short_keys([one, other])
        name = "_".join(lasts[key].replace(".", "_") for key in (one, other))
        words = f"median {study.objective} by {lasts[one]} and {lasts[other]}"
        yield Drawing(f"heat_{name}.png", words, png_of(heat_map(study, one, other)))


def write_drawings(folder: Path, drawn: Sequence[Drawing]) -> list[Path]:
    """Raises `Unwritable`."""
    for drawing in drawn:
        write_atomically(folder / drawing.name, drawing.png)
    return [folder / drawing.name for drawing in drawn]


def against(study: Study, key: str) -> Figure:
    """The objective against a swept number: the median of each setting, its 10-90 % band, and below, where any runs
    diverged, their share. Where other keys are swept as well, the best setting at each number stands for all."""
    settings, lines = study.settings, []
    family = study.family
    keys = [key] if family is None else [family, key]
    best = settings.filter(polars.col("median").is_not_null() & polars.col(key).is_not_null())
    best = best.unique(keys, keep="first", maintain_order=True)
    for name in _families(study):
        own = best if family is None else best.filter(polars.col(family) == name)
        if len(own):
            lines.append((name, own.sort(key)))
    has_diverged = bool(sum(own["diverged"].sum() for _, own in lines))
    figure = new_figure(WIDTH, HEIGHT + (1.0 if has_diverged else 0.0))
    ratios = {"height_ratios": [5, 1]} if has_diverged else {}
    rows = figure.subplots(2 if has_diverged else 1, 1, sharex=True, squeeze=False, gridspec_kw=ratios)[:, 0]
    axes: Axes = rows[0]
    values = np.concatenate([own.select("median", "q10", "q90").to_numpy().ravel() for _, own in lines])
    ends = _value_axis(axes, study, values)
    for place, (name, own) in enumerate(lines):
        _line(axes, study, own[key].to_numpy(), own, look(place), name, ends)
    x = np.concatenate([own[key].to_numpy() for _, own in lines]).astype(float)
    if is_logarithmic(x):
        axes.set_xscale("log")
        axes.set_xlim(*limits(x, True))
    if has_diverged:
        _shares(rows[1], [(own[key].to_numpy(), own) for _, own in lines])
    rows[-1].set_xlabel(_label(key), fontsize=FONT, color=INK)
    if len(lines) > 1 or family is not None:
        axes.legend(frameon=False, fontsize=FONT, handlelength=3.2)
    medians = np.concatenate([own["median"].to_numpy() for _, own in lines])
    hollow = "; hollow: diverged, or beyond the axis" if not _is_within(medians, ends).all() else ""
    others = [other for other in study.keys if other not in keys]
    best_of = f"; the best of {', '.join(short_keys(others).values())} at each" if others else ""
    name = _label(key).partition(" (")[0]
    head(axes, f"Final {study.objective} against the {name}", f"{_runs_of(study)}{best_of}{hollow}")
    return figure


def _line(
    axes: Axes, study: Study, x: np.ndarray, own: polars.DataFrame, style: Look, name: str, ends: tuple[float, float]
) -> None:
    low, middle, high = (_within(own[column].to_numpy(), ends) for column in ("q10", "median", "q90"))
    if int(own["n"].max() or 0) > 1:  # pyright: ignore[reportArgumentType]
        axes.fill_between(x, low, high, color=style.color, alpha=0.16, linewidth=0)
        for edge in (low, high):
            axes.plot(x, edge, color=style.color, linewidth=0.8, linestyle=style.line, alpha=0.7)
    axes.plot(x, middle, color=style.color, linewidth=2, linestyle=style.line)
    axes.plot([], [], color=style.color, linewidth=2, linestyle=style.line, marker=style.marker, label=name)
    beyond = ~_is_within(own["median"].to_numpy(), ends)
    _points(axes, x[~beyond], middle[~beyond], style, style.color)
    _points(axes, x[beyond], middle[beyond], style, "white")


def _points(axes: Axes, x: np.ndarray, y: np.ndarray, style: Look, face: str) -> None:
    """Whole ones also at the edge of the axes, where they are no part of the layout."""
    if len(x):
        (points,) = axes.plot(x, y, style.marker, color=style.color, markerfacecolor=face, markersize=7, clip_on=False)
        points.set_in_layout(False)
        points.set_zorder(3)


def _shares(axes: Axes, lines: Sequence[tuple[np.ndarray, polars.DataFrame]]) -> None:
    """How many of the runs diverged at each number."""
    tidy(axes)
    for place, (x, own) in enumerate(lines):
        style = look(place)
        share = own["diverged"].to_numpy() / own["n"].to_numpy()
        axes.plot(x, share, linestyle=style.line, color=style.color, linewidth=1.2)
        _points(axes, x, share, style, style.color)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1])
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes.set_ylabel("diverged", fontsize=FONT, color=INK)


def curves(study: Study, comparison: Comparison) -> Figure | None:
    """The objective by epoch of the best setting of each family; `None` where no file has curves."""
    bests = comparison.bests[:MOST_LINES]
    bands = bands_of(study, [best.row["setting"] for best in bests])
    if not any(len(band.epochs) > 1 for band in bands.values()):
        return None
    figure = new_figure()
    axes = figure.subplots()
    found = [bands[best.row["setting"]] for best in bests if best.row["setting"] in bands]
    ends = _value_axis(axes, study, np.concatenate([np.concatenate([b.median, b.q10, b.q90]) for b in found]))
    for best in bests:
        band = bands.get(best.row["setting"])
        if band is None:
            continue
        style = _look_of(study, best.family)
        low, middle, high = (_within(values, ends) for values in (band.q10, band.median, band.q90))
        if band.n > 1:
            axes.fill_between(band.epochs, low, high, color=style.color, alpha=0.16, linewidth=0)
            for edge in (low, high):
                axes.plot(band.epochs, edge, color=style.color, linewidth=0.8, linestyle=style.line, alpha=0.7)
        every = max(1, len(band.epochs) // 8)
        axes.plot(
            band.epochs,
            middle,
            color=style.color,
            linewidth=2,
            linestyle=style.line,
            marker=style.marker,
            markevery=(every // 2, every),
            markersize=7,
            label=best.name,
        )
    axes.set_xlabel("epoch", fontsize=FONT, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(1, max(int(band.epochs[-1]) for band in found))
    axes.legend(frameon=False, fontsize=FONT, handlelength=3.2)
    way = "falls" if study.less_is_better else "grows"
    whose = "best setting" if study.family is None else f"best setting of each {_family_name(study)}"
    head(axes, f"How {study.objective} {way}", f"{whose}: {_runs_of(study)}")
    return figure


def histogram(study: Study, comparison: Comparison) -> Figure:
    """The final objectives of the best setting of each family, a panel each above a common axis."""
    bests = comparison.bests[:MOST_LINES]
    values = [values_of(study, best.row["setting"]) for best in bests]
    finite = np.concatenate([own[np.isfinite(own)] for own in values])
    figure = new_figure(WIDTH, max(3.2, 1.4 + 1.5 * len(bests)))
    rows = figure.subplots(len(bests), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    logarithmic = is_logarithmic(finite)
    low, high = float(finite.min()), float(finite.max())
    if low == high:
        low, high = low - abs(low) * 0.1 - 1e-9, high + abs(high) * 0.1 + 1e-9
    num_bins = int(np.clip(4 * len(finite) ** (1 / 3), 10, 80))
    edges = np.geomspace(low, high, num_bins + 1) if logarithmic else np.linspace(low, high, num_bins + 1)
    edges[0], edges[-1] = low, high
    for axes, best, own in zip(rows, bests, values, strict=True):
        tidy(axes)
        style = _look_of(study, best.family)
        counts, _ = np.histogram(own[np.isfinite(own)], edges)
        axes.stairs(counts / len(own), edges, fill=True, color=style.color, alpha=0.35)
        axes.stairs(counts / len(own), edges, color=style.color, linewidth=1.2)
        middle = best.row["median"]
        axes.axvline(middle, color=INK, linewidth=1.4, linestyle=(0, (4, 2)))
        is_right = (np.log(middle / low) / np.log(high / low) if logarithmic else (middle - low) / (high - low)) > 0.75
        axes.annotate(
            f" median {number(middle)} ",
            (middle, 1),
            xycoords=("data", "axes fraction"),
            ha="right" if is_right else "left",
            va="top",
            fontsize=FONT - 1,
        )
        diverged = f", {best.row['diverged']:,} more diverged" if best.row["diverged"] else ""
        text = f"{best.name}\n{len(own) - best.row['diverged']:,} runs{diverged}"
        axes.text(0.01, 0.97, text, transform=axes.transAxes, va="top", fontsize=FONT, color=INK)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    if logarithmic:
        rows[-1].set_xscale("log")
    rows[-1].set_xlabel(_value_label(study), fontsize=FONT, color=INK)
    figure.supylabel("share of the runs", fontsize=FONT, color=INK)
    whose = f"best setting of each {_family_name(study)}" if study.family is not None else "best setting"
    head(rows[0], f"Where the runs end: final {study.objective}", f"{whose}, all its seeds")
    return figure


def heat_map(study: Study, one: str, other: str) -> Figure:
    """The median objective by two swept numbers, a panel per family; of further keys the best setting counts."""
    settings = study.settings.filter(polars.col(one).is_not_null() & polars.col(other).is_not_null())
    family = study.family
    names = _families(study)[:MOST_PANELS]
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
        axes.set_xlabel(_label(one), fontsize=FONT, color=INK)
        if family is not None:
            axes.set_title(name, loc="left", fontsize=FONT + 1, color=INK)
        axes.tick_params(length=0, labelsize=FONT - 1, colors=INK)
        for spine in axes.spines.values():
            spine.set_visible(False)
    panels[0].set_ylabel(_label(other), fontsize=FONT, color=INK)
    if mesh is not None and len(finite):
        bar = figure.colorbar(mesh, ax=list(panels), shrink=0.9, pad=0.02)
        bar.set_label(f"median {_value_label(study)}", fontsize=FONT, color=INK)
        bar.ax.tick_params(labelsize=FONT - 1)
    figure.suptitle(
        f"Median {study.objective} (darker is better; x: diverged)",
        x=0.01,
        ha="left",
        fontsize=FONT + 2,
        color=INK,
        fontweight="bold",
    )
    return figure


def side_by_side(study: Study) -> Figure:
    """The best settings, where no number is swept: a line each from the 10 % to the 90 % quantile, the median on it."""
    names = short_names(study)
    settings = study.settings.filter(polars.col("median").is_not_null())[:MOST_SETTINGS]
    figure = new_figure(WIDTH, 1.5 + 0.36 * len(settings))
    axes = figure.subplots()
    tidy(axes)
    values = settings.select("median", "q10", "q90").to_numpy().ravel()
    logarithmic = is_logarithmic(values)
    ends = limits(values, logarithmic, bad_is_high=study.less_is_better)
    if logarithmic:
        axes.set_xscale("log")
    axes.set_xlim(*ends)
    for place, row in enumerate(settings.iter_rows(named=True)):
        style = _look_of(study, None if study.family is None else str(row[study.family]))
        low, middle, high = (float(_within(np.array([row[name]]), ends)[0]) for name in ("q10", "median", "q90"))
        axes.plot([low, high], [place, place], color=style.color, linewidth=3, alpha=0.45, solid_capstyle="butt")
        face = style.color if _is_within(np.array([row["median"]]), ends)[0] else "white"
        _points(axes, np.array([middle]), np.array([place]), style, face)
    labels = [
        names[row["setting"]] + (f" ({row['diverged']:,} of {row['n']:,} diverged)" if row["diverged"] else "")
        for row in settings.iter_rows(named=True)
    ]
    axes.set_yticks(range(len(settings)), labels, fontsize=FONT)
    axes.set_ylim(len(settings) - 0.5, -0.5)
    axes.set_xlabel(_value_label(study), fontsize=FONT, color=INK)
    more = f"; {len(study.settings) - len(settings):,} more are worse" if len(study.settings) > len(settings) else ""
    head(axes, f"Final {study.objective} by setting", f"{_runs_of(study)}{more}")
    return figure


def _value_axis(axes: Axes, study: Study, values: np.ndarray) -> tuple[float, float]:
    """Makes the vertical axis one of these values of the objective; its ends."""
    tidy(axes)
    logarithmic = is_logarithmic(values)
    low, high = limits(values, logarithmic, bad_is_high=study.less_is_better)
    if logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(low, high)
    axes.set_ylabel(_value_label(study), fontsize=FONT, color=INK)
    return low, high


def _within(values: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    """With values beyond the axis at its end."""
    return np.clip(values.astype(float), *ends)


def _is_within(values: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    return (values >= ends[0]) & (values <= ends[1])


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


def _families(study: Study) -> list[str]:
    """Best first, at most as many as there are looks."""
    if study.family is None:
        return [""]
    names = study.settings[study.family].cast(polars.String).drop_nulls().unique(maintain_order=True)
    return names.to_list()[:MOST_LINES]


def _look_of(study: Study, family: str | None) -> Look:
    """The same in all figures."""
    names = _families(study)
    return look(names.index(family) if family in names else 0)


def _family_name(study: Study) -> str:
    return "all" if study.family is None else study.family.rpartition(".")[2]


def _label(key: str) -> str:
    last = key.rpartition(".")[2]
    return f"{NAMES[last]} ({key})" if last in NAMES else key


def _value_label(study: Study) -> str:
    name = declared(study.objective).name
    return f"{study.objective} ({WHAT[name]})" if name in WHAT and name in METRICS else study.objective


def _runs_of(study: Study) -> str:
    counts = study.settings["n"].filter(study.settings["n"] > 0)
    low, high = int(counts.min() or 0), int(counts.max() or 0)  # pyright: ignore[reportArgumentType]
    if high == 1:
        return "one run each"
    number = f"{high:,}" if low == high else f"{low:,} to {high:,}"
    return f"median and 10–90 % band of {number} runs each"  # noqa: RUF001


def _refuse_heat(study: Study, keys: Sequence[str]) -> None:
    for key in keys:
        if key not in study.numbers:
            numbers = ", ".join(study.numbers) or "none"
            raise ConfigError(f"--heat must name two swept numbers, got {key}; there are {numbers}")
    if len(set(keys)) < 2:
        raise ConfigError(f"--heat must name two different numbers, got {keys[0]} twice")
