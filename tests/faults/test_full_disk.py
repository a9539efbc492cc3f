"""A full disk ends a sweep in one line, and the same command comes to the whole sweep once there is room."""

import subprocess
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


@pytest.mark.battery
@pytest.mark.parametrize("size", ["64k", "256k", "512k", "1m"])
def test_a_small_disk(size: str, tmp_path: Path) -> None:
    """A real one, of its own, that gets more room for the second command."""
    words = ("train.py", "-m", "name=study", "max_stack=10", *WORDS, "seed=range(30)", "run_dirs=all")
    disk, whole = tmp_path / "disk", tmp_path / "whole"
    for folder in (disk, whole):
        folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        done = script(*words, cwd=disk)
        said = done.stdout + done.stderr
        assert done.returncode == 1 and "No space left on device" in said and "Traceback" not in said, said
        subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)
        again, once = script(*words, cwd=disk), script(*words, cwd=whole)
        assert (again.returncode, once.returncode) == (0, 0), again.stdout + again.stderr
        assert differences(tree(disk / NAME), tree(whole / NAME)) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.battery
def test_a_directory_that_cant_be_written(tmp_path: Path) -> None:
    """As another user's, or on a disk that is mounted for reading only: one line, and the report can be read."""
    assert sweep(tmp_path)[0] == 0
    outputs = str(tmp_path / "outputs")
    if subprocess.run(["mount", "--bind", outputs, outputs], check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", outputs], check=True)
        status, said = sweep(tmp_path)
        assert status == 0 and "nothing to do: all 4 runs are there already" in said
        words = ("train.py", "-m", "name=study", *WORDS, "seed=1,2,3")
        done = script(*words, cwd=tmp_path)
        assert done.returncode == 1 and done.stderr.count("\n") == 1
        assert "outputs/sweeps/study/.lock can't be written: Read-only file system" in done.stderr
        told = script("report.py", "outputs/sweeps/study", "--no-figures", cwd=tmp_path, preloaded="hydra")
        assert told.returncode == 0 and told.stdout.startswith("4 runs: 4 done")
    finally:
        subprocess.run(["umount", outputs], check=True)
