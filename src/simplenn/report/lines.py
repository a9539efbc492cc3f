"""What the terminal says of a sweep: which setting is best, how sure that is, what happened in the odd ones.

Everything fits into 80 columns but for commands, which are never broken.
"""

import shutil
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from simplenn.report.commands import Commands
from simplenn.report.comparison import Best, Comparison, compare, median_of, ranked_runs
from simplenn.report.odd import NEARLY_ALL, Odd, odd_ones
from simplenn.report.settings import ONE_SETTING
from simplenn.report.statistics import LEAST
from simplenn.report.study import Study
from simplenn.report.table import MOST_ROWS, REST, WIDTH, number, plain, rich, table_of
from simplenn.rundir.lock import at_work_in
from simplenn.sweep.left import counted

LABEL = 8  # characters before what a line says
MOST_SETTINGS = 4  # that one line of the odd ones names
MOST_BESTS = 5
MOST_FAILED = 5
KINDS = {
    "diverged": "diverged:",
    "dead": "some runs learned nothing (R2 of 0 or less; dead units, say):",
    "far": "some runs ended far from the others of their setting:",
    "never": "learned nothing (R2 of 0 or less):",  # all or nearly all of the runs
}


class Said(NamedTuple):
    """A sentence, or a command, which is never broken so that it can be copied; the label says what it is about."""

    label: str
    text: str

    @property
    def is_command(self) -> bool:
        return self.text.startswith("python ")


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

    @property
    def best_settings(self) -> list[str]:
        """Of each family, best first."""
        return [best.row["setting"] for best in self.comparison.bests]

    def lines(self, on: Screen, most_rows: int | None = MOST_ROWS, rest: str = REST) -> list[str]:
        """From the table to the command that trains the best setting alone; `rest` says what has the other settings."""
        table = table_of(self.study, self.best_settings, most_rows, rest)
        lines = (rich if on.is_terminal else plain)(table, self.study, on.width)
        before = ""
        for said in self.said():
            lines += _wrapped(said, on.width, with_label=said.label != before)
            before = said.label
        return lines

    def said(self) -> Iterator[Said]:
        """All but the table."""
        for note in self.study.notes:
            yield Said("note:", note)
        for label, texts in (("best:", self.best()), ("sure:", self.sure()), ("odd:", self.odd_ones())):
            yield from (Said(label, text) for text in texts)
        yield from self.alone()

    def counts(self) -> str:
        """How many runs ended how, and how many of the sweep's command are left to train."""
        left = self.study.all_left
        num_runs = len(self.study.runs) + left.to_begin
        most = "at most " if left.num_runs and len(self.study.sweeps) > 1 else ""  # they may be of several sweeps, too
        counts = counted(self.study.runs["status"], left)
        return f"{most}{num_runs:,} {'run' if num_runs == 1 else 'runs'}: {counts}"

    @property
    def has_ended(self) -> bool:
        """Whether any run has come to an end, so that there is something to say."""
        return bool((self.study.runs["status"] != "interrupted").any())

    def go_on(self) -> Iterator[str]:
        """The commands that train what is left of sweeps that no process is at work in."""
        for sweep, directory in enumerate(self.study.sweeps):
            own = self.study.runs["status"].filter(self.study.places["sweep"] == sweep)
            if at_work_in(directory) is None and (self.study.left[sweep].num_runs or "interrupted" in own):
                yield f"go on with: {self.commands.go_on(sweep)}"

    def failures(self) -> Iterator[str]:
        """Which runs have failed, and why: for who hasn't seen the command say it."""
        failed = self.study.runs["run"].filter(self.study.runs["status"] == "failed").to_list()
        messages = self.study.places["message"].filter(self.study.runs["status"] == "failed").to_list()
        for name, message in list(zip(failed, messages, strict=True))[:MOST_FAILED]:
            yield f"failed: {name}{f': {message}' if message else ''}".replace("\n", " ")
        if len(failed) > MOST_FAILED:
            yield f"... and {len(failed) - MOST_FAILED:,} more failed; summary.csv has how many of each setting"

    def best(self) -> Iterator[str]:
        if not self.comparison.bests:
            yield "no setting has a finite median"
        for best in self.comparison.bests[:MOST_BESTS]:
            yield self.sentence_of(best)
        if (more := len(self.comparison.bests) - MOST_BESTS) > 0:
            yield f"and those of {more:,} more, none of them better; summary.csv has all"
        for best in self.comparison.diverging[:MOST_BESTS]:
            yield f"{best.name}: diverged in {best.row['diverged']:,} of {best.row['n']:,} runs"

    def sentence_of(self, best: Best) -> str:
        row, objective = best.row, self.study.objective
        if row["n"] == 1:
            return f"{best.name}: {objective} {number(row['median'])} in its only run"
        text = f"{best.name}: median {objective} {number(row['median'])} over {row['n']:,} runs"
        if best.interval is not None:
            text += f" (95 % interval {' to '.join(map(number, best.interval))})"
        return text

    def sure(self) -> Iterator[str]:
        """How sure it is, and the command that makes it surer where there are few seeds."""
        yield from (rivalry.sentence for rivalry in self.comparison.rivalries)
        if not self.comparison.bests or self.comparison.bests[0].row["n"] >= LEAST:
            return
        if self.comparison.most_seeds == 1:
            one = "there is one run" if len(self.study.runs) == 1 else "each setting has one run"
            text = f"{one}, so nothing can be said about luck"
        else:
            runs = "1 run says" if self.comparison.bests[0].row["n"] == 1 else "so few runs say"
            text = f"{runs} little about luck"
        more = self.commands.add_seeds()[:3]
        yield f"{text}; more seeds:" if more else text
        yield from more

    def odd_ones(self) -> Iterator[str]:
        """The settings with odd runs, kind by kind, and the command that writes the directory of the worst of each."""
        for kind, what in KINDS.items():
            found = [odd for odd in self.odd if _kind_of(odd) == kind]
            if not found:
                continue
            most = MOST_SETTINGS // 2 if kind == "never" else MOST_SETTINGS
            named = [_named(odd) for odd in found]
            more = f" and {len(named) - most} more" if len(named) > most else ""
            yield f"{what} {', '.join(named[:most])}{more}"
            command = self.commands.extract([found[0].example], found[0].sweep)
            if kind != "never" and command is not None:
                yield command

    def alone(self) -> Iterator[Said]:
        """The command that trains the median run of the best setting alone; where the runs have no directories, that
        which writes the directories of its best, median and worst run."""
        if not self.comparison.bests:
            return
        runs = ranked_runs(self.study, self.best_settings[0])
        median, sweep = median_of(runs)
        if (command := self.commands.alone(median, sweep)) is not None:
            yield Said("alone:", command)
        if self.commands.has_directory(median, sweep):
            return
        names = [run for run, place in (runs[0], (median, sweep), runs[-1]) if place == sweep]
        if (command := self.commands.extract(names, sweep)) is not None:
            yield Said("runs:", "have no directories yet; this writes the best, the median and the worst:")
            yield Said("runs:", command)


def _named(odd: Odd) -> str:
    """The setting, where there are several, and how many of its runs it is about, where it has several."""
    how_many = f"all {odd.n:,}" if odd.is_all else f"{odd.count:,} of {odd.n:,}"
    if odd.setting == ONE_SETTING:
        return how_many
    return odd.name if odd.n == 1 else f"{odd.name} ({how_many})"


def _kind_of(odd: Odd) -> str:
    return "never" if odd.kind == "dead" and odd.count >= NEARLY_ALL * odd.n else odd.kind


def _wrapped(said: Said, width: int, *, with_label: bool) -> list[str]:
    first = f"{said.label if with_label else '':{LABEL}}"
    if said.is_command:
        return [f"{first}{said.text}"]
    return textwrap.wrap(
        said.text,
        width,
        initial_indent=first,
        subsequent_indent=" " * LABEL,
        break_long_words=False,
        break_on_hyphens=False,
    )
