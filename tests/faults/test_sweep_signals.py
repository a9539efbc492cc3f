"""A sweep that a signal ends, at any moment, keeps what it has, says how to go on, and comes to the same end."""

import random
import re
import shlex
import signal
import time
from pathlib import Path

import pytest
from commands import script, start
from trees import differences, tree

NAME = Path("outputs") / "sweeps" / "study"
GRID = (
    "experiment=post",
    "trainer=cpu",
    "trainer.max_epochs=100",
    "optimizer=sgd,adam",
    "seed=range(8)",
    "max_stack=4",
)
MOST_SECONDS = 5  # from the signal to the end
INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
# Signals with the seconds between them, and the exit status.
ENDS: dict[str, tuple[tuple[float, ...], int]] = {
    "SIGINT": ((INT,), 130),
    "SIGTERM": ((TERM,), 143),
    "SIGHUP": ((HUP,), 129),
    "SIGINT twice in 10 ms": ((INT, 0.01, INT), 130),
    "SIGINT again after a while": ((INT, 1.2, INT), 130),
}


class Whole:
    """The sweep as no signal ends it."""

    def __init__(self, folder: Path) -> None:
        begun = time.monotonic()
        done = script("train.py", "-m", "name=study", *GRID, "progress=none", cwd=folder)
        assert done.returncode == 0, done.stderr
        self.seconds = time.monotonic() - begun
        self.tree = tree(folder / NAME)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return Whole(tmp_path_factory.mktemp("whole"))


def ended_after(cwd: Path, whole: Whole, seconds: float, signals: tuple[float, ...], status: int) -> bool:
    """Whether the signals came before the end of the sweep."""
    cwd.mkdir()
    process = start("train.py", "-m", "name=study", *GRID, "progress=none", cwd=cwd)
    time.sleep(seconds)
    for number in signals:
        if isinstance(number, float):
            time.sleep(number)
        else:
            process.send_signal(int(number))
    sent = time.monotonic()
    out, err = process.communicate()
    said = out + err
    assert time.monotonic() - sent < MOST_SECONDS, said
    assert process.returncode in (status, 0) and "Traceback" not in said, said
    parts = sorted(path.name for path in (cwd / NAME / "stacks").glob("*") if "unfinished" not in path.name)
    words = re.search(r"go on with: python \S+/scripts/train.py (.*)", said)
    is_left = bool(process.returncode and (cwd / NAME / "results.csv").exists())
    again = script(
        "train.py", *(shlex.split(words[1]) if words else ("-m", "name=study", *GRID)), "progress=none", cwd=cwd
    )
    assert again.returncode == 0, again.stdout + again.stderr
    found = [name for name in differences(tree(cwd / NAME), whole.tree) if name != "multirun.yaml"]
    assert found == [], (found, said, again.stdout)
    assert all((cwd / NAME / "stacks" / part).is_dir() for part in parts), "a finished stack was lost"
    assert words or not is_left or len(parts) == 4, said
    return process.returncode == status


def test_a_signal_loses_nothing(whole: Whole, tmp_path: Path) -> None:
    """Each of them once, at a moment of a seeded draw."""
    rng = random.Random(3)
    for number, (signals, status) in enumerate(ENDS.values()):
        ended_after(tmp_path / str(number), whole, rng.uniform(0.2, 0.8) * whole.seconds, signals, status)


@pytest.mark.battery
@pytest.mark.parametrize("end", ENDS)
def test_a_signal_at_any_moment_loses_nothing(end: str, whole: Whole, tmp_path: Path) -> None:
    signals, status = ENDS[end]
    ended = [ended_after(tmp_path / str(k), whole, whole.seconds * (k + 0.5) / 15, signals, status) for k in range(15)]
    print(f"{end}: {sum(ended)} of {len(ended)} sweeps ended by it")
    assert any(ended)
