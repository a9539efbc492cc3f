"""A sweep that is killed while it writes its files: each is complete or absent."""

import hashlib
import json
import signal
from pathlib import Path

import polars
import pytest
from commands import script
from safetensors.torch import load_file

# At every point of the writing of a file, which are three, the sweep's directory is copied: what a kill there leaves.
# At one of them the process is killed.
PLANTED = """
import os, shutil, signal, sys
from contextlib import contextmanager
from simplenn.command import sweeping
from simplenn.rundir import atomic

sweeping.SECONDS_BETWEEN = -1  # after each stack
points = 0
original = atomic.replacing

def point(path):
    global points
    points += 1
    shutil.copytree("outputs/sweeps/x", f"points/{points}")
    if points == KILLED_AT:
        os.kill(os.getpid(), signal.SIGKILL)

@contextmanager
def replacing(path, *arguments, **named):
    point(path)
    with original(path, *arguments, **named) as temporary:
        yield temporary
        point(path)
    point(path)

for module in list(sys.modules.values()):
    if getattr(module, "replacing", None) is original:
        module.replacing = replacing
"""
SWEEP = ("-m", "experiment=post", "seed=1,2", "max_stack=1", "trainer.max_epochs=2", "run_dirs=none", "name=x")


def assert_whole(sweep: Path) -> set[str]:
    """Every file of a sweep can be read, and the checksums are those of the files beside them. Returns their names."""
    names = {path.name for path in sweep.iterdir() if path.is_file() and not path.name.startswith(".")}
    for path in map(sweep.joinpath, names):
        if path.suffix == ".csv":
            text = path.read_text()
            assert text.endswith("\n") and len({line.count(",") for line in text.splitlines()}) == 1
        elif path.suffix == ".parquet":
            assert len(polars.read_parquet(path)) in (2, 4)
        elif path.suffix == ".safetensors":
            assert load_file(path)
        elif path.suffix == ".json":
            for name, digest in json.loads(path.read_text()).get("sha256", {}).items():
                assert hashlib.sha256((sweep / name).read_bytes()).hexdigest() == digest
    return names


def test_each_of_a_sweeps_files_is_complete_or_absent_at_every_point(tmp_path: Path) -> None:
    """At their first writing, after one of two stacks, and at the second, over the first."""
    done = script("train.py", *SWEEP, cwd=tmp_path, prelude=f"KILLED_AT = None\n{PLANTED}")
    assert done.returncode == 0, done.stdout + done.stderr
    whole = assert_whole(tmp_path / "outputs" / "sweeps" / "x")
    points = sorted((tmp_path / "points").iterdir(), key=lambda path: int(path.name))
    left = [assert_whole(point) for point in points]
    assert len(points) >= 3 * 5 * 2
    assert left[-1] == whole and len(left[0]) < len(left[3]) < len(whole)


@pytest.mark.parametrize("point", [8, 23])
def test_what_a_kill_leaves_of_a_sweep_is_read_or_refused(point: int, tmp_path: Path) -> None:
    """In one line; and its name is taken."""
    killed = script("train.py", *SWEEP, cwd=tmp_path, prelude=f"KILLED_AT = {point}\n{PLANTED}")
    assert killed.returncode == -signal.SIGKILL
    assert assert_whole(tmp_path / "outputs" / "sweeps" / "x") >= {"results.csv"}
    extracted = script("extract.py", "outputs/sweeps/x", "seed=1", cwd=tmp_path)
    assert extracted.returncode in (0, 2), extracted.stderr
    assert extracted.stderr.count("\n") == (1 if extracted.returncode else 0)
    again = script("train.py", *SWEEP, cwd=tmp_path)
    assert again.returncode == 2 and "name must be new, got 'x'" in again.stderr
