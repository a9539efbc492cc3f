"""The figures of a sweep as PNG: which of them there are depends on what was swept. Imports matplotlib."""

import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from simplenn.errors import ConfigError
from simplenn.report.comparison import Comparison, short_keys
from simplenn.report.figures.against_number import against
from simplenn.report.figures.axes import family_name
from simplenn.report.figures.by_epoch import curves
from simplenn.report.figures.final_values import histogram, side_by_side
from simplenn.report.figures.two_numbers import heat_map
from simplenn.report.study import Study
from simplenn.report.style import png_of
from simplenn.rundir import write_atomically
from simplenn.rundir.atomic import remove

OWN_NAMES = re.compile(r"(settings|curves|histogram|[\w.]+_by_[\w.]+|heat_[\w.]+)\.png")
MOST_PAIRS = 3  # of swept numbers that get a heat map without being asked for


class Drawing(NamedTuple):
    """`words` say for people who can't see the figure what it shows."""

    name: str  # of its file
    words: str
    png: bytes


def drawings(study: Study, comparison: Comparison, heat: Sequence[str] | None = None) -> Iterator[Drawing]:
    """`heat` are the two swept numbers of the heat map, where somebody says which. Raises `ConfigError`."""
    if heat is not None:
        refuse_heat(study, heat)
    objective = study.objective.rpartition("/")[2]
    ended = study.settings.filter(study.settings["median"].is_not_null())
    if not len(ended):
        return
    numbers = [key for key in study.numbers if ended[key].drop_nulls().n_unique() > 1]
    by = next((key for key in numbers if key.rpartition(".")[2] == "lr"), next(iter(numbers), None))
    if by is not None:
        last = by.rpartition(".")[2]
        words = f"final {study.objective} against {last}, a line per {family_name(study)}"
        yield Drawing(f"{objective}_by_{last}.png", words, png_of(against(study, by)))
    elif len(study.settings) > 1:
        yield Drawing("settings.png", "the settings, best first", png_of(side_by_side(study)))
    if comparison.bests:
        if (figure := curves(study, comparison)) is not None:
            yield Drawing("curves.png", f"{study.objective} by epoch of the best settings", png_of(figure))
        words = f"histogram of the final {study.objective} of the best settings"
        if comparison.most_seeds > 1:
            yield Drawing("histogram.png", words, png_of(histogram(study, comparison)))
    pairs = [tuple(heat)] if heat is not None else list(combinations(numbers, 2))[:MOST_PAIRS]
    for one, other in pairs:
        lasts = short_keys(study.keys)
        name = "_".join(lasts[key].replace(".", "_") for key in (one, other))
        words = f"median {study.objective} by {lasts[one]} and {lasts[other]}"
        yield Drawing(f"heat_{name}.png", words, png_of(heat_map(study, one, other)))


def write_drawings(folder: Path, drawn: Sequence[Drawing], *, instead: bool = False) -> list[Path]:
    """`instead` of those that were drawn of the sweep before, of which others are removed. Raises `Unwritable`."""
    names = {drawing.name for drawing in drawn}
    for path in folder.glob("*.png") if instead else ():
        if OWN_NAMES.fullmatch(path.name) and path.name not in names:
            remove(path)
    for drawing in drawn:
        write_atomically(folder / drawing.name, drawing.png)
    return [folder / drawing.name for drawing in drawn]


def refuse_heat(study: Study, keys: Sequence[str]) -> None:
    """Raises `ConfigError` where these aren't two numbers that were swept."""
    for key in keys:
        if key not in study.numbers:
            numbers = ", ".join(study.numbers) or "none"
            raise ConfigError(f"--heat must name two swept numbers, got {key}; there are {numbers}")
    if len(set(keys)) < 2:
        raise ConfigError(f"--heat must name two different numbers, got {keys[0]} twice")
