"""How the best setting of each family came to its objective, epoch by epoch. Imports matplotlib."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from simplenn.report.comparison import Comparison
from simplenn.report.curves import bands_of
from simplenn.report.figures.axes import (
    MOST_LINES,
    draw_band,
    family_name,
    left_out,
    look_of,
    runs_of,
    value_axis,
    within,
    wrapped,
)
from simplenn.report.study import Study
from simplenn.report.style import FONT, INK, head, new_figure


def curves(study: Study, comparison: Comparison) -> Figure | None:
    """The objective by epoch of the best setting of each family; `None` where no file has curves."""
    bests = comparison.bests[:MOST_LINES]
    bands = bands_of(study, [best.row["setting"] for best in bests])
    if not any(len(band.epochs) > 1 for band in bands.values()):
        return None
    figure = new_figure()
    axes = figure.subplots()
    found = [bands[best.row["setting"]] for best in bests if best.row["setting"] in bands]
    ends = value_axis(axes, study, np.concatenate([np.concatenate([b.median, b.q10, b.q90]) for b in found]))
    for best in bests:
        band = bands.get(best.row["setting"])
        if band is None:
            continue
        style = look_of(study, best.family)
        low, middle, high = (within(values, ends) for values in (band.q10, band.median, band.q90))
        if band.n > 1:
            draw_band(axes, band.epochs, low, high, style)
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
            label=wrapped(best.name),
        )
    axes.set_xlabel("epoch", fontsize=FONT, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(1, max(int(band.epochs[-1]) for band in found))
    axes.legend(frameon=False, fontsize=FONT, handlelength=3.2)
    way = "falls" if study.less_is_better else "grows"
    whose = "best setting" if study.family is None else f"best setting of each {family_name(study)}"
    head(axes, f"How {study.objective} {way}", f"{whose}: {runs_of(study)}{left_out(study)}")
    return figure
