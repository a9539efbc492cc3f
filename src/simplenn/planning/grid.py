"""The jobs of a grid: every combination of the lists, ranges and intervals that a command names."""

import math
import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import product

from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import HydraException

from simplenn.planning.overrides import Job, values_of

DIGITS = 4  # of a point in an interval, and more where two would be the same
LONGEST_NAME = 200
UNSAFE = re.compile(r"[^A-Za-z0-9._=,+-]")  # in a file's name


def jobs_of(overrides: Iterable[Override], points: int | None) -> list[list[str]]:
    """Every job's overrides, an interval cut into `points`. Raises `HydraException` for what can't be a grid."""
    if points is not None and points < 2:
        raise HydraException(f"hydra.sweeper.points must be a whole number of 2 or more, got {points}; try 10")
    choices: dict[str, list[str]] = {}  # by key: of two overrides of one key the second counts, in the first's place
    for override in overrides:
        key = override.get_key_element()
        choices[key] = [f"{key}={value}" for value in _texts(override, points)]
    jobs = [list(job) for job in product(*choices.values())]
    if not jobs:
        raise HydraException("a sweep must have at least one job, got an empty list or range; try seed=range(10)")
    return jobs


def _texts(override: Override, points: int | None) -> Iterable[str]:
    """Of the values that it sweeps over, or of its one value."""
    if override.is_interval_sweep():
        return _points_of(override, points)
    return override.sweep_string_iterator() if override.is_sweep_override() else [override.get_value_element_as_str()]


def _points_of(override: Override, points: int | None) -> list[str]:
    """Those of an interval: evenly spaced, ends included; by ratio with `tag(log, ...)`."""
    interval = override.value()
    assert isinstance(interval, IntervalSweep)
    low, high = interval.start, interval.end
    assert low is not None and high is not None
    key = override.get_key_element()
    if points is None:
        raise HydraException(
            f"{key}=interval({low:g}, {high:g}) must come with a number of points; try hydra.sweeper.points=10"
        )
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise HydraException(
            f"{key} must be an interval from a lower to a higher number, got interval({low:g}, {high:g}); "
            f"try interval({min(low, high):g}, {max(low, high):g})"
        )
    by_ratio = "log" in interval.tags
    if by_ratio and low <= 0:
        raise HydraException(
            f"{key} must be an interval above 0 to be spaced by ratio, got tag(log, interval({low:g}, {high:g})); "
            f"try tag(log, interval({high / 1000:g}, {high:g}))"
        )
    a, b = (math.log(low), math.log(high)) if by_ratio else (low, high)
    values = [a + (b - a) * i / (points - 1) for i in range(points)]
    values = [low, *(math.exp(v) if by_ratio else v for v in values[1:-1]), high]
    if isinstance(low, int) and isinstance(high, int):
        return list(map(str, dict.fromkeys(map(round, values))))
    return _readable(values)


def _readable(values: Sequence[float]) -> list[str]:
    """The values to few digits: what a user would type, and still all different."""
    for digits in range(DIGITS, 17):
        rounded = [float(f"{value:.{digits}g}") for value in values]
        if len(set(rounded)) == len(values):
            return list(map(repr, rounded))
    return list(map(repr, values))


def run_names(jobs: Sequence[Job], swept: Sequence[str]) -> list[str]:
    """`optimizer=adam,optimizer.lr=0.01` for each job, all different."""
    names: dict[str, int] = {}
    result = []
    for job in jobs:
        values = values_of(job)
        name = _safe(",".join(f"{key}={values[key]}" for key in swept if key in values))
        names[name] = names.get(name, 0) + 1
        result.append(name if names[name] == 1 else f"{name}_{names[name]}")
    return result


def _safe(name: str) -> str:
    """Made safe for a file name; a long one ends in a hash of the whole."""
    safe = UNSAFE.sub("_", name)
    if safe == name and len(name) <= LONGEST_NAME:
        return name
    return f"{safe[:LONGEST_NAME]}-{sha256(name.encode()).hexdigest()[:8]}"
