"""After a crash at any write, fsync, rename or removal and one more command, a sweep is as if nothing had happened.

The points are enumerated: a hook stops the process at each (`rundir.crash_points`). What CI runs is a sample of them;
all of them are `pytest -m battery tests/faults`.
"""

import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from commands import script
from trees import differences, tree

NAME = Path("outputs") / "sweeps" / "study"
QUICK = ("experiment=post", "trainer=cpu", "progress=none")
SHORT = ("optimizer=sgd,adam", "seed=1,2", "trainer.max_epochs=3")
LONG = ("optimizer=sgd,adam", "seed=1,2", "trainer.max_epochs=5")
WIDE = ("optimizer=sgd,adam", "seed=1,2,3", "trainer.max_epochs=3")
CHECKPOINTS = "a checkpoint at each epoch's end"  # is no word of the command
# What is there before the crash, and what is asked for when it comes.
COMMANDS: dict[str, tuple[tuple[str, ...] | None, tuple[str, ...]]] = {
    "new": (None, SHORT),
    "longer": (SHORT, LONG),
    "wider": (SHORT, WIDE),
    "several stacks": (None, (*SHORT, "max_stack=1")),
    "again": (SHORT, (*SHORT, "rerun=all")),
    "no directories": (None, (*SHORT, "run_dirs=none")),
    "longer, no directories": ((*SHORT, "run_dirs=none"), (*LONG, "run_dirs=none")),
    "with checkpoints": (None, (*SHORT, CHECKPOINTS)),
    "several stacks, with checkpoints": (None, (*SHORT, "max_stack=1", CHECKPOINTS)),
    "longer, with checkpoints": (SHORT, (*LONG, CHECKPOINTS)),
    "one by one": (None, (*SHORT, "hydra/launcher=basic")),
}
NUM_DRAWN = 20
IN_CI = ("longer", "wider", "one by one", "several stacks, with checkpoints")
NUM_SAMPLED = 3  # of each command's crash points, in CI


def run(cwd: Path, *words: str, crash_at: int = 0, crash_log: str = "") -> int:
    """The command's exit status."""
    prelude = f"import simplenn.rundir.crash_points as points; points._at, points._log = {crash_at}, {crash_log!r}"
    if CHECKPOINTS in words:
        prelude += "; import simplenn.stacking.keeping as keeping; keeping.SECONDS_BETWEEN = 0"
    typed = [word for word in words if word != CHECKPOINTS]
    done = script("train.py", "-m", "name=study", *QUICK, *typed, cwd=cwd, prelude=prelude)
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
        self.tree = self._left(self._whole)

    def _left(self, cwd: Path) -> dict[str, Any]:
        """What trains all runs again does so once more after a crash, so that its parts have higher numbers."""
        found = tree(cwd / NAME)
        if "rerun=all" not in self.words:
            return found
        parts = sorted({name.split("/")[1] for name in found if name.startswith("stacks/")})
        renumbered = {}
        for name, content in found.items():
            if name.startswith("stacks/"):
                part = name.split("/")[1]
                name = name.replace(part, f"{parts.index(part)}-{part.partition('-')[2]}")
            if name.endswith("structure.json"):
                content = {key: value for key, value in content.items() if key != "number"}
            renumbered[name] = content
        return renumbered

    def _start(self, cwd: Path) -> None:
        cwd.mkdir()
        if self.before is not None:
            shutil.copytree(self.before, cwd / NAME)

    def crashed_and_run_again(self, cwd: Path, points: Sequence[int]) -> list[str]:
        """The files that are other than without the crashes, each of which hits the command that goes on after the one
        before; that may end before it comes to its point."""
        self._start(cwd)
        statuses = [run(cwd, *self.words, crash_at=point) for point in points]
        assert statuses[0] == 137
        assert run(cwd, *self.words) == 0
        found = differences(self._left(cwd), self.tree)
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


@pytest.mark.parametrize("command", IN_CI)
def test_a_sweep_survives_a_crash(command: str, prepared: Callable[[str], Prepared], tmp_path: Path) -> None:
    """At a seeded sample of its crash points."""
    sweep = prepared(command)
    count = len(sweep.points)
    assert count >= NUM_SAMPLED, "the hook is never called"
    for point in random.Random(2).sample(range(1, count + 1), NUM_SAMPLED):
        assert sweep.crashed_and_run_again(tmp_path / str(point), [point]) == [], sweep.points[point - 1]


@pytest.mark.battery
@pytest.mark.parametrize("command", COMMANDS)
def test_a_sweep_survives_every_crash(command: str, prepared: Callable[[str], Prepared], tmp_path: Path) -> None:
    sweep = prepared(command)
    lost = {}
    for point in range(1, len(sweep.points) + 1):
        if found := sweep.crashed_and_run_again(tmp_path / str(point), [point]):
            lost[sweep.points[point - 1]] = found
    print(f"{command}: {len(sweep.points)} crash points, {len(lost)} with other files afterwards")
    assert lost == {}


@pytest.mark.battery
@pytest.mark.parametrize("command", COMMANDS)
def test_a_sweep_survives_a_crash_of_what_goes_on(
    command: str, prepared: Callable[[str], Prepared], tmp_path: Path
) -> None:
    """At points of a seeded draw: of the command, of the one that goes on, of the one after that."""
    sweep, draw, lost = prepared(command), random.Random(1), {}
    for number in range(NUM_DRAWN):
        points = [draw.randint(1, len(sweep.points)) for _ in range(3)]
        if found := sweep.crashed_and_run_again(tmp_path / str(number), points):
            lost[tuple(points)] = found
    print(f"{command}: {NUM_DRAWN} times three crashes, {len(lost)} with other files afterwards")
    assert lost == {}
