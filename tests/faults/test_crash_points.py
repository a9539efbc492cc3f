"""After a crash at any write, fsync, rename or removal and one more command, a sweep is as if nothing had happened.

The points are enumerated: a hook stops the process at each (`rundir.crash_points`). What CI runs is a sample of them;
all of them are `pytest -m battery tests/faults`.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import script
from trees import differences, tree

NAME = Path("outputs") / "sweeps" / "study"
QUICK = ("experiment=post", "trainer=cpu", "progress=none")
SHORT = ("optimizer=sgd,adam", "seed=1,2", "trainer.max_epochs=3")
LONG = ("optimizer=sgd,adam", "seed=1,2", "trainer.max_epochs=5")
WIDE = ("optimizer=sgd,adam", "seed=1,2,3", "trainer.max_epochs=3")
# What is there before the crash, and what is asked for when it comes.
COMMANDS: dict[str, tuple[tuple[str, ...] | None, tuple[str, ...]]] = {
    "new": (None, SHORT),
    "longer": (SHORT, LONG),
    "wider": (SHORT, WIDE),
    "interrupted": (None, (*SHORT, "max_stack=1")),
    "one by one": (None, (*SHORT, "hydra/launcher=basic")),
}
NUM_SAMPLED = 5  # of each command's crash points, in CI


def run(cwd: Path, *words: str, crash_at: int = 0, crash_log: str = "") -> int:
    """The command's exit status."""
    prelude = f"import simplenn.rundir.crash_points as points; points._at, points._log = {crash_at}, {crash_log!r}"
    done = script("train.py", "-m", "name=study", *QUICK, *words, cwd=cwd, prelude=prelude)
    assert done.returncode in (0, 137), done.stdout + done.stderr
    return done.returncode


class Prepared:
    """A command, what is there before it, what it leaves, and how many crash points it passes."""

    def __init__(self, before: tuple[str, ...] | None, words: tuple[str, ...], folder: Path) -> None:
        self.words = words
        self.before = None
        if before is not None:
            (folder / "before").mkdir()
            run(folder / "before", *before)
            self.before = folder / "before" / NAME
        self._whole = folder / "whole"
        self._start(self._whole)
        log = folder / "points"
        assert run(self._whole, *words, crash_log=str(log)) == 0
        self.points = log.read_text().splitlines()
        self.tree = tree(self._whole / NAME)

    def _start(self, cwd: Path) -> None:
        cwd.mkdir()
        if self.before is not None:
            shutil.copytree(self.before, cwd / NAME)

    def crashed_and_run_again(self, cwd: Path, point: int) -> list[str]:
        """The files that are other than without the crash."""
        self._start(cwd)
        assert run(cwd, *self.words, crash_at=point) == 137
        assert run(cwd, *self.words) == 0
        found = differences(tree(cwd / NAME), self.tree)
        shutil.rmtree(cwd)
        return found


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Prepared]:
    made: dict[str, Prepared] = {}

    def prepare(command: str) -> Prepared:
        if command not in made:
            made[command] = Prepared(*COMMANDS[command], tmp_path_factory.mktemp(command.replace(" ", "_")))
        return made[command]

    return prepare


@pytest.mark.parametrize("command", COMMANDS)
def test_a_sweep_survives_a_crash(command: str, prepared: Callable[[str], Prepared], tmp_path: Path) -> None:
    """At a sample of its crash points, evenly spread."""
    sweep = prepared(command)
    count = len(sweep.points)
    assert count >= NUM_SAMPLED, "the hook is never called"
    for point in sorted({1 + k * (count - 1) // (NUM_SAMPLED - 1) for k in range(NUM_SAMPLED)}):
        assert sweep.crashed_and_run_again(tmp_path / str(point), point) == [], sweep.points[point - 1]


@pytest.mark.battery
@pytest.mark.parametrize("command", COMMANDS)
def test_a_sweep_survives_every_crash(command: str, prepared: Callable[[str], Prepared], tmp_path: Path) -> None:
    sweep = prepared(command)
    lost = {}
    for point in range(1, len(sweep.points) + 1):
        if found := sweep.crashed_and_run_again(tmp_path / str(point), point):
            lost[sweep.points[point - 1]] = found
    print(f"{command}: {len(sweep.points)} crash points, {len(lost)} with other files afterwards")
    assert lost == {}
