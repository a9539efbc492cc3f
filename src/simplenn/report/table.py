"""The settings as a table for the terminal, the best ones, in plain text or by rich.

Shapes: S settings.
"""

import io
import math
import textwrap
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from simplenn.report.comparison import short_keys, short_names
from simplenn.report.settings import texts_of
from simplenn.report.study import Study

WIDTH = 80  # where the output is no terminal
MOST_ROWS = 10
REST = "summary.csv has all"
MOST_BESTS = 4  # best settings of further families that are shown though they stand further down
LEAST_NAME = 24  # characters of a setting's name in a line, before it is broken
GAP = 2  # between two columns
RICH_GAP, RICH_EDGES = 3, 4  # the same as rich draws them, and what it has before the first and behind the last
STATISTICS = {"n": "runs", "median": "median", "q10": "10 %", "q90": "90 %"}
COUNTS = {"diverged": "diverged", "failed": "failed", "unfinished": "unfinished"}  # by the heads of their columns
# What a terminal too narrow for all goes without, the first first: the setting and its median are never among them.
DISPENSABLE = (("10 %", "90 %"), ("runs",), ("unfinished",), ("failed",), ("diverged",))


@dataclass(frozen=True)
class Table:
    """Texts: a title, heads, rows of cells, and how many of the first columns are aligned to the left. `places` are
    those of the rows' settings among all, `marked` the rows of the best ones. Below it stand `notes`."""

    title: str
    heads: list[str]
    rows: list[list[str]]
    num_left: int
    places: list[int]
    marked: set[int]
    notes: list[str]


def number(value: float | None) -> str:
    """For people: four digits; the value of a diverged run in a word."""
    if value is None:
        return "-"
    return "diverged" if math.isinf(value) else f"{value:.4g}"


def table_of(study: Study, bests: Sequence[str], most_rows: int | None = MOST_ROWS, rest: str = REST) -> Table:
    """`bests` are the settings that are each the best of its family; `rest` says what has those that are not shown."""
    settings = study.settings
    shown = list(range(len(settings) if most_rows is None else min(most_rows, len(settings))))
    order = {name: place for place, name in enumerate(settings["setting"])}
    shown += [order[name] for name in bests[: 1 + MOST_BESTS] if order[name] >= len(shown)]
    counts = [name for name in COUNTS if name != "unfinished" or settings[name].sum()]
    is_single = settings["n"].max() == 1  # then the median is the run's own
    statistics = {"median": study.objective} if is_single else STATISTICS
    keys = {key: texts_of(settings[key]) for key in study.keys}
    rows = []
    for place in shown:
        row = settings.row(place, named=True)
        mark = "*" if row["setting"] in bests and study.family is not None else ""
        own = [keys[key][place] or "-" for key in study.keys] or [row["setting"]]
        cells = [f"{row[name]:,}" if name == "n" else number(row[name]) for name in statistics]
        rows.append([f"{place + 1}{mark:1}", *own, *cells, *(f"{row[name]:,}" for name in counts)])
    heads = ["", *(short_keys(study.keys).values() or ["setting"]), *statistics.values(), *map(COUNTS.get, counts)]
    notes = []
    if more := len(settings) - len(shown):
        notes.append(f"... and {more:,} more; {rest}")
    if study.family is not None and len(bests) > 1:
        notes.append(f"* the best setting of its {study.family.rpartition('.')[2]}")
    marked = {i for i, place in enumerate(shown) if settings["setting"][place] in bests}
    title = _title(study, is_single)
    return Table(title, [str(head) for head in heads], rows, 1 + max(1, len(study.keys)), shown, marked, notes)


def _title(study: Study, is_single: bool) -> str:
    better = f"{'less' if study.less_is_better else 'more'} is better"
    if len(study.settings) == 1:
        return f"one setting: {study.objective} ({better})"
    how = f"{study.objective}, of one run each" if is_single else f"the median {study.objective} of their runs"
    return f"{len(study.settings):,} settings, ranked by {how} ({better})"


def fitted(table: Table, study: Study, width: int, gap: int = GAP) -> Table:
    """For a terminal of so many columns: where it is too narrow, the columns of the keys are one of short names, which
    may be broken, and those that can be dispensed with are left out, as many as it takes."""
    if _width(table, gap) <= width:
        return table
    table = _folded(table, study)
    left_out: list[str] = []
    for heads in DISPENSABLE:
        if _width(table, gap, LEAST_NAME) <= width:
            break
        left_out += [head for head in heads if head in table.heads]
        table = _without(table, heads)
    notes = [f"no room for {', '.join(left_out)}; summary.csv has all"] if left_out else []
    return replace(table, notes=[*table.notes, *notes])


def _folded(table: Table, study: Study) -> Table:
    """With the columns of the keys as one of short names, and without counts that are all 0."""
    names = list(short_names(study).values())
    heads = ["", "setting", *table.heads[table.num_left :]]
    rows = [[row[0], names[place], *row[table.num_left :]] for row, place in zip(table.rows, table.places, strict=True)]
    nothing = [name for name in COUNTS.values() if name in heads and not study.settings[name].sum()]
    notes = [*table.notes, f"no run {' or '.join(nothing)}"] if nothing else table.notes
    return _without(replace(table, heads=heads, rows=rows, num_left=2, notes=notes), nothing)


def _without(table: Table, heads: Collection[str]) -> Table:
    """Without the columns of numbers that have these heads."""
    kept = [place for place, head in enumerate(table.heads) if place < table.num_left or head not in heads]
    rows = [[row[place] for place in kept] for row in table.rows]
    return replace(table, heads=[table.heads[place] for place in kept], rows=rows)


def plain(table: Table, study: Study, width: int = WIDTH) -> list[str]:
    """The table's lines, none wider than `width` unless a single word is."""
    table = fitted(table, study, width)
    widths = [max(len(row[column]) for row in [table.heads, *table.rows]) for column in range(len(table.heads))]
    if _width(table) > width:
        widths[1] = max(LEAST_NAME, width - (_width(table) - widths[1]))
    lines = [*textwrap.wrap(table.title, width), _line(table.heads, widths, table.num_left)]
    lines.append("-" * min(width, sum(widths) + GAP * (len(widths) - 1)))
    for row in table.rows:
        first, *more = textwrap.wrap(row[1], widths[1], break_long_words=False) or [""]
        lines.append(_line([row[0], first, *row[2:]], widths, table.num_left))
        lines += [" " * (widths[0] + GAP + 2) + text for text in more]
    return [*lines, *(line for note in table.notes for line in textwrap.wrap(note, width))]


def rich(table: Table, study: Study, width: int) -> list[str]:
    """The same with lines and weights, for a terminal that understands them."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable

    table = fitted(table, study, width - RICH_EDGES, RICH_GAP)
    drawn = RichTable(box=box.SIMPLE_HEAD, title=table.title, title_justify="left", title_style="bold", padding=(0, 1))
    for place, head in enumerate(table.heads):
        justify = "left" if place < table.num_left else "right"
        drawn.add_column(head, justify=justify, no_wrap=place != 1, overflow="fold")
    for place, row in enumerate(table.rows):
        drawn.add_row(*row, style="bold green" if place in table.marked else None)
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=True, highlight=False, markup=False)
    console.print(drawn)
    for note in table.notes:
        console.print(note, style="dim")
    return [line.rstrip() for line in stream.getvalue().rstrip("\n").split("\n")]


def _width(table: Table, gap: int = GAP, most_of_name: int | None = None) -> int:
    """How wide it is; of a folded table, also where its names are broken after so many characters."""
    widths = [max(len(row[column]) for row in [table.heads, *table.rows]) for column in range(len(table.heads))]
    if most_of_name is not None:
        widths[1] = min(widths[1], most_of_name)
    return sum(widths) + gap * (len(widths) - 1)


def _line(cells: Sequence[str], widths: Sequence[int], num_left: int) -> str:
    texts = [
        cell.ljust(width) if place < num_left else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return (" " * GAP).join(texts).rstrip()
