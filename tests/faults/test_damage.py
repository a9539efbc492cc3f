"""A damaged file of a finished sweep never becomes a wrong number in silence, nor a traceback.

The same command, given again, says that there is nothing to do, and then whoever reads the file refuses or repairs it;
or it sets aside what is damaged, with a warning, and the sweep is as it was before.
"""

import random
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from commands import script
from trees import content_of, differences, tree

NAME = Path("outputs") / "sweeps" / "study"
QUICK = ("experiment=post", "trainer=cpu", "progress=none")
SHORT = ("optimizer=sgd,adam", "seed=1,2", "trainer.max_epochs=3")
SWEEPS = {"in stacks": SHORT, "one by one": (*SHORT, "hydra/launcher=basic")}
NUM_SAMPLED = 6
SEED = 9  # of the damage
RUN, OTHER_RUN = "runs/optimizer=adam,seed=2", "runs/optimizer=adam,seed=1"
PART, OTHER_PART = "stacks/0001-3", "stacks/0000-3"


def truncated(path: Path, rng: random.Random, other: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content))] if content else b"")


def emptied(path: Path, rng: random.Random, other: Path) -> None:
    path.write_bytes(b"")


def flipped(path: Path, rng: random.Random, other: Path) -> None:
    content = bytearray(path.read_bytes())
    if content:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def removed(path: Path, rng: random.Random, other: Path) -> None:
    path.unlink()


def swapped(path: Path, rng: random.Random, other: Path) -> None:
    """Has the content of the file of another run or part that has its name."""
    shutil.copy(other, path)


DAMAGES = (truncated, emptied, flipped, removed, swapped)


class Finished:
    """A sweep that has ended, and what its readers say of it."""

    def __init__(self, folder: Path, words: tuple[str, ...]) -> None:
        self.words = words
        self.folder = folder
        folder.mkdir()
        done = self.again(folder)
        assert done.returncode == 0, done.stderr
        self.tree = tree(folder / NAME)
        self.evaluated = script("evaluate.py", str(NAME / RUN), cwd=folder).stdout
        assert self.evaluated
        self.files = [path.relative_to(folder / NAME) for path in sorted((folder / NAME).rglob("*")) if path.is_file()]

    def again(self, cwd: Path) -> CompletedProcess[str]:
        return script("train.py", "-m", "name=study", *QUICK, *self.words, cwd=cwd)

    def cases(self) -> list[tuple[Path, Callable[..., None]]]:
        """All damages to the files of one run, of one part, and of the sweep itself."""
        return [(file, damage) for file in self._of_one() for damage in DAMAGES]

    def _of_one(self) -> list[Path]:
        chosen = [path for path in self.files if len(path.parts) == 1 or path.is_relative_to(RUN)]
        return chosen + [path for path in self.files if path.is_relative_to(PART)]

    def faults_of(self, cwd: Path, file: Path, damage: Callable[..., None], seed: int) -> list[str]:
        """What is wrong after the damage; nothing, if all is well."""
        shutil.copytree(self.folder, cwd)
        path = cwd / NAME / file
        name = file.as_posix().replace(RUN, OTHER_RUN).replace(PART, OTHER_PART)
        other = next((self.folder / NAME / name).parent.glob(f"{path.name.split('.tfevents')[0]}*"))
        damage(path, random.Random(f"{SEED} {seed} {file} {damage.__name__}"), other)
        found = []
        if file.parts[0] == "stacks":
            found += self._extraction(cwd, file)
        done = self.again(cwd)
        said = done.stdout + done.stderr
        if done.returncode or "Traceback" in said:
            found.append(f"status {done.returncode}: {said[-600:]}")
        differing = differences(what_is_left(cwd / NAME), self.tree)
        if file.parts[0] == "stacks":  # a run of the part whose own directory is whole counts as trained by itself
            differing = [name for name in differing if not name.startswith(PART)]
        if differing:
            if "nothing to do" not in said or [Path(name.split("events.out")[0]) for name in differing] not in (
                [file],
                [file.parent],
            ):
                found.append(f"differ: {differing}; said: {said[-300:]}")
            found += self._evaluation(cwd)
        shutil.rmtree(cwd)
        return found

    def _evaluation(self, cwd: Path) -> list[str]:
        read = script("evaluate.py", str(NAME / RUN), cwd=cwd)
        if "Traceback" in read.stderr or (read.returncode and len(read.stderr.strip().splitlines()) != 1):
            return [f"evaluate: {read.returncode}: {read.stderr[-600:]}"]
        if not read.returncode and read.stdout != self.evaluated:
            return [f"evaluate is wrong in silence: {read.stdout} {read.stderr}"]
        return []

    def _extraction(self, cwd: Path, file: Path) -> list[str]:
        """Of a run that is only in the part."""
        shutil.rmtree(cwd / NAME / RUN)
        read = script("extract.py", str(NAME), RUN.removeprefix("runs/"), cwd=cwd)
        if "Traceback" in read.stderr or (read.returncode and len(read.stderr.strip().splitlines()) != 1):
            return [f"extract: {read.returncode}: {read.stderr[-600:]}"]
        if not read.returncode:
            found = differences(tree(cwd / NAME / RUN), tree(self.folder / NAME / RUN))
            return [f"extract is wrong in silence: {found}"] if found else []
        if (cwd / NAME / RUN).exists():
            return ["extract has left a directory"]
        return []


def what_is_left(sweep: Path) -> dict[str, Any]:
    """The tree without what was set aside; what can't be read is in it all the same."""
    return {name: content for name, content in tree(sweep, content_or_error).items() if ".damaged" not in name}


def content_or_error(path: Path) -> Any:
    try:
        return content_of(path)
    except Exception as error:  # whatever a damaged file makes of its reader
        return repr(error)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Finished]:
    made: dict[str, Finished] = {}

    def finish(sweep: str) -> Finished:
        if sweep not in made:
            made[sweep] = Finished(tmp_path_factory.mktemp("finished") / "whole", SWEEPS[sweep])
        return made[sweep]

    return finish


def faults(sweep: Finished, folder: Path, cases: Iterable[tuple[Path, Callable[..., None]]]) -> dict[str, list[str]]:
    found = {}
    for number, (file, damage) in enumerate(cases):
        if wrong := sweep.faults_of(folder / str(number), file, damage, 0):
            found[f"{file} {damage.__name__}"] = wrong
    return found


@pytest.mark.parametrize("sweep", SWEEPS)
def test_damage_is_noticed(sweep: str, finished: Callable[[str], Finished], tmp_path: Path) -> None:
    """A sample."""
    of = finished(sweep)
    assert faults(of, tmp_path, random.Random(SEED).sample(of.cases(), NUM_SAMPLED)) == {}


@pytest.mark.battery
@pytest.mark.parametrize("sweep", SWEEPS)
def test_every_damage_is_noticed(sweep: str, finished: Callable[[str], Finished], tmp_path: Path) -> None:
    of = finished(sweep)
    cases = of.cases()
    found = faults(of, tmp_path, cases)
    print(f"{sweep}: {len(cases)} damages, {len(found)} with a wrong end")
    print(*(f"{case}: {wrong}" for case, wrong in found.items()), sep="\n")
    assert found == {}
