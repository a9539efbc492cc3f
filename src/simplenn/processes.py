"""The further processes that Lightning starts for one run, with several devices."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Quote
from omegaconf import read_write

from simplenn.directory import quoted


@contextmanager
def own_process_group(directory: Path) -> Iterator[None]:
    """Lets each run of a sweep start processes of its own, and these train this one job, not the whole sweep.

    Lightning starts them with this process's arguments, in Hydra's directory for a single run, and leaves its
    variables and its process group behind.
    """
    environment, arguments = dict(os.environ), sys.argv
    if HydraConfig.initialized():
        sys.argv = [sys.argv[0], *HydraConfig.get().overrides.task, "hydra/job_logging=stdout"]
        job: Any = HydraConfig.get()
        with read_write(job):
            job.run.dir = quoted(directory, Quote.double)[1:-1]  # the quotes are Lightning's
    try:
        yield
    finally:
        sys.argv = arguments
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        os.environ.clear()
        os.environ.update(environment)
