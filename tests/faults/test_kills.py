"""A sweep that is killed again and again, at random, ends as one that never was."""

import random
import signal
import time
from pathlib import Path

import pytest
from commands import start
from trees import differences, tree

NAME = Path("outputs") / "sweeps" / "study"
GRID = (
    "experiment=post",
    "trainer=cpu",
    "progress=none",
    "trainer.max_epochs=30",
    "optimizer=sgd,adam",
    "seed=range(20)",
    "max_stack=8",
)
MOST_KILLS = 200
PATIENCE = 1.02  # times the seconds of the time before


def finish(cwd: Path, *words: str) -> float:
    """Runs the sweep to its end; the seconds that it takes."""
    begun = time.monotonic()
    process = start("train.py", "-m", "name=study", *GRID, *words, cwd=cwd)
    out, err = process.communicate()
    assert process.returncode == 0, out + err
    return time.monotonic() - begun


def kill_until_done(cwd: Path, seconds: float, seed: int, *words: str) -> int:
    """Starts the sweep, and kills it within so many seconds, until it comes to its end before; how often that was.

    It has a little longer each time: the machine may have become busier since the seconds were taken.
    """
    rng = random.Random(seed)
    for kills in range(MOST_KILLS):
        process = start("train.py", "-m", "name=study", *GRID, *words, cwd=cwd)
        try:
            process.wait(rng.uniform(0.2, 1.0) * seconds * PATIENCE**kills)
        except Exception:
            process.send_signal(signal.SIGKILL)
        out, err = process.communicate()
        if process.returncode == 0:
            return kills
        assert process.returncode == -signal.SIGKILL, out + err
    raise AssertionError(f"no end after {MOST_KILLS} kills")


@pytest.mark.parametrize("seed", [0])
def test_a_sweep_survives_random_kills(seed: int, tmp_path: Path) -> None:
    """The same tables, parts and run directories, bit for bit; no left-overs."""
    _survives(tmp_path, seed, rounds=1)


@pytest.mark.battery
@pytest.mark.parametrize("launcher", ["vectorized", "basic"])
def test_a_sweep_survives_many_random_kills(launcher: str, tmp_path: Path) -> None:
    _survives(tmp_path, 1, f"hydra/launcher={launcher}", rounds=8)


def _survives(folder: Path, seed: int, *words: str, rounds: int) -> None:
    (folder / "whole").mkdir()
    seconds = finish(folder / "whole", *words)
    whole = tree(folder / "whole" / NAME)
    killed = number = 0
    while number < rounds or (not killed and number < MOST_KILLS):  # a machine that was busy just now may be faster
        cwd = folder / str(number)
        cwd.mkdir()
        killed += kill_until_done(cwd, seconds, seed + number, *words)
        assert differences(tree(cwd / NAME), whole) == []
        number += 1
    print(f"{killed} kills survived in {number} sweeps")
    assert killed, "nothing was killed"
