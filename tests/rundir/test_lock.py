"""A directory has one owner, whom the others are told, and none once the owner has ended, however it did."""

import json
import logging
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simplenn.errors import ConfigError
from simplenn.rundir import Unwritable, locked
from simplenn.rundir.lock import Lock

OWNER = """
import sys
from pathlib import Path
from simplenn.rundir.lock import lock
lock(Path(sys.argv[1]))
print("locked", flush=True)
"""
RACE = """
import sys, time
from pathlib import Path
from simplenn.errors import ConfigError
from simplenn.rundir.lock import locked
folder = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
taken = 0
while taken < 25:
    try:
        with locked(folder):
            (folder / "owner").mkdir()  # fails where there are two
            (folder / "owner").rmdir()
            taken += 1
    except ConfigError:
        pass
"""


def owner(folder: Path, then: str) -> subprocess.Popen[str]:
    """A process that has locked the folder, and does something then."""
    command = [sys.executable, "-c", OWNER + then, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "locked\n"
    return process


def test_second_process_is_told_the_first(tmp_path: Path) -> None:
    """Process, host and start; the file goes with a clean end, also of a process that took up no work."""
    process = owner(tmp_path, "input()")
    said = json.loads((tmp_path / ".lock").read_text())
    assert (said["pid"], said["host"]) == (process.pid, socket.gethostname())
    with pytest.raises(ConfigError) as refusal:
        Lock(tmp_path)
    found = re.fullmatch(
        rf"{re.escape(str(tmp_path))} is in use by process {process.pid} on host {re.escape(said['host'])} "
        r"since (\d{4}-\d\d-\d\d \d\d:\d\d); wait for it to end, or end it",
        str(refusal.value),
    )
    assert found
    assert abs(time.mktime(time.strptime(found[1], "%Y-%m-%d %H:%M")) - time.time()) < 120
    process.communicate("\n")
    assert not (tmp_path / ".lock").exists()
    with locked(tmp_path):
        pass


def test_dead_owners_lock_is_no_lock(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A line says so, and the file goes with the new owner."""
    process = owner(tmp_path, "input()")
    process.kill()
    process.communicate()
    assert (tmp_path / ".lock").exists()
    with caplog.at_level(logging.WARNING), locked(tmp_path):
        assert f"was left locked by process {process.pid} on host" in caplog.text
    assert not (tmp_path / ".lock").exists()


def test_forked_child_neither_holds_nor_frees(tmp_path: Path) -> None:
    """A child that outlives its parent, as one of a data loader may, doesn't keep the directory; nor does one that ends
    first give it away."""
    process = owner(tmp_path, "import os, time\nif os.fork() == 0:\n    sys.exit()\nos.wait()\ninput()")
    time.sleep(0.3)
    with pytest.raises(ConfigError):
        Lock(tmp_path)
    process.communicate("\n")
    parent = owner(tmp_path, "import os, time\nif os.fork() == 0:\n    os.close(1), time.sleep(60)\ninput()")
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    while not (child := children.read_text().split()):
        time.sleep(0.02)
    parent.kill()
    parent.communicate()
    try:
        with locked(tmp_path):
            pass
    finally:
        os.kill(int(child[0]), 9)


def test_one_owner_at_a_time(tmp_path: Path) -> None:
    """Processes that take and give back one directory, each as fast as it can."""
    command = [sys.executable, "-c", RACE, str(tmp_path)]
    racers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for racer in racers:
        assert racer.stdout is not None and racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    for racer in racers:
        racer.communicate(timeout=60)
    assert [racer.returncode for racer in racers] == [0] * 4
    assert list(tmp_path.iterdir()) == []


def test_no_directory_to_lock_in(tmp_path: Path) -> None:
    """One error, which names the file and the reason."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Unwritable, match=r"file/.lock can't be written: File exists"):
        Lock(tmp_path / "file")
