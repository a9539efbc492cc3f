"""The further processes of one run: those that Lightning starts, with several devices, and those that the user does."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Quote
from hydra.types import RunMode
from lightning.pytorch import Trainer
from omegaconf import DictConfig, read_write

from simplenn.planning import quoted_path
from simplenn.rank import PARENT

NO_LOG_FILE = "hydra/job_logging=stdout"


@contextmanager
def own_process_group(directory: Path) -> Iterator[None]:
    """Lets each run of a sweep start processes of its own, which train this one job and not the whole sweep.

    Lightning starts them with the arguments of this process, in the directory that Hydra has for a single run, so both
    are those of the job within. Afterwards it leaves its environment variables and its process group behind, with which
    the next job would hang, so both are taken back.
    """
    environment, arguments = dict(os.environ), sys.argv
    os.environ[PARENT] = str(os.getpid())
    if HydraConfig.initialized():
        sys.argv = [sys.argv[0], *HydraConfig.get().overrides.task, NO_LOG_FILE]
        job: Any = HydraConfig.get()
        with read_write(job):
            job.run.dir = quoted_path(directory, Quote.double)[1:-1]  # the quotes are Lightning's
    try:
        yield
    finally:
        sys.argv = arguments
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        os.environ.clear()
        os.environ.update(environment)


def started_processes(trainer: Trainer) -> list[subprocess.Popen[bytes]]:
    """Those that Lightning has started for this run and watches: its own list, which it doesn't document."""
    launcher: Any = trainer.strategy.launcher
    return [] if launcher is None else launcher.procs


def end_started_processes(trainer: Trainer) -> None:
    """They wait for this process, and would for ever."""
    watched = started_processes(trainer)
    started = list(watched)
    watched.clear()  # else Lightning, once it finds that they have ended, ends this process too
    for process in started:
        process.kill()
    for process in started:
        process.wait()


def is_lost_connection(error: BaseException) -> bool:
    """Whether it is what torch raises where another process of the run has ended."""
    return isinstance(error, torch.distributed.DistError) or (
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
