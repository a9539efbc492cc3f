"""The explanation as a figure: predictions, the function that was learned, the loss around the trained weights.

Shapes: N samples.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from simplenn.explanation.subject import Subject
from simplenn.explanation.surface import Surface, surface
from simplenn.report.style import FAINT, FONT, INK, LOOKS, SCALE, head, new_figure, png_of, tidy
from simplenn.rundir import write_atomically, writing

# Colour and mark of each set of samples; those that are drawn last stand in front.
SETS = {"extrapolation": ("#999999", "x"), "test": ("#E69F00", "^"), "validation": ("#009E73", "s")}
SETS["training"] = (LOOKS[0].color, LOOKS[0].marker)
MOST_POINTS = 256  # of a set
PANEL = 4.4, 4.3  # inches


def write_figure(subject: Subject, path: Path, title: str) -> str | None:
    """Writes the PNG; what its axes are, in words. `None` where there is nothing to draw. Raises `Unwritable`."""
    landscape = surface(subject)
    panels: list[Any] = [_predictions] if subject.sets else []
    if subject.is_sum:
        panels.append(_along_diagonal)
    if landscape is not None:
        panels.append(lambda axes, subject: _landscape(axes, landscape))
    if not panels:
        return None
    figure = new_figure(PANEL[0] * len(panels), PANEL[1])
    for axes, draw in zip(np.ravel(figure.subplots(1, len(panels))), panels, strict=True):
        tidy(axes)
        draw(axes, subject)
    figure.suptitle(title, fontsize=FONT, color=INK, x=0.01, ha="left")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, png_of(figure), durable=False)
    return "" if landscape is None else _axes_in_words(landscape)


def _predictions(axes: Any, subject: Subject) -> None:
    targets = []
    for name, (colour, marker) in SETS.items():
        if name not in subject.sets:
            continue
        x, y = (tensor[:MOST_POINTS] for tensor in subject.sets[name])
        target = y[:, 0].float().numpy()
        targets.append(target)
        size = 48 if len(target) <= 10 else 14
        axes.scatter(target, subject.predict(x).numpy(), s=size, c=colour, marker=marker, label=name, linewidths=0.8)
    ends = [min(own.min() for own in targets), max(own.max() for own in targets)]
    axes.plot(ends, ends, color=INK, linewidth=1, linestyle="--", label="exact", zorder=0.9)
    axes.set(xlabel="target", ylabel="what it says")
    head(axes, "Predictions", "for each sample")
    axes.legend(frameon=False, fontsize=FONT - 2)


def _along_diagonal(axes: Any, subject: Subject) -> None:
    """For inputs that are all the same number: a cut through what it has learned, with its kinks."""
    x = subject.sets["training"][0].float()
    low, high = x.mean(dim=1).min().item(), x.mean(dim=1).max().item()
    width = max(high - low, 1.0)
    numbers = torch.linspace(low - 1.2 * width, high + 2 * width, 600)
    said = subject.predict(numbers[:, None].expand(-1, x.shape[1]).contiguous()).numpy()
    sums = numbers.numpy() * x.shape[1]
    axes.axvspan(low * x.shape[1], high * x.shape[1], color=FAINT, label="range of training", zorder=0.5)
    axes.plot(sums, sums, color=INK, linewidth=1, linestyle="--", label="exact")
    axes.plot(sums, said, color=LOOKS[1].color, linewidth=2.5, label="what it says")
    alike = ", ".join(["t"] * x.shape[1]) if x.shape[1] <= 4 else "t, ..., t"
    axes.set(xlabel=f"sum of the inputs ({alike})", ylabel="what it says")
    head(axes, "The function that it learned", "where all inputs are the same number")
    axes.legend(frameon=False, fontsize=FONT - 2)


def _landscape(axes: Any, landscape: Surface) -> None:
    finite = landscape.loss[np.isfinite(landscape.loss) & (landscape.loss > 0)]
    if not len(finite):
        axes.text(0.5, 0.5, "the loss is not finite here", ha="center", transform=axes.transAxes)
        return
    # What is far below the trained loss is no more told apart: in a narrow valley, between the points, it is unknown.
    lowest = max(float(finite.min()), float(finite.max()) * 1e-5, landscape.at_end / 2)
    heights = np.log10(np.clip(np.nan_to_num(landscape.loss, nan=np.inf), lowest, finite.max()))
    levels = MaxNLocator(12).tick_values(heights.min(), heights.max())
    filled = axes.contourf(landscape.steps, landscape.steps, heights, levels=levels, cmap=SCALE)
    axes.contour(landscape.steps, landscape.steps, heights, levels=levels, colors="white", linewidths=0.3)
    scale = axes.figure.colorbar(filled, ax=axes, label="training loss, mean squared error")
    scale.ax.yaxis.set_major_formatter(FuncFormatter(lambda height, _: _short(10**height)))
    outline = {"edgecolor": "black", "zorder": 3, "clip_on": False}
    if not any(landscape.random):
        axes.plot([0, 1], [0, 1], color="white", linewidth=1.2, linestyle=":")
        axes.scatter(0, 0, s=60, c="white", marker="o", label="initial weights", **outline)
    axes.scatter(1, 1, s=130, c="white", marker="*", label="trained weights", **outline)
    axes.set(xlabel=_axis(landscape.first, landscape.random[0]), ylabel=_axis(landscape.last, landscape.random[1]))
    ticks = np.arange(landscape.steps[0], landscape.steps[-1] + 1e-9, 0.5)
    axes.set(xticks=ticks, yticks=ticks)
    head(axes, "The loss around its weights", "all other weights as trained")
    axes.grid(False)
    axes.legend(fontsize=FONT - 2, loc="lower left", framealpha=0.9)


def _short(loss: float) -> str:
    return f"{loss:,.0f}" if 10 <= loss < 1e5 else f"{loss:.2g}"


def _axis(layer: str, is_random: bool) -> str:
    return f"{layer}: random direction, trained at 1" if is_random else f"{layer}: from initial (0) to trained (1)"


def _axes_in_words(landscape: Surface) -> str:
    said = []
    last = "All other weights are the trained ones."
    for layer, is_random in zip((landscape.first, landscape.last), landscape.random, strict=True):
        moved = f"{layer} from its initial weights (0) to its trained ones (1)"
        why = "it is the only layer" if landscape.is_single and said else "training hasn't moved it"
        still = f"{layer} along a random direction of its filters' own length, as {why}"
        said.append(still if is_random else moved)
    if not any(landscape.random):
        last = f"The loss at (0, 0) is {landscape.at_start:.4g}, at (1, 1) {landscape.at_end:.4g}. {last}"
    return f"The axes of its loss surface:\n  x: {said[0]}\n  y: {said[1]}\n{last}"
