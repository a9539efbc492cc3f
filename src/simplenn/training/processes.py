"""The further processes of one run: those that Lightning starts, with several devices, and those that the user does."""

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch import Trainer
from lightning.pytorch.strategies.launchers import subprocess_script
from omegaconf import DictConfig, OmegaConf, read_write

NO_LOG_FILE = "hydra/job_logging=stdout"


READY = "ready-"  # the start of a file's name, by which a started process says that it is about to join the others

WAITED_FOR = "SIMPLENN_STARTED_BY"  # the folder of the process that has started this one
_lost: list[str] = []  # how the first process that the run has lost ended
SECONDS_TO_NOTICE = 10  # in which a process finds out by itself that another has ended


class ProcessLost(RuntimeError):
    """Another process of the run has ended before its time."""


@contextmanager
def own_process_group(cfg: DictConfig, directory: Path, give_up: Callable[[ProcessLost], int]) -> Iterator[None]:
    """Lets a run start processes of its own, which train exactly this run: by `cfg`, checked and resolved.

    Lightning starts them with the arguments of this process, so these are made those of `child.py`. Afterwards it
    leaves its environment variables and its process group behind, with which the next job would hang, so both are taken
    back. Raises `ProcessLost` in place of what torch raises where another process has ended. Where this process can't
    learn of that, since it waits within torch, `give_up` is called after a while, and the process ends by what it
    returns.
    """
    environment, arguments = dict(os.environ), sys.argv
    _lost.clear()
    with tempfile.TemporaryDirectory(prefix="simplenn-") as folder:
        if (waiting := os.environ.get(WAITED_FOR)) is not None:  # this is such a process itself
            Path(waiting, READY + os.environ.get("LOCAL_RANK", "")).touch()
        if str(cfg.trainer.get("devices", 1)) != "1":
            file = Path(folder, "run.json")
            file.write_text(json.dumps(_described(cfg, directory)))
            sys.argv = [str(Path(__file__).with_name("child.py")), str(file)]
        os.environ[WAITED_FOR] = folder
        watch = _Watch(Path(folder), give_up)
        launching: Any = subprocess_script
        observed = launching._launch_process_observer
        launching._launch_process_observer = watch.start
        try:
            yield
        except Exception as error:
            if isinstance(error, ProcessLost) or not is_lost_connection(error):
                raise
            raise ProcessLost(_text(_lost[0] if _lost else "")) from error
        finally:
            watch.end()
            launching._launch_process_observer = observed
            sys.argv = arguments
            if torch.distributed.is_available() and torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()
            os.environ.clear()
            os.environ.update(environment)


def _described(cfg: DictConfig, directory: Path) -> dict[str, Any]:
    """What `child.py` is to know."""
    return {
        "parent": os.getpid(),
        "path": sys.path,
        "cwd": os.getcwd(),
        "directory": str(directory.absolute()),
        "config": OmegaConf.to_container(cfg, resolve=True),
        "hydra": _hydra_node(),
        "log_level": logging.getLogger().level,
    }


def _hydra_node() -> dict[str, Any] | None:
    """The part of Hydra's configuration that is a fact of this command: without what it would make or log by."""
    if not HydraConfig.initialized():
        return None
    job: Any = HydraConfig.get()
    return {
        "mode": job.mode and job.mode.name,
        "runtime": OmegaConf.to_container(job.runtime, resolve=True),
        "overrides": OmegaConf.to_container(job.overrides, resolve=False),
        "job": {name: job.job[name] for name in ("name", "id", "num") if not OmegaConf.is_missing(job.job, name)},
    }


class _Watch:
    """In place of Lightning's, which kills this process too, without a word, where one that it has started has ended.

    Before the processes meet, within torch, it waits for each to say that it is ready to: until then this process can
    be told of a signal, or of the end of another.
    """

    def __init__(self, folder: Path, give_up: Callable[[ProcessLost], int]) -> None:
        self._folder = folder
        self._give_up = give_up
        self._ended = threading.Event()

    def start(self, processes: list[subprocess.Popen[bytes]]) -> None:
        while len(list(self._folder.glob(f"{READY}*"))) < len(processes):
            if _note_lost(processes, (None,)):
                end_all(processes)
                raise ProcessLost(_text(_lost[0]))
            time.sleep(0.05)
        threading.Thread(target=self._run, args=[processes], daemon=True, name="watch-processes").start()

    def end(self) -> None:
        self._ended.set()

    def _run(self, processes: list[subprocess.Popen[bytes]]) -> None:
        while not _note_lost(processes):
            if self._ended.wait(0.2):
                return
        if not self._ended.wait(SECONDS_TO_NOTICE):
            status = self._give_up(ProcessLost(_text(_lost[0])))
            end_all(processes)
            os._exit(status)


def _note_lost(processes: Sequence[subprocess.Popen[bytes]], well: Sequence[int | None] = (None, 0)) -> bool:
    """Whether one has ended by a failure or a signal, that is otherwise than `well`; notes the first."""
    for rank, process in enumerate(list(processes), 1):
        if not _lost and process.poll() not in well:
            _lost.append(f"process {process.pid}, of local rank {rank}, ended {_how(process.returncode)}")
    return bool(_lost)


def _how(status: int) -> str:
    return f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"


def _text(which: str) -> str:
    return f"another process of the run has ended{which and ': '}{which}"


def started_processes(trainer: Trainer) -> list[subprocess.Popen[bytes]]:
    """Those that Lightning has started for this run and watches: its own list, which it doesn't document."""
    launcher: Any = trainer.strategy.launcher
    return [] if launcher is None else launcher.procs


def end_started_processes(trainer: Trainer, error: BaseException) -> None:
    """They wait for this process, and would for ever. Notes before which of them has ended by itself."""
    watched = started_processes(trainer)
    deadline = time.monotonic() + 2 * is_lost_connection(error)  # a connection ends a little before its process
    while not _note_lost(watched) and time.monotonic() < deadline:
        time.sleep(0.02)
    end_all(watched)


def end_all(watched: list[subprocess.Popen[bytes]]) -> None:
    """Kills the processes and waits for their end; the list is empty then, so that no watch finds them."""
    started = list(watched)
    watched.clear()
    for process in started:
        process.kill()
    for process in started:
        process.wait()


def is_lost_connection(error: BaseException) -> bool:
    """Whether it is what torch raises where another process of the run has ended."""
    return isinstance(error, ProcessLost | torch.distributed.DistError) or (
        isinstance(error, RuntimeError) and "gloo/transport" in str(error)
    )


def let_hydra_write_nothing(config: DictConfig, config_name: str) -> None:
    """For a process beside the main one: as for those that Lightning starts, no `.hydra` and no log file."""
    loader = GlobalHydra.instance().config_loader()
    overrides = [*config.hydra.overrides.task, NO_LOG_FILE]
    composed = loader.load_configuration(config_name, overrides, run_mode=RunMode.RUN)
    with read_write(config):
        config.hydra.output_subdir = None
        config.hydra.job_logging = composed.hydra.job_logging
