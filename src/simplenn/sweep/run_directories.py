"""Where the run directories of a sweep are, and what is read of many of them in a hurry. Imports no torch."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

MOST_BY_ITSELF = 500  # runs; TensorBoard's Time Series view selects nothing by itself above this
HEAD = re.compile(rb'\{\s*"status": "(\w+)",\s*"epoch": (\d+),')  # of result.json
NOT_RUNS = ("stacks", "tensorboard", "figures")  # folders of the sweep's own


def are_wanted(run_dirs: str, num_runs: int) -> bool:
    """Whether a sweep with `run_dirs` auto, all or none writes its runs' directories."""
    return run_dirs == "all" or (run_dirs == "auto" and num_runs <= MOST_BY_ITSELF)


def run_directories(sweep: Path) -> Iterator[Path]:
    """Every folder below the sweep's that has a run's `.hydra`, by name; none within another."""
    yield from _below(str(sweep), is_sweep=True)


def _below(folder: str, *, is_sweep: bool = False) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        names = sorted(
            entry.name
            for entry in entries
            if entry.is_dir(follow_symlinks=False)
            and not entry.name.startswith(".")
            and not entry.name.endswith(".damaged")
        )
    for name in names:
        if is_sweep and name in NOT_RUNS:
            continue
        path = os.path.join(folder, name)
        if os.path.isdir(os.path.join(path, ".hydra")):
            yield Path(path)
        else:
            yield from _below(path)


def status_and_epoch(directory: Path | str) -> tuple[str, int] | None:
    """The first two things that the run's result says, unchecked; `None` where there are none to read."""
    try:
        with open(f"{directory}/result.json", "rb") as stream:
            found = HEAD.match(stream.read(256))
    except OSError:
        return None
    return (found[1].decode(), int(found[2])) if found else None


def is_missing(directory: str, status: str, epoch: int) -> bool:
    """Whether there is no directory of a stacked run that ended so, or one of a run that had not come so far.

    One of more epochs that has no result, or was interrupted, is that of a run which goes on by itself; without
    `.hydra`, it is no run's.
    """
    if not os.path.lexists(directory):
        return True
    ended = status_and_epoch(directory)
    if ended is None:
        is_run = os.path.isdir(f"{directory}/.hydra") and not os.path.lexists(f"{directory}/.lock")
        return is_run and num_rows(f"{directory}/metrics.csv") <= epoch
    return (ended[1], ended[0] != "interrupted") < (epoch, status != "interrupted")


def num_rows(path: Path | str) -> int:
    """Of a `metrics.csv`, unchecked; 0 where there is none."""
    try:
        with open(path, "rb") as stream:
            return max(0, stream.read().count(b"\n") - 1)
    except OSError:
        return 0
