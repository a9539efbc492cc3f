"""A sweep that is killed while it writes its files: each is complete or absent, and no part is lost."""

import signal
from pathlib import Path

import pytest
from commands import script

from simplenn.sweep.parts import find_parts, next_number, tidy
from simplenn.sweep.results import read_results, results_of

# Before and after every write, fsync, rename and removal, the sweep's directory is copied: what a kill there leaves.
# At one of them the process is killed.
PLANTED = """
import os, shutil, signal
from simplenn.rundir import atomic

points = 0

def point(what, path=None):
    global points
    points += 1
    shutil.copytree("outputs/sweeps/x", f"points/{points}")
    if points == KILLED_AT:
        os.kill(os.getpid(), signal.SIGKILL)

atomic.crash_point = point
"""
SWEEP = ("-m", "experiment=post", "seed=1,2", "max_stack=1", "trainer.max_epochs=2", "run_dirs=none", "name=x")


def num_runs(sweep: Path) -> int:
    """How many runs are in parts, all of which must be sound, and in the table that they give."""
    parts = find_parts(sweep)
    for part in parts:
        part.verify()
    found = sum(len(part.runs()) for part in parts)
    assert len(results_of(sweep)) == found
    return found


def test_each_of_a_sweeps_files_is_complete_or_absent_at_every_point(tmp_path: Path) -> None:
    """A part is there with all of its files or not at all, and stays; what is left beside it goes when it is tidied."""
    done = script("train.py", *SWEEP, cwd=tmp_path, prelude=f"KILLED_AT = None\n{PLANTED}")
    assert done.returncode == 0, done.stdout + done.stderr
    points = sorted((tmp_path / "points").iterdir(), key=lambda path: int(path.name))
    counts = [num_runs(point) for point in points]
    assert len(points) >= 2 * 2 * 8 and set(counts) == {0, 1, 2} and counts == sorted(counts)
    for point in points:
        before = next_number(point)
        tidy(point)
        assert all(part.path.name[0] != "." for part in find_parts(point)) and next_number(point) == before
        assert len(list(point.glob("stacks/*"))) == num_runs(point)


@pytest.mark.parametrize("point", [20, 30])
def test_what_a_kill_leaves_of_a_sweep_is_read(point: int, tmp_path: Path) -> None:
    """Its finished stacks; the table is made anew, where it isn't there."""
    killed = script("train.py", *SWEEP, cwd=tmp_path, prelude=f"KILLED_AT = {point}\n{PLANTED}")
    assert killed.returncode == -signal.SIGKILL
    sweep = tmp_path / "outputs" / "sweeps" / "x"
    assert len(read_results(sweep)) == num_runs(sweep) > 0
    extracted = script("extract.py", "outputs/sweeps/x", "seed=1", cwd=tmp_path)
    assert extracted.returncode == 0, extracted.stderr
