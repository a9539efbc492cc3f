"""A process that has imported torch, Lightning, Hydra and simplenn, and forks one for each command that it is sent.

What a command needs seconds to import, and what its parsers and fonts learn at their first use, is there in its process
from the start; all else is as in a fresh interpreter: streams, directory, arguments, environment, signal handlers,
random states, and Hydra's singletons, which nothing has made yet. The server runs no operation of torch's: the threads
that these start would not survive a fork.

What differs from a fresh process: torch and simplenn are in `sys.modules` already, libraries have read their variables
(`OMP_NUM_THREADS`, say) from the server's environment, and strings have the server's hashes. A command may be sent with
a number of `further_ranks`: as many of the processes that Lightning starts for it are forked, too.

Run as `fork_server.py <descriptor> <everything|hydra>`, of a listening socket and of what to import: all, or what
commands need that end without torch. `commands` is its client. Who connects says h, and holds the server for as long
as the connection lasts, or c for a command: that message brings three descriptors, its standard streams, and a line of
JSON describes it. The answers are two numbers of four bytes: its process id, then its exit status, negative for a
signal, as in `subprocess`.
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any

# What commands import within functions; but not Hydra's plugins, which Hydra is to find anew, nor polars, whose threads
# start as it is imported.
MODULES = (
    "hydra.core.override_parser.overrides_parser",
    "lightning.pytorch",
    "matplotlib.backends.backend_agg",
    "rich.progress",
    "safetensors.torch",
    "tensorboard.compat.proto.event_pb2",
    "torch._dynamo",
)


# The same, of those that end without torch.
MODULES_OF_HYDRA = ("hydra.main", "hydra.core.override_parser.overrides_parser", "simplenn.command.sweeping")


def preload(everything: bool) -> None:
    import simplenn  # before torch: it sets what torch's libraries read as they are loaded

    for name in MODULES if everything else MODULES_OF_HYDRA:
        importlib.import_module(name)
    warm_up_parsers()
    if everything:
        for module in pkgutil.walk_packages(simplenn.__path__, "simplenn."):
            importlib.import_module(module.name)
        warm_up_fonts()
    assert everything == ("torch" in sys.modules)
    assert threading.active_count() == 1, threading.enumerate()
    gc.freeze()  # a collection would write to every object, and so copy all memory for each process


def warm_up_parsers() -> None:
    """They are slow at the first of each kind of words that they meet."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    OverridesParser.create().parse_overrides(["a/b@c=d", "+a.b=1,2", "~a", "a=[x,'y z']", "a=range(1,3)", "a={b:1e-3}"])
    OmegaConf.to_container(OmegaConf.create({"a": "x/${b}_${.b}", "b": "${oc.env:HOME}"}), resolve=True)


def warm_up_fonts() -> None:
    """The first figure of a process takes twice as long as the next."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.scatter([], [], label="a")
    axes.set(xlabel="b", ylabel="c")
    axes.legend()
    canvas.draw()


def serve(listening: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Returns in a command's process only, with its description and streams. Ends the server once nobody holds it."""
    holding: list[socket.socket] = []
    while True:
        for ready in select.select([listening, *holding], [], [])[0]:
            if ready is not listening:
                holding.remove(ready)
                ready.close()
                if not holding:
                    while _reaped(0):
                        pass
                    sys.exit()
                continue
            connection, _ = listening.accept()
            message, streams, _, _ = socket.recv_fds(connection, 1, 3)
            if message == b"h":
                holding.append(connection)
                continue
            if message and os.fork() == 0:
                for other in (listening, *holding):
                    other.close()
                return _watch_command(connection, streams)
            for descriptor in streams:
                os.close(descriptor)
            connection.close()
            _reaped(os.WNOHANG)


def _watch_command(connection: socket.socket, streams: list[int]) -> tuple[dict[str, Any], list[int]]:
    """Forks the command's process, where it returns; here, in that one's parent, waits for its end and reports it."""
    with connection:
        command = json.loads(connection.makefile().readline())
        process = os.fork()
        if process == 0:
            return command, streams
        for stream in streams:
            os.close(stream)
        connection.sendall(process.to_bytes(4, "big"))
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        connection.sendall(status.to_bytes(4, "big", signed=True))
    os._exit(0)


def _reaped(options: int) -> bool:
    try:
        return os.waitpid(-1, options)[0] != 0
    except ChildProcessError:
        return False


def run(command: dict[str, Any], streams: list[int]) -> None:
    """Becomes the command's process."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdout.reconfigure(line_buffering=os.isatty(1))  # pyright: ignore[reportAttributeAccessIssue]
    command = _with_further_ranks(command["further_ranks"]) or command
    if "torch" in sys.modules:
        importlib.import_module("numpy").random.seed()  # Python sees to its own random numbers
        importlib.import_module("torch").default_generator.seed()
    script = command["arguments"][0]
    installed = [place for place in sys.path[1:] if place not in _python_path()]
    os.chdir(command["cwd"])
    os.environ.clear()
    os.environ.update(command["environment"])
    for name in ("simplenn", "simplenn.rundir.crash_points"):
        if name in sys.modules:
            importlib.reload(sys.modules[name])  # sets its variables in this environment, and reads them from there
    sys.path[:] = [os.path.dirname(script), *_python_path(), *installed]
    sys.argv[:] = command["arguments"]
    status: Any = 0
    try:
        exec(command.get("prelude", ""), {"__name__": "prelude"})
        runpy.run_path(script, run_name="__main__")
    except SystemExit as error:
        status = error.code
    except KeyboardInterrupt as error:
        sys.excepthook(type(error), error, error.__traceback__)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        status = 1
    _end(status)


def _with_further_ranks(count: int) -> dict[str, Any] | None:
    """Forks processes that wait to be those that Lightning starts for a run of several, and has it start these.

    They are forked here, as this process has run no operation of torch's yet. Returns in them, with the command that
    Lightning gives, and here, with nothing; those that are not wanted end with this process.
    """
    if count == 0:
        return None
    waiting: list[tuple[int, int]] = []
    for _ in range(count):
        read, write = os.pipe()
        process = os.fork()
        if process == 0:
            for descriptor in (write, *(write for _, write in waiting)):
                os.close(descriptor)
            with open(read) as pipe:
                told = pipe.readline()
            return json.loads(told) if told else os._exit(0)
        os.close(read)
        waiting.append((process, write))

    class Rank(subprocess.Popen):
        def _execute_child(
            self,
            args: list[str],
            executable: Any,
            preexec_fn: Any,
            close_fds: Any,
            pass_fds: Any,
            cwd: Any,
            env: Any,
            *_: Any,
        ) -> None:
            assert args[0] == sys.executable
            self.pid, write = waiting.pop(0)
            self._child_created = True
            with open(write, "w") as pipe:
                json.dump({"arguments": args[1:], "cwd": cwd or os.getcwd(), "environment": env}, pipe)

    launcher: Any = importlib.import_module("lightning.pytorch.strategies.launchers.subprocess_script")
    launcher.subprocess = SimpleNamespace(Popen=Rank)
    return None


def _end(status: Any) -> None:
    """As Python ends, but without freeing each object: that takes longer than most commands."""
    if status is not None and not isinstance(status, int):
        print(status, file=sys.stderr)
        status = 1
    threading._shutdown()  # waits for threads # pyright: ignore[reportAttributeAccessIssue]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit((status or 0) & 0xFF)


def _python_path() -> list[str]:
    return [os.path.abspath(place) for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the commands
    listening = socket.socket(fileno=int(sys.argv[1]))
    preload(everything=sys.argv[2] == "everything")
    run(*serve(listening))
