"""The keys below `hydra.launcher` for Dask, held against their rules. Imports no Dask."""

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from typing import Any

from simplenn.errors import ConfigError

CLUSTERS = ("local", "slurm")
ADDRESS = re.compile(r"(\w+://)?[^\s:/]+:\d+")
LEAST_MEMORY = "1GiB"  # of a worker: torch and Lightning take half of it before they train
NEEDED = {"local": ("dask", "distributed"), "slurm": ("dask", "distributed", "dask_jobqueue")}


@dataclass(frozen=True)
class Settings:
    """`workers` processes of `threads` threads each: by the GPUs or the cores of this machine where they are `None`."""

    workers: int | None = None
    threads: int | None = None
    address: str | None = None  # of the scheduler of a cluster that is there already
    cluster: str = "local"  # otherwise the kind that is started
    options: dict[str, Any] = field(default_factory=dict)  # of dask-jobqueue's class for it
    memory_limit: str | None = None  # of each worker; none when `None`
    gpus: tuple[str, ...] = ()  # of this machine, for its workers in turn; no key of the launcher's (see `gpus`)

    @property
    def is_local(self) -> bool:
        """Whether the command starts workers on this machine."""
        return self.address is None and self.cluster == "local"

    @property
    def local_workers_and_threads(self) -> tuple[int, int]:
        """Of a cluster on this machine; together they take all cores, unless both are given. Each GPU has a worker."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        workers = self.workers or len(self.gpus)
        threads = self.threads or max(1, cores // workers if workers else 1)
        return workers or max(1, cores // threads), threads


def check_settings(values: Mapping[str, Any]) -> Settings:
    """The launcher's keys, of which others than `Settings` has are left out. Raises `ConfigError`."""
    settings = Settings(**{own.name: values[own.name] for own in fields(Settings) if own.name in values})
    for name in ("workers", "threads"):
        number = getattr(settings, name)
        if number is not None and number < 1:
            raise ConfigError(f"hydra.launcher.{name} must be a whole number of 1 or more, got {number}; "
                              "leave it out to take all cores")  # fmt: skip
    if settings.cluster not in CLUSTERS:
        raise ConfigError(f"hydra.launcher.cluster must be one of {', '.join(CLUSTERS)}, got {settings.cluster}; "
                          "another kind is started apart and given by hydra.launcher.address")  # fmt: skip
    if settings.address is not None:
        _check_address(settings)
    if settings.options and settings.cluster == "local":
        raise ConfigError(f"hydra.launcher.options are those of a batch system's cluster, got {settings.options}; "
                          "try hydra.launcher.cluster=slurm")  # fmt: skip
    for package in NEEDED[settings.cluster]:
        if find_spec(package) is None:
            raise ConfigError(f"hydra/launcher=dask needs the package {package}, got no such package; "
                              "try pip install -c constraints.txt -e '.[dask]'")  # fmt: skip
    if settings.cluster == "slurm" and shutil.which("sbatch") is None:
        raise ConfigError("hydra.launcher.cluster=slurm needs SLURM's sbatch, got none on the PATH; "
                          "give the command on a machine that submits jobs")  # fmt: skip
    if own := [name for name in settings.options if name.startswith("_")]:
        raise ConfigError(f"hydra.launcher.options must be plain, got {own[0]}; leave it out")
    _check_memory(settings)
    return settings


def _check_address(settings: Settings) -> None:
    address = settings.address or ""
    if not ADDRESS.fullmatch(address):
        raise ConfigError(f"hydra.launcher.address must be a scheduler's, with its port, got {address!r}; "
                          "try tcp://127.0.0.1:8786")  # fmt: skip
    given = {"workers": settings.workers, "memory_limit": settings.memory_limit, "options": settings.options}
    given |= {"cluster": None if settings.cluster == "local" else settings.cluster}
    for name, value in given.items():
        if value:
            raise ConfigError(f"hydra.launcher.{name} is that of a cluster to be started, got {value} for one that is "
                              "there already; leave it out, or hydra.launcher.address")  # fmt: skip


def _check_memory(settings: Settings) -> None:
    if settings.memory_limit is None:
        return
    from dask.utils import parse_bytes

    try:
        size = parse_bytes(settings.memory_limit)
    except ValueError:
        raise ConfigError(f"hydra.launcher.memory_limit must be a size, got {settings.memory_limit!r}; "
                          "try 4GiB") from None  # fmt: skip
    if size < parse_bytes(LEAST_MEMORY):
        raise ConfigError(f"hydra.launcher.memory_limit must be {LEAST_MEMORY} or more, got {settings.memory_limit!r}; "
                          "try 4GiB")  # fmt: skip
