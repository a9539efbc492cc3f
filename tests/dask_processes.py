"""A Dask scheduler and workers in processes of their own, as a cluster's administrator starts them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

SECONDS = 60  # in which a process must come up


class Cluster:
    """A scheduler at `address`, on the loopback, and what is started for it; `folder` takes logs and scratch space."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.processes: list[subprocess.Popen[bytes]] = []
        file = folder / "scheduler.json"
        self.scheduler = self._start(
            "scheduler", ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
        )
        deadline = time.monotonic() + SECONDS
        while not file.exists() or not file.read_text():
            assert time.monotonic() < deadline and self.scheduler.poll() is None, self.log("scheduler")
            time.sleep(0.05)
        self.address = json.loads(file.read_text())["address"]

    def start_worker(self, name: str, environment: Mapping[str, str] = os.environ) -> subprocess.Popen[bytes]:
        words = [self.address, "--nthreads", "1", "--no-dashboard", "--memory-limit", "0", "--name", name]
        words += ["--local-directory", str(self.folder / "scratch"), "--host", "127.0.0.1"]
        return self._start("worker", words, name, environment)

    def _start(
        self, kind: str, words: list[str], name: str = "scheduler", environment: Mapping[str, str] = os.environ
    ) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *words]
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=dict(environment), cwd=self.folder)
        self.processes.append(process)
        return process

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def close(self) -> None:
        """What the workers have started ends with them."""
        for process in self.processes:
            process.kill()
            process.wait()


def children_of(number: int) -> list[int]:
    """The ids of the processes that a process has started, by whichever of its threads."""
    found: list[int] = []
    for task in Path(f"/proc/{number}/task").glob("*/children"):
        found += map(int, task.read_text().split())
    return found


def is_alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for_end(numbers: list[int], seconds: float) -> list[int]:
    """Those of the processes that are still alive after so many seconds."""
    deadline = time.monotonic() + seconds
    while (alive := [number for number in numbers if is_alive(number)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return alive
