"""How figures look: colours that the colour-blind tell apart, and beside them a marker and a line style each, so that
they can be read in black and white. Imports matplotlib.
"""

import io
import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

DPI = 150
WIDTH, HEIGHT = 8.0, 5.0  # inches
INK, FAINT = "#222222", "#d9d9d9"
SCALE = "cividis"  # dark is low; its lightness grows evenly, for everyone's eyes and in black and white
FONT = 10
LINE = 100  # letters of a line under a title
FAR_OUT = 30
MOST_DECADES = 200  # of a logarithmic axis, more than which matplotlib can't draw


@dataclass(frozen=True)
class Look:
    """Of one line."""

    color: str
    marker: str
    line: Any


LOOKS = (  # the colours of Okabe and Ito (2008), those that are light last
    Look("#0072B2", "o", "-"),
    Look("#D55E00", "s", (0, (5, 2))),
    Look("#009E73", "^", (0, (5, 2, 1, 2))),
    Look("#CC79A7", "D", (0, (1, 1.5))),
    Look("#000000", "v", (0, (8, 2))),
    Look("#E69F00", "P", (0, (3, 1, 1, 1, 1, 1))),
    Look("#56B4E9", "X", (0, (2, 1))),
)


def look(place: int) -> Look:
    return LOOKS[place % len(LOOKS)]


def new_figure(width: float = WIDTH, height: float = HEIGHT) -> Figure:
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def png_of(figure: Figure) -> bytes:
    """Without the date and the program's name: the same figure is the same file."""
    for text in figure.findobj(Text):  # a dollar in a name is no formula; those of a logarithmic axis are
        if isinstance(text, Text) and "$" in text.get_text() and "mathdefault" not in text.get_text():
            text.set_parse_math(False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def tidy(axes: Axes) -> None:
    """A faint grid behind, and no frame above and to the right."""
    axes.set_axisbelow(True)
    axes.grid(True, which="major", color=FAINT, linewidth=0.7)
    axes.tick_params(which="both", colors=INK, labelsize=FONT - 1)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#777777")


def head(axes: Axes, title: str, below: str) -> None:
    """A title, and lines in smaller letters under it."""
    lines = textwrap.wrap(below, LINE)
    axes.set_title(
        title, loc="left", fontsize=FONT + 3, color=INK, fontweight="bold", pad=0.9 * FONT + 1.4 * FONT * len(lines)
    )
    small = axes.annotate(
        "\n".join(lines),
        (0, 1),
        (0, 0.7 * FONT),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=FONT - 1,
        color="#555555",
    )
    small.set_in_layout(False)  # the title above it makes the room


def is_logarithmic(values: np.ndarray) -> bool:
    """Whether these values are better seen by their ratios."""
    finite = values[np.isfinite(values)]
    return bool(len(finite) and finite.min() > 0 and np.log10(finite.max()) - np.log10(finite.min()) >= 1)


def limits(values: np.ndarray, logarithmic: bool, *, bad_is_high: bool | None = None) -> tuple[float, float]:
    """The ends of an axis on which the finite values have room.

    With `bad_is_high` said, a few very bad values don't get it all: the axis ends `FAR_OUT` times above the upper
    quartile, or on a linear one as many times its distance from the median away.
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.1, 1.0
    low, high = float(finite.min()), min(float(finite.max()), 1e300)
    quarter, middle, three_quarters = np.quantile(finite, (0.25, 0.5, 0.75))
    if bad_is_high is True:
        far = (
            min(three_quarters, 1e300) * FAR_OUT
            if logarithmic
            else three_quarters + FAR_OUT * (three_quarters - middle)
        )
        high = min(high, max(far, three_quarters))
    elif bad_is_high is False:
        far = quarter / FAR_OUT if logarithmic else quarter - FAR_OUT * (middle - quarter)
        low = max(low, min(far, quarter))
    if logarithmic:
        low = max(low, 10.0 ** max(np.log10(high) - MOST_DECADES, -300))
        room = max((high / low) ** 0.06, 1.15)
        return low / room, high * room
    room = 0.08 * (high - low) or abs(high) * 0.1 or 1.0
    return low - room, high + room
