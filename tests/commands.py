"""Commands as a user types them, each in a process of its own: forked from `fork_server`'s, or started afresh."""

import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 300  # after which a command is taken to hang


class Forked:
    """A command in a process forked from the server's, with the part of `subprocess.Popen`'s interface that we use."""

    def __init__(
        self,
        arguments: list[str],
        cwd: Path,
        stdin: str | bytes,
        stdout: int | None,
        environment: Mapping[str, str],
        prelude: str,
        further_ranks: int,
        server: "Server",
    ) -> None:
        self.args = arguments
        self.returncode: int | None = None
        (from_stdout, to_stdout), (from_stderr, to_stderr) = os.pipe(), os.pipe()
        self.stdout, self.stderr = open(from_stdout), open(from_stderr)  # noqa: SIM115
        self._socket = server.connected()
        with tempfile.TemporaryFile() as given:
            given.write(stdin.encode() if isinstance(stdin, str) else stdin)
            given.seek(0)
            socket.send_fds(self._socket, [b"c"], [given.fileno(), to_stdout if stdout is None else stdout, to_stderr])
        for descriptor in (to_stdout, to_stderr):
            os.close(descriptor)
        command = {"arguments": arguments, "cwd": str(cwd), "environment": dict(environment)}
        command |= {"prelude": prelude, "further_ranks": further_ranks}
        self._socket.sendall(json.dumps(command).encode() + b"\n")
        self.pid = self._answer()

    def _answer(self) -> int:
        answer = self._socket.recv(4, socket.MSG_WAITALL)
        assert answer, "the fork server has ended; its standard error says why"
        return int.from_bytes(answer, "big", signed=True)

    def poll(self) -> int | None:
        """The exit status, `None` while the command runs."""
        if self.returncode is None and select.select([self._socket], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, negative for a signal. Raises `subprocess.TimeoutExpired` after so many seconds."""
        if self.returncode is None:
            if not select.select([self._socket], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = self._answer()
            self._socket.close()
        return self.returncode

    def communicate(self, timeout: float = SECONDS) -> tuple[str, str]:
        """What the command writes to its standard output and standard error until both are closed and it has ended."""
        deadline = time.monotonic() + timeout
        written = ["", ""]

        def read(number: int) -> None:
            with (self.stdout, self.stderr)[number] as stream:
                written[number] = stream.read()

        threads = [Thread(target=read, args=[number], daemon=True) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0, deadline - time.monotonic()))
            if thread.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout)
        self.wait(max(0, deadline - time.monotonic()))
        return written[0], written[1]

    def send_signal(self, number: int) -> None:
        """Does nothing where the process has ended, so that no other one of its id gets the signal."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Server:
    """The process that `Forked` processes come from, by a socket in a directory.

    The processes of one session of pytest's share it: who needs it first starts it, and it ends when the last of them
    has let go of it.
    """

    def __init__(self, preloaded: str, directory: Path) -> None:
        self.path = directory / preloaded
        self.process: subprocess.Popen[bytes] | None = None
        with (directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self.path.exists():
                self._start(preloaded)
            self._held = self.connected()
            self._held.sendall(b"h")

    def _start(self, preloaded: str) -> None:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(self.path))
            listening.listen(64)
            command = [sys.executable, str(ROOT / "tests" / "fork_server.py"), str(listening.fileno()), preloaded]
            self.process = subprocess.Popen(
                command, pass_fds=[listening.fileno()], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )

    def connected(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self.path))
        return connection

    def release(self) -> None:
        """The server ends once all have done so."""
        self._held.close()

    def wait(self) -> None:
        """Until the server has ended, where it was started here."""
        if self.process is not None:
            self.process.communicate()


SERVERS: dict[str, Server] = {}
SHARED = "SIMPLENN_TESTS_FORK_SERVERS"  # the environment variable that tells pytest's workers the directory of sockets


def share_servers() -> tempfile.TemporaryDirectory[str]:
    """Makes the directory by which this process and those that it starts share their servers."""
    directory = tempfile.TemporaryDirectory(prefix="servers")
    os.environ[SHARED] = directory.name
    return directory


def server(preloaded: str) -> Server:
    """The session's only one that has imported `everything`, or `hydra` and what else needs no torch."""
    if preloaded not in SERVERS:
        SERVERS[preloaded] = Server(preloaded, Path(os.environ[SHARED]))
    return SERVERS[preloaded]


def start(
    name: str,
    *arguments: str,
    cwd: Path,
    stdin: str | bytes = "",
    stdout: int | None = None,
    environment: Mapping[str, str] = os.environ,
    prelude: str = "",
    preloaded: str = "everything",
    further_ranks: int = 0,
) -> Forked:
    """Starts a script of the repo's as a user does in the directory `cwd`, and returns at once.

    `name` is that of a file in scripts/, or the path of another. `stdout` is a descriptor for it to write to in place
    of a pipe. `prelude` is code that the process runs before the script: it plants an error, say. `preloaded` is what
    the process has imported, `everything` or `hydra`. Of the processes that Lightning starts for it, `further_ranks`
    are forked, too, in place of fresh interpreters.
    """
    arguments = (str(ROOT / "scripts" / name), *arguments)
    return Forked(list(arguments), cwd, stdin, stdout, environment, prelude, further_ranks, server(preloaded))


def script(
    name: str,
    *arguments: str,
    cwd: Path,
    stdin: str | bytes = "",
    stdout: int | None = None,
    environment: Mapping[str, str] = os.environ,
    prelude: str = "",
    preloaded: str = "everything",
    further_ranks: int = 0,
    fresh: bool = False,
) -> subprocess.CompletedProcess[str]:
    """The same, once it has ended. `fresh` is for what concerns its start: it takes an interpreter of its own."""
    if fresh:
        assert not prelude and not further_ranks and stdout is None and isinstance(stdin, str)
        command = [sys.executable, str(ROOT / "scripts" / name), *arguments]
        pipes = {"input": stdin, "capture_output": True, "text": True, "timeout": SECONDS}
        return subprocess.run(command, cwd=cwd, env=environment, check=False, **pipes)
    kind: dict[str, Any] = {"prelude": prelude, "preloaded": preloaded, "further_ranks": further_ranks}
    process = start(name, *arguments, cwd=cwd, stdin=stdin, stdout=stdout, environment=environment, **kind)
    try:
        out, err = process.communicate()
    finally:
        process.kill()
    assert process.returncode is not None
    return subprocess.CompletedProcess([name, *arguments], process.returncode, out, err)


def popen(command: list[str], env: Mapping[str, str], **kind: Any) -> Forked:
    """In place of `subprocess.Popen`, for a command that Python runs in this interpreter."""
    return start(*command[1:], cwd=Path.cwd(), environment=env)


PIPES = {"PIPE": subprocess.PIPE, "DEVNULL": subprocess.DEVNULL}
FORKING = SimpleNamespace(Popen=popen, **PIPES)  # of the module `subprocess`, what a module uses that starts commands


def free_port() -> int:
    """Of this machine, for processes to meet at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
