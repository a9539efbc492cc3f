"""All runs of one sweep, however they were trained: its table, their directories, how they ended."""

from collections import Counter
from functools import cached_property
from pathlib import Path

import polars

from simplenn.groups import RunGroup
from simplenn.sweep.all_runs import all_runs
from simplenn.sweep.attempts import Attempts
from simplenn.sweep.parts import Part, find_parts, read_group, remove_others
from simplenn.sweep.results import write_results
from simplenn.sweep.run_directories import are_wanted, is_missing

RUNS_AT_ONCE = 10_000  # whose arrays are in memory together to write directories


class SweepRecord:
    """What is read from the sweep's directory.

    What goes wrong with one part's files costs nothing of another's: it is tried by `attempt`. Raises `Damaged`.
    """

    def __init__(self, directory: Path, attempt: Attempts) -> None:
        self.directory = directory
        self.attempt = attempt

    @cached_property
    def runs(self) -> polars.DataFrame:
        """A row per run: see `all_runs`."""
        return all_runs(self.directory)

    @cached_property
    def counts(self) -> Counter[str]:
        """Runs by status."""
        return Counter(dict(self.runs["status"].value_counts().iter_rows()))

    @property
    def failures(self) -> list[tuple[str, str]]:
        """Name and message of each run that failed."""
        failed = self.runs.filter(polars.col("status") == "failed")
        return list(failed.select("run", "message").iter_rows())

    @property
    def interrupted(self) -> bool:
        return bool(self.counts["interrupted"])

    def remove_superseded(self) -> None:
        """The parts whose runs are all found elsewhere by now: in newer parts, or gone on with by themselves."""
        if remove_others(self.directory, set(self.runs["part"].drop_nulls())):
            del self.runs

    def write_table(self) -> None:
        """The sweep's own files, where any of its runs has begun."""
        if len(self.runs):
            self.attempt("write the sweep's table", write_results, self.directory, self.runs)

    def write_directories(self, run_dirs: str) -> None:
        """The directories of stacked runs that are missing, by `run_dirs`: auto, all or none."""
        if not are_wanted(run_dirs, len(self.runs)):
            return
        for part in find_parts(self.directory):
            own = self.runs.filter(polars.col("part") == part.number).select("row", "subdir", "status", "epoch")
            rows = [
                row
                for row, subdir, status, epoch in own.iter_rows()
                if is_missing(f"{self.directory}/{subdir}", status, epoch)
            ]
            for start in range(0, len(rows), RUNS_AT_ONCE):
                what = f"write the directories of {part.path}"
                if not self.attempt(what, self._write_directories, part, rows[start : start + RUNS_AT_ONCE]):
                    break

    def _write_directories(self, part: Part, rows: list[int]) -> None:
        write_directories_of(read_group(part, rows), self.directory)


def write_directories_of(group: RunGroup, sweep: Path) -> None:
    """Those of the runs of a stack, as it has ended."""
    from simplenn.setup import build_run, share_data
    from simplenn.sweep.run_files.directories import write_directories

    write_directories(group, sweep, *build_run(group.cfg, share_data(group.cfg)))
