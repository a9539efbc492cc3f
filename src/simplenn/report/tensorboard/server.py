"""A TensorBoard server within this process, on this machine's own address. It ends with the process.

What takes the files in is TensorBoard's data server, a program of its own: it ends when its standard input does, so
also where this process is killed.
"""

import contextlib
import io
import json
import socket
import time
import urllib.request
from collections.abc import Collection
from pathlib import Path
from typing import Any

from simplenn.errors import ConfigError

HOST = "127.0.0.1"
USUAL_PORT = 6006
SECONDS_TO_LOAD = 20
FILES_OF_ITS_OWN = 128  # that a process has open beside one for each event file


def allow_open_files(count: int) -> int:
    """Raises this process's limit of open files to what so many event files take. How many it can be of them."""
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return count
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + FILES_OF_ITS_OWN
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return count
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return max(0, min(count, limit - FILES_OF_ITS_OWN))


class Server:
    """Serves from the start; `url` ends in a slash. Raises `ConfigError` where the port is taken."""

    def __init__(self, logdir: Path, title: str, port: int | None) -> None:
        from tensorboard import default, program

        port = _free_port() if port is None else port
        self._program = program.TensorBoard(default.get_plugins())
        options = {"logdir": logdir, "host": HOST, "port": port, "window_title": title, "reload_multifile": "true"}
        self._program.configure([None, *(f"--{name}={value}" for name, value in options.items())])
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # what it says of its data server is no news
                self.url = self._program.launch()
        except program.TensorBoardServerException as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"--port must be free, got {port}: {reason}; leave it out") from error

    def wait_until_loaded(self, runs: Collection[str]) -> bool:
        """Until these runs can be seen, for some seconds; whether they can."""
        end = time.monotonic() + SECONDS_TO_LOAD
        while not set(runs) <= set(self._answer("data/runs")):
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    def _answer(self, path: str) -> Any:
        try:
            with urllib.request.urlopen(self.url + path, timeout=SECONDS_TO_LOAD) as answer:
                return json.loads(answer.read())
        except OSError:
            return []


def _free_port() -> int:
    """TensorBoard's usual one, or any other where that is taken."""
    for port in (USUAL_PORT, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return probe.getsockname()[1]
    return 0
