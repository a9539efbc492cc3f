"""Files and folders are complete or absent, whenever the process that writes them is stopped."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simplenn.rundir import atomic
from simplenn.rundir.crash_points import CRASH_AT, CRASH_LOG, KILLED

WRITE = """
import sys
from pathlib import Path
from simplenn.rundir.atomic import replacing_directory, write_atomically
folder = Path(sys.argv[1])
write_atomically(folder / "file", b"new")
with replacing_directory(folder / "part") as temporary:
    (temporary / "a").write_text("new")
    (temporary / "b").write_text("new")
"""


def write(folder: Path, **environment: str) -> int:
    # a process that is stopped runs no handler: only what is on the disk counts
    return subprocess.run([sys.executable, "-c", WRITE, folder], env=os.environ | environment).returncode


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    (folder / "part").mkdir(parents=True)
    for name in ("file", "part/a", "part/b"):
        (folder / name).write_text("old")
    return folder


def test_crash_points_all_leave_old_or_new(folder: Path, tmp_path: Path) -> None:
    """Stopped before or after any step, each file and the folder are the old or the new one after `restore_directory`,
    and what was begun is gone after `remove_left_overs`."""
    log = tmp_path / "log"
    assert write(folder, **{CRASH_LOG: str(log)}) == 0
    points = log.read_text().splitlines()
    assert {line.split(" /")[0].split(" ", 1)[1] for line in points} == {
        f"{when} {what}" for when in ("before", "after") for what in ("write", "fsync", "rename", "rmtree")
    }
    found = set()
    for number in range(1, len(points) + 1):
        for name in ("file", "part/a", "part/b"):
            (folder / name).write_text("old")
        assert write(folder, **{CRASH_AT: str(number)}) == KILLED, points[number - 1]
        atomic.restore_directory(folder / "part")
        atomic.remove_left_overs(folder)
        assert sorted(path.name for path in folder.rglob("*")) == ["a", "b", "file", "part"], points[number - 1]
        part = {(folder / "part" / name).read_text() for name in "ab"}
        assert len(part) == 1, points[number - 1]
        found.add(((folder / "file").read_text(), *part))
    assert found == {("old", "old"), ("new", "old"), ("new", "new")}


def test_left_overs_of_the_living_stay(folder: Path) -> None:
    """What another living process writes stays, and what has no process's number in its name."""
    ours = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        kept = {f".file.{ours.pid}", ".file.before", ".hidden", "file.1"}
        for name in (*kept, f".file.{os.getpid()}"):
            (folder / name).write_text("")
        atomic.remove_left_overs(folder)
        assert {path.name for path in folder.iterdir()} == kept | {"file", "part"}
    finally:
        ours.communicate(b"\n")
    atomic.remove_left_overs(folder)
    assert f".file.{ours.pid}" not in {path.name for path in folder.iterdir()}


def test_failed_write_leaves_the_folder_before(folder: Path) -> None:
    """An error within leaves the old folder, and no other beside it."""
    with pytest.raises(KeyError), atomic.replacing_directory(folder / "part") as temporary:
        (temporary / {}["a"]).write_text("new")
    assert sorted(path.name for path in folder.rglob("*")) == ["a", "b", "file", "part"]
    assert (folder / "part" / "a").read_text() == "old"
