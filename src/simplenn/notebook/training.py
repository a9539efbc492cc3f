"""`train`: from Python what scripts/train.py trains. Starts that very command, so that checks, files and numbers are
its own, and neither Hydra's nor Lightning's state nor their handling of signals comes into the caller's process."""

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TextIO

import simplenn
from simplenn.errors import ConfigError, TrainingFailed
from simplenn.notebook.run import TrainedRun
from simplenn.notebook.sweep import Sweep
from simplenn.rundir import Run

CHILD = Path(__file__).with_name("child.py")
MULTIRUN = ("-m", "--multirun")
REFUSED, FAILED = 2, 1  # exit statuses of the command's


def train(overrides: str | Sequence[str] = (), *, show: bool = True) -> TrainedRun | Sweep:
    """Trains a run, or where the overrides ask for several, a sweep, as `python scripts/train.py` with them does.

        run = simplenn.train(["optimizer=adam", "seed=7"])
        sweep = simplenn.train(["-m", "seed=range(100)", "name=many"])

    A text is taken as a shell would: `simplenn.train("optimizer=adam seed=7")`. What the command prints is printed
    here, unless `show` is false; its files are below `outputs/` of the working directory.

    Raises `ConfigError` for what the command refuses, `TrainingFailed` where a run fails or the training is ended, both
    in the line that the command prints; and `KeyboardInterrupt`, once an interrupted run has been written down. A run
    that diverges is a result, as its `status` says.
    """
    words = _words(overrides)
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "directory.json"
        status, errors = _run([sys.executable, str(CHILD), str(told), str(_script()), *words], show)
        directory = json.loads(told.read_text()) if told.exists() else {}
    last = errors.strip().rpartition("\n")[2]
    if status == REFUSED:
        raise ConfigError(last)
    if errors and show:
        print(errors, end="", file=sys.stderr)
    if status not in (0, FAILED):
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        raise TrainingFailed(f"the training was ended by {how}{f': {last}' if last else ''}")
    if "sweep" in directory:
        return _sweep(_near(directory["sweep"]), status)
    if "run" in directory:
        return _trained(_near(directory["run"]), last)
    if status == 0:
        raise ConfigError(f"train must be given overrides that train, got {shlex.join(words)}; try 'optimizer=adam'")
    raise TrainingFailed(last or f"the training was ended with exit status {status}")


def _words(overrides: str | Sequence[str]) -> list[str]:
    """Raises `ConfigError` for other options than -m."""
    if not isinstance(overrides, str | Sequence):
        raise ConfigError(f"train takes a text or a list of overrides, got {overrides!r:.80}; try ['optimizer=adam']")
    words = shlex.split(overrides) if isinstance(overrides, str) else list(overrides)
    for word in words:
        if not isinstance(word, str) or (word.startswith("-") and word not in MULTIRUN):
            raise ConfigError(f"train takes overrides such as 'optimizer=adam', and '-m' for a sweep, got {word!r}")
    return words


def _script() -> Path:
    """The command of the checkout that simplenn is imported from, or else of the working directory's; it knows where
    conf/ is. Raises `ConfigError`."""
    for checkout in (Path(simplenn.__path__[0]).parents[1], Path.cwd()):
        script = checkout / "scripts" / "train.py"
        if script.is_file() and (checkout / "conf" / "train.yaml").is_file():
            return script
    raise ConfigError(
        "train must find scripts/train.py and conf/, and they are neither beside the package nor in the working "
        "directory; install simplenn from its checkout: pip install -e ."
    )


def _run(command: list[str], show: bool) -> tuple[int, str]:
    """The exit status, and what went to standard error. Standard output is printed line by line."""
    process = subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None and process.stderr is not None
    with process.stdout as out, process.stderr as err:
        lines: SimpleQueue[str | None] = SimpleQueue()
        errors: list[str] = []
        readers = [Thread(target=_hand_on, args=[out, lines], daemon=True), Thread(target=errors.extend, args=[err])]
        for reader in readers:
            reader.start()
        interrupted = False
        while True:
            try:
                _print_all(lines, show)
                break
            except KeyboardInterrupt:  # the run is written down first; a second one ends it at once
                interrupted = True
                process.send_signal(signal.SIGINT)
            except BaseException:
                process.kill()
                raise
        status = process.wait()
        for reader in readers:
            reader.join()
    if interrupted:
        raise KeyboardInterrupt
    return status, "".join(errors)


def _hand_on(stream: TextIO, lines: "SimpleQueue[str | None]") -> None:
    """Each line, and then `None`."""
    for line in stream:
        lines.put(line)
    lines.put(None)


def _print_all(lines: "SimpleQueue[str | None]", show: bool) -> None:
    """Waits in short steps, as a signal may reach another thread than the one that waits."""
    while True:
        with suppress(Empty):
            line = lines.get(timeout=0.1)
            if line is None:
                return
            if show:
                print(line, end="", flush=True)


def _trained(directory: Path, last: str) -> TrainedRun:
    result = Run(directory).result()
    if result is None:
        raise TrainingFailed(last or f"{directory} has no result")
    if result.status not in ("done", "diverged"):
        raise TrainingFailed(f"{directory} is {result.status}: {result.message}")
    return TrainedRun(directory, result)


def _sweep(directory: Path, status: int) -> Sweep:
    """Raises `TrainingFailed` where it has runs that neither ended nor diverged, or something couldn't be written."""
    sweep = Sweep(directory)
    counts = dict(sweep.results["status"].value_counts().iter_rows())
    left = ", ".join(f"{count:,} {state}" for state, count in counts.items() if state not in ("done", "diverged"))
    if left:
        raise TrainingFailed(f"of {len(sweep):,} runs, {left}; simplenn.Sweep({str(directory)!r}) has them")
    if status and "diverged" not in counts:
        raise TrainingFailed(f"{directory} isn't complete; what the command printed and {directory}/train.log say why")
    return sweep


def _near(directory: str) -> Path:
    """As a person would write it."""
    path = Path(directory)
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
