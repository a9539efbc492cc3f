"""What a sweep has found, as a few runs of TensorBoard's: a line per optimizer, of the objective against the learning
rate. Imports no torch.

TensorBoard's steps are whole numbers and its axes are linear, so the learning rate is shown by 1000 times its
logarithm, and the objective by its logarithm. What has none stands at the edge: diverged runs above all, an exact 0
below all.

Shapes: X values of the key on the axis, L lines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars

from simplenn.report.settings import ONE_SETTING, quantiles
from simplenn.report.study import Study
from simplenn.report.tensorboard.setting_curves import SHARES, quantiles_by_epoch

AXIS = "optimizer.lr"  # shown against where the sweep goes over it; else the first other number
MOST_LINES = 12
STEPS = 1000  # of a decade, and more where two values would have one step

Points = Mapping[str, np.ndarray]  # by the names of `SHARES`, and `log10_...` of each


@dataclass
class Line:
    """One run of TensorBoard's. `against_axis` and `by_epoch` have a step for each point; both may be empty."""

    name: str
    best: str  # its best setting
    steps: np.ndarray = field(default_factory=lambda: np.array([], np.int64))
    values: np.ndarray = field(default_factory=lambda: np.array([]))  # of the key on the axis, by step
    against_axis: Points = field(default_factory=dict)
    by_epoch: Points = field(default_factory=dict)


@dataclass
class Overview:
    lines: list[Line]
    axis: str | None  # the key
    unit: str  # of a step, in words
    is_log: bool  # whether the objective is shown by its logarithm
    others: list[str]  # swept keys whose values are taken together
    num_left_out: int  # lines beyond the most


def overview_of(study: Study) -> Overview:
    axis = next((key for key in (AXIS, *study.numbers) if key in study.numbers), None)
    others = [key for key in study.keys if key not in (axis, study.family)]
    counted = study.runs.filter(polars.col("value").is_not_null())
    names = _line_names(study.settings, study)
    best = dict(zip(reversed(names), reversed(study.settings["setting"].to_list()), strict=True))  # the first counts
    lines = [Line(name, setting) for name, setting in reversed(best.items())]
    lines = [line for name in dict.fromkeys(names) for line in lines if line.name == name]
    unit = "epochs"
    if axis is not None:
        values = np.unique(counted[axis].drop_nulls().to_numpy().astype(np.float64))
        by_ratio, scale = bool((values > 0).all()), _scale(values)
        unit = f"{scale} x log10({axis})" if by_ratio else f"{scale} x {axis}"
        own = counted.with_columns(line=polars.Series(_line_names(counted, study), dtype=polars.String))
        own = own.filter(polars.col(axis).is_not_null())
        own = own.select("line", polars.col(axis).cast(polars.Float64).alias("x"), "value").sort("line", "x", "value")
        groups = own.group_by("line", "x", maintain_order=True).len()
        counts = groups["len"].to_numpy()
        starts = np.concatenate([[0], np.cumsum(counts)])[:-1].astype(np.int64)
        found = {name: quantiles(own["value"].to_numpy(), starts, counts, share) for name, share in SHARES.items()}
        of_line = groups["line"].to_numpy()
        for line in lines:
            has = of_line == line.name
            line.values = groups["x"].to_numpy()[has]
            line.steps = _steps(line.values, scale, by_ratio)
            line.against_axis = {name: points[has] for name, points in found.items()}
    lines, left_out = lines[:MOST_LINES], lines[MOST_LINES:]
    curves = quantiles_by_epoch(study, [line.best for line in lines], [study.objective]).get(study.objective)
    for place, line in enumerate(lines):
        line.by_epoch = {} if curves is None else {name: getattr(curves, name)[:, place] for name in SHARES}
    is_log = _is_log(study, lines)
    for kind in ("against_axis", "by_epoch"):
        _add_drawn(lines, kind, is_log)
    return Overview(lines, axis, unit, is_log, others, len(left_out))


def _line_names(table: polars.DataFrame, study: Study) -> list[str]:
    if study.family is None:
        return [ONE_SETTING.replace(" ", "_")] * len(table)
    return [str(value) for value in table[study.family].to_list()]


def _scale(values: np.ndarray) -> int:
    """How many steps a decade, or a unit, has."""
    scale = STEPS
    while scale < 10**9 and len(np.unique(_steps(values, scale, bool((values > 0).all())))) < len(values):
        scale *= 10
    return scale


def _steps(values: np.ndarray, scale: int, by_ratio: bool) -> np.ndarray:
    return np.rint(scale * (np.log10(values) if by_ratio else values)).astype(np.int64)


def _is_log(study: Study, lines: Sequence[Line]) -> bool:
    points = [own for line in lines for own in (*line.against_axis.values(), *line.by_epoch.values())]
    values = np.concatenate([np.array([]), *points])
    return study.less_is_better and bool((values > 0).any()) and not bool((values < 0).any())


def _add_drawn(lines: Sequence[Line], kind: str, is_log: bool) -> None:
    """Adds to the points `drawn_<name>`: what a chart shows, all finite, with what has no place on it at its edge."""
    own: list[dict[str, np.ndarray]] = [dict(getattr(line, kind)) for line in lines]
    shown = np.concatenate([np.array([]), *(points for each in own for points in each.values())])
    shown = _logged(shown, is_log)
    finite = shown[np.isfinite(shown)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 0.0)
    margin = 1.0 if is_log else 0.1 * (high - low)
    for line, each in zip(lines, own, strict=True):
        drawn = {name: _logged(points, is_log) for name, points in each.items()}
        edged = {
            f"drawn_{name}": np.clip(points, low - margin, high + margin)  # only what is infinite lies beyond
            for name, points in drawn.items()
        }
        setattr(line, kind, each | edged)


def _logged(values: np.ndarray, is_log: bool) -> np.ndarray:
    if not is_log:
        return values
    with np.errstate(divide="ignore"):
        return np.log10(values)
