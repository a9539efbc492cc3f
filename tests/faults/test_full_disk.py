"""A full disk ends a sweep in one line, and the same command comes to the whole sweep once there is room."""

from pathlib import Path

import pytest
from commands import script
from trees import differences, tree

NAME = Path("outputs") / "sweeps" / "study"
WORDS = ("experiment=post", "trainer=cpu", "progress=none", "optimizer=sgd,adam", "seed=1,2", "trainer.max_epochs=3")
SIZES = [0, 300, 2000, 5000, 9000]  # bytes that a file may have; the largest of the sweep's has more than 9000
POINTS = [1, 6, 10, 20, 45, 80, 140, 175]  # the crash points from which on nothing can be written, synced or renamed
FULL = """
import itertools, os, sys
numbers = itertools.count(1)
def crash_point(moment, path):
    is_writing = moment in ("before write", "before fsync", "before rename") and not str(path).endswith(".lock")
    if next(numbers) >= {point} and is_writing:
        raise OSError(28, os.strerror(28), str(path))
for name, module in list(sys.modules.items()):
    if name.startswith("simplenn") and hasattr(module, "crash_point"):
        module.crash_point = crash_point
"""
LIMITS = {
    **{f"files of {n} bytes": f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({n}, {n}))" for n in SIZES},
    **{f"full at {n}": FULL.format(point=n) for n in POINTS},
}


def sweep(cwd: Path, prelude: str = "") -> tuple[int, str]:
    """The exit status, and what was said."""
    done = script("train.py", "-m", "name=study", "max_stack=1", *WORDS, cwd=cwd, prelude=prelude)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("whole")
    assert sweep(folder)[0] == 0
    return tree(folder / NAME)


def comes_through(cwd: Path, prelude: str, whole: dict) -> None:
    cwd.mkdir()
    status, said = sweep(cwd, prelude)
    assert status == 1 and "Traceback" not in said, said
    reasons = [line for line in said.splitlines() if "File too large" in line or "No space left on device" in line]
    assert reasons and all("outputs/sweeps/study" in line for line in reasons), said
    left = [path for path in cwd.rglob(".*") if path.name != ".hydra"]
    assert not left, left
    parts = list((cwd / NAME / "stacks").glob("*"))
    for part in parts:
        name = f"stacks/{part.name}"
        found = {f"{name}/{file}": content for file, content in tree(part).items()}
        assert found == {file: content for file, content in whole.items() if file.startswith(f"{name}/")}, part
    assert sweep(cwd)[0] == 0
    assert differences(tree(cwd / NAME), whole) == []


@pytest.mark.parametrize("limit", ["files of 300 bytes", "files of 5000 bytes", "full at 80"])
def test_a_full_disk(limit: str, whole: dict, tmp_path: Path) -> None:
    comes_through(tmp_path / "limited", LIMITS[limit], whole)


@pytest.mark.battery
def test_any_full_disk(whole: dict, tmp_path: Path) -> None:
    for number, limit in enumerate(LIMITS.values()):
        comes_through(tmp_path / str(number), limit, whole)
