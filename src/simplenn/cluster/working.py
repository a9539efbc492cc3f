"""What runs in a worker: one unit at a time, whatever the number of the worker's threads, as torch's random state and
its number of threads are the whole process's."""

import logging
import math
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simplenn.cluster.ending import Ending
from simplenn.cluster.unit import Answer, Message, Result, Unit, answer_of, pack, refuse_difference, unpack
from simplenn.errors import ConfigError
from simplenn.rundir import Run, code_of, package_versions, write_atomically

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from simplenn.groups.outcome import Outcome

MOST_RAISING = 10  # runs of a stack that raise by themselves before any has trained, after which no more are tried
SECONDS_BETWEEN = 0.2  # of two reports
FOREIGN = ("distributed", "dask", "tornado", "bokeh")  # whose messages are none of a run's
OWN_FILES = ("train.log", ".lock")  # of a run's directory, which the command has its own of

_one_at_a_time = threading.Lock()


def versions() -> dict[str, str]:
    """What the numbers of a run depend on, in this process."""
    from omegaconf import DictConfig

    return {
        "Python": platform.python_version(),
        "torch": package_versions()["torch"],
        "the code of simplenn": code_of(DictConfig({}))["simplenn"],
    }


def warm_up() -> None:
    """Imports what a unit needs, which takes seconds."""
    import simplenn.stacking
    import simplenn.training  # noqa: F401


def ignore_signals() -> None:
    """For a worker of the command's own: a terminal's Ctrl-C is for the command, which ends its workers."""
    for name in ("SIGINT", "SIGHUP", "SIGTERM"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def train_unit(unit: Unit) -> Answer:
    """Trains what the unit says. An error of the runs' own is in the answer; others are raised."""
    from distributed import get_worker

    worker = get_worker()
    with _one_at_a_time:
        import torch
        from omegaconf import DictConfig

        tell = _teller(worker, unit)
        tell()
        _leave_batch_system()
        torch.set_num_threads(unit.threads or worker.state.nthreads)
        cfg = DictConfig(unit.cfg)
        try:
            _check(unit, cfg, worker.address)
        except ConfigError as error:
            return Answer(b"", "", worker.address, str(error))
        scratch = Path(worker.local_directory).parent / f"simplenn-{unit.token}" / str(unit.number)
        scratch.mkdir(parents=True, exist_ok=True)
        ending = Ending(unit.token, worker)
        with _logged() as messages:
            result = (
                _train_stack(unit, cfg, scratch, ending, tell)
                if unit.is_stack
                else _train_run(unit, cfg, scratch, ending)
            )
        result.log = messages
        return answer_of(unit, result, worker.address)


def _allowed_memory() -> float:
    """How many bytes more this worker may take, before Dask kills it."""
    from distributed import get_worker

    worker = get_worker()
    limit = worker.memory_manager.memory_limit
    return limit - worker.monitor.get_process_memory() if limit else math.inf


def _check(unit: Unit, cfg: "DictConfig", address: str) -> None:
    from simplenn.config import check_targets

    check_targets(cfg, unit.allow)
    refuse_difference(unit.expected, versions() | code_of(cfg), address)


def _train_stack(unit: Unit, cfg: "DictConfig", scratch: Path, ending: Ending, tell: Callable[..., None]) -> Result:
    """From what a worker before this one has kept in the scratch space, if there is anything."""
    from simplenn.cluster.outcomes import outcome_of, plain
    from simplenn.cluster.reporting import EndOnRequest, Reports
    from simplenn.groups.columns import num_runs_of
    from simplenn.signals import Interrupted
    from simplenn.stacking import default_max_stack, train_in_stacks

    num_runs = num_runs_of(unit.columns)
    kept = scratch / "kept"

    def keep(runs: range, outcome: "Outcome") -> None:
        if len(runs) == num_runs:
            write_atomically(kept, pack(plain(outcome)))

    start = kept.read_bytes() if kept.exists() else unit.start
    callbacks = [EndOnRequest(ending), Reports(num_runs, cfg.trainer.max_epochs, tell)]
    result, num_raising = Result(), 0
    try:
        ending.raise_if_ended()
        outcome = outcome_of(unpack(start)) if start else None
        most = default_max_stack(cfg, unit.columns, _allowed_memory())
        for runs, ended in train_in_stacks(cfg, unit.columns, most, callbacks, scratch, start=outcome, keep=keep):
            if ended is not None:
                result.outcomes.append((runs.start, runs.stop, plain(ended)))
                if ended.interruption is not None:
                    result.signal = ended.interruption.signal_name
            else:
                num_raising += 1
                if num_raising == MOST_RAISING and not result.outcomes:
                    break
    except Interrupted as error:
        result.signal = error.signal_name
    kept.unlink(missing_ok=True)
    return result


def _train_run(unit: Unit, cfg: "DictConfig", scratch: Path, ending: Ending) -> Result:
    """In a directory of the scratch space; where that has been begun by a worker before this one, from there."""
    from simplenn.cluster.reporting import EndOnRequest
    from simplenn.signals import Interrupted
    from simplenn.training import train

    assert unit.files is not None
    run, result = Run(scratch / unit.name), Result()
    if not run.directory.exists():
        beside = scratch / f"{unit.name}.{os.getpid()}"
        for name, content in unit.files.items():
            path = beside / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        beside.rename(run.directory)
    try:
        ending.raise_if_ended()
        train(cfg, run.directory, [EndOnRequest(ending)])
    except Interrupted as error:
        result.signal = error.signal_name
    result.files = files_of(run.directory)
    return result


def files_of(directory: Path) -> dict[str, bytes]:
    """A run's directory, but for its log and its lock."""
    paths = [path for path in directory.rglob("*") if path.is_file() and path.name not in OWN_FILES]
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in paths}


def _teller(worker: Any, unit: Unit) -> Callable[..., None]:
    """Tells the command how far the unit is, but not more often than anybody looks; its start in any case."""
    told = 0.0

    def tell(**how_far: Any) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told > SECONDS_BETWEEN or not how_far:
            told = now
            worker.log_event(unit.token, {"unit": unit.number, "how_far": how_far})

    return tell


def _leave_batch_system() -> None:
    """Lightning would take the batch system's variables for those of a run of several processes."""
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        del os.environ[name]


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Message] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] not in FOREIGN:
            self.messages.append(Message(record.name, record.levelno, self.format(record)))


@contextmanager
def _logged() -> Iterator[list[Message]]:
    """What is logged within."""
    root, handler = logging.getLogger(), _Kept()
    level = root.level
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    try:
        yield handler.messages
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
