"""A network that learns to add, and everything around it: runs, sweeps, their files.

From the ground up; each module or folder imports only from those before it (tests/test_rooms.py holds that):

errors, signals, rank               what ends a command, and which of a run's processes this one is
metric, network, data, regressor    what is learned
config                              the table of keys
setup                               network, loss and data built from a configuration
rundir                              a run on disk
groups, planning                    some runs of a sweep as data; a sweep's jobs before they are trained
training                            one run
stacking                            many runs at once
sweep                               many runs on disk
cluster                             a sweep's work done by Dask's workers
report                              what a sweep says to people
evaluation, command                 a run read back; what the scripts share
notebook, explanation               runs and sweeps in Python; a trained network as a person would explain it

The names in `NAMES` are for notebooks (docs/notebook.md): each is imported when it is first asked for. Nothing is
imported here: torch and Lightning cost seconds, and a refused configuration must answer at once.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simplenn.errors import ConfigError, TrainingFailed
    from simplenn.notebook.network import TrainedNetwork, load_run
    from simplenn.notebook.run import TrainedRun
    from simplenn.notebook.sweep import Sweep
    from simplenn.notebook.training import train

__all__ = ["ConfigError", "Sweep", "TrainedNetwork", "TrainedRun", "TrainingFailed", "load_run", "train"]

NAMES = {
    "Sweep": "simplenn.notebook.sweep",
    "TrainedNetwork": "simplenn.notebook.network",
    "load_run": "simplenn.notebook.network",
    "TrainedRun": "simplenn.notebook.run",
    "train": "simplenn.notebook.training",
    "ConfigError": "simplenn.errors",
    "TrainingFailed": "simplenn.errors",
}

# What torch's libraries read from the environment as they are first used. A user's own setting counts.
# MKL: by default some makes of CPU round a product alone otherwise than the same product within a batch.
os.environ.setdefault("MKL_CBWR", "COMPATIBLE")
# OpenMP: threads that spin while they wait make a stack's small operations many times slower beside other processes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def __getattr__(name: str) -> Any:
    if name not in NAMES:
        raise AttributeError(f"module 'simplenn' has no attribute {name!r}")
    return getattr(import_module(NAMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *NAMES})
