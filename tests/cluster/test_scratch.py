"""The workers' own files."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from simplenn.cluster.scratch import Scratch

HOLDS = """
import time
from simplenn.cluster.scratch import Scratch
own = Scratch()
print(own.path, flush=True)
time.sleep(300)
"""


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_what_a_killed_command_left_is_removed(tmp_path: Path) -> None:
    """And what a living one has, is not."""
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    commands = []
    for _ in range(2):
        command = subprocess.Popen([sys.executable, "-c", HOLDS], stdout=subprocess.PIPE, env=environment, text=True)
        assert command.stdout is not None
        commands.append((command, Path(command.stdout.readline().strip())))
    (killed, left), (living, held) = commands
    try:
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        assert left.is_dir()
        own = Scratch()
        assert sorted(tmp_path.iterdir()) == sorted([held, Path(own.path)])
        own.remove()
        assert list(tmp_path.iterdir()) == [held]
    finally:
        living.kill()
        living.communicate()


def test_a_strangers_directory_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "simplenn-dask-x").mkdir()
    (tmp_path / "simplenn-dask-y" / ".lock").mkdir(parents=True)
    own = Scratch()
    own.remove()
    assert len(list(tmp_path.iterdir())) == 2
