"""What the terminal says of a sweep: which setting is best, how sure that is, what happened in the odd ones.

Everything fits into 80 columns but for commands, which are never broken.
"""

import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars

from simplenn.metric import cost
from simplenn.report.commands import Commands
from simplenn.report.comparison import Best, Comparison, compare
from simplenn.report.odd import NEARLY_ALL, Odd, odd_ones
from simplenn.report.statistics import LEAST
from simplenn.report.study import Study
from simplenn.report.table import MOST_ROWS, WIDTH, number, plain, rich
from simplenn.rundir import STATUSES

LABEL = 8  # characters before what a line says
MOST_SETTINGS = 4  # that one line of the odd ones names
MOST_BESTS = 5
KINDS = {
    "diverged": "diverged:",
    "dead": "some runs learned nothing (R2 of 0 or less; dead units, say):",
    "far": "some runs ended far from the others of their setting:",
    "never": "learned nothing in nearly all runs (R2 of 0 or less):",
}


@dataclass(frozen=True)
class Screen:
    """How wide the terminal is, and whether it is one."""

    width: int = WIDTH
    is_terminal: bool = False


def screen() -> Screen:
    """That of standard output."""
    if not sys.stdout.isatty():
        return Screen()
    return Screen(max(40, shutil.get_terminal_size((WIDTH, 24)).columns), True)


class Report:
    """A study, what is found in it, and the commands to go on with."""

    def __init__(self, study: Study, commands: Commands) -> None:
        self.study = study
        self.commands = commands
        self.comparison: Comparison = compare(study)
        self.odd: list[Odd] = odd_ones(study)

    def lines(self, on: Screen, most_rows: int | None = MOST_ROWS) -> list[str]:
        """From the table to the command that trains the best setting alone."""
        bests = [best.row["setting"] for best in self.comparison.bests]
        table = (rich if on.is_terminal else plain)(self.study, bests, on.width, most_rows)
        said = [*self.best(), *self.sure(), *self.odd_ones(), *self.alone()]
        notes = [("note:", note) for note in self.study.notes]
        return [*table, *(line for label, text in [*notes, *said] for line in _lines(label, text, on.width))]

    def counts(self) -> str:
        """How many runs ended how."""
        counts = Counter(dict(self.study.runs["status"].value_counts().iter_rows()))
        texts = ", ".join(f"{counts[status]:,} {status}" for status in STATUSES if counts[status])
        return f"{len(self.study.runs):,} {'run' if len(self.study.runs) == 1 else 'runs'}: {texts}"

    def best(self) -> Iterator[tuple[str, str]]:
        if not self.comparison.bests:
            yield "best:", "no setting has a finite median"
        for place, best in enumerate(self.comparison.bests[:MOST_BESTS]):
            yield "best:" if place == 0 else "", self.sentence_of(best)

    def sentence_of(self, best: Best) -> str:
        row, objective = best.row, self.study.objective
        if row["n"] == 1:
            return f"{best.name}: {objective} {number(row['median'])} in its only run"
        text = f"{best.name}: median {objective} {number(row['median'])} over {row['n']:,} runs"
        if best.interval is not None:
            text += f" (95 % interval {' to '.join(map(number, best.interval))})"
        return text

    def sure(self) -> Iterator[tuple[str, str]]:
        """How sure it is, and the command that makes it surer where there are few seeds."""
        most = self.comparison.most_seeds
        for place, rivalry in enumerate(self.comparison.rivalries):
            yield "sure:" if place == 0 else "", rivalry.sentence
        if most >= LEAST or not self.comparison.bests:
            return
        if most == 1:
            one = "there is one run" if len(self.study.runs) == 1 else "each setting has one run"
            yield "sure:", f"{one}, so nothing can be said about luck; more seeds:"
        else:
            label = "" if self.comparison.rivalries else "sure:"
            yield label, f"{most} seeds say little about luck; more seeds:"
        for command in self.commands.add_seeds()[:3]:
            yield "", command

    def odd_ones(self) -> Iterator[tuple[str, str]]:
        """The settings with odd runs, kind by kind, and the command that writes the directory of the worst of each."""
        label = "odd:"
        for kind, what in KINDS.items():
            found = [odd for odd in self.odd if _kind_of(odd) == kind]
            if not found:
                continue
            named = [f"{odd.name}{_how_many(odd)}" for odd in found]
            more = f" and {len(named) - MOST_SETTINGS} more settings" if len(named) > MOST_SETTINGS else ""
            yield label, f"{what} {', '.join(named[:MOST_SETTINGS])}{more}"
            label = ""
            command = self.commands.extract([found[0].example], found[0].sweep)
            if kind != "never" and command is not None:
                yield "", command

    def alone(self) -> Iterator[tuple[str, str]]:
        """The command that trains the median run of the best setting alone; where the runs have no directories, that
        which writes the directories of its best, median and worst run."""
        if not self.comparison.bests:
            return
        runs = self.ranked_runs(self.comparison.bests[0].row["setting"])
        median, sweep = runs[(len(runs) - 1) // 2]
        if (command := self.commands.alone(median, sweep)) is not None:
            yield "alone:", command
        if self.commands.has_directory(median, sweep):
            return
        names = [run for run, place in (runs[0], (median, sweep), runs[-1]) if place == sweep]
        if (command := self.commands.extract(names, sweep)) is not None:
            yield "runs:", "without directories of their own; this writes those of its best, median and worst run:"
            yield "", command

    def ranked_runs(self, setting: str) -> list[tuple[str, int]]:
        """Name and sweep of the setting's runs that count, best first."""
        own = self.study.runs.with_columns(_sweep=self.study.places["sweep"])
        own = own.filter((polars.col("setting") == setting) & polars.col("value").is_not_null())
        own = own.with_columns(_cost=cost(self.study.objective, polars.col("value"))).sort("_cost", maintain_order=True)
        return list(own.select("run", "_sweep").iter_rows())


def _how_many(odd: Odd) -> str:
    if odd.n == 1:
        return ""
    return f" (all {odd.n:,})" if odd.is_all else f" ({odd.count:,} of {odd.n:,})"


def _kind_of(odd: Odd) -> str:
    return "never" if odd.kind == "dead" and odd.count >= NEARLY_ALL * odd.n else odd.kind


def _lines(label: str, text: str, width: int) -> Sequence[str]:
    """A command is never broken, so that it can be copied."""
    if text.startswith("python "):
        return [f"{label:{LABEL}}{text}"]
    return textwrap.wrap(
        text,
        width,
        initial_indent=f"{label:{LABEL}}",
        subsequent_indent=" " * LABEL,
        break_long_words=False,
        break_on_hyphens=False,
    )
