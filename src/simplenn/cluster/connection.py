"""The workers of a command: a cluster of its own, on this machine or by a batch system, or one that is there."""

import logging
import multiprocessing
import os
import signal
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

from simplenn.cluster import working
from simplenn.cluster.ending import end
from simplenn.cluster.gpus import VISIBLE
from simplenn.cluster.scratch import Scratch
from simplenn.cluster.settings import Settings
from simplenn.cluster.unit import refuse_difference
from simplenn.errors import ConfigError

log = logging.getLogger(__name__)

SECONDS_TO_ANSWER = 5  # for a scheduler
SECONDS_FOR_OWN = 60  # for a first worker of the command's own to come up
SECONDS_FOR_FOREIGN = 10  # for one of a scheduler that is there already
FORKED, PRELOADED = "forkserver", "simplenn.cluster.preloaded"
# Dask's defaults are for many small tasks. A killed worker is for us to answer (see `dispatch`).
CONFIGURATION = {
    "distributed.scheduler.allowed-failures": 0,
    "distributed.nanny.pre-spawn-environ": {},  # numbers of threads, and an allocator slow for large temporaries
    "distributed.worker.daemon": False,  # else a unit may start no processes
    "distributed.admin.large-graph-warning-threshold": "1TiB",
    # A worker near its limit would be paused, and its units wait for ever. Beyond it, it is killed.
    **{f"distributed.worker.memory.{step}": False for step in ("target", "spill", "pause")},
}


class Connection:
    """Dask's `client`, and the cluster where it is the command's own; `token` names what is this command's."""

    def __init__(self, client: Any, cluster: Any = None, scratch: Scratch | None = None) -> None:
        self.client = client
        self.token = f"simplenn-{uuid.uuid4().hex[:12]}"
        self.numbers = count(1)  # of the units, each of which has one of its own: Dask knows them by these
        self._cluster = cluster
        self._scratch = scratch

    @property
    def addresses(self) -> list[str]:
        """Of the workers that are there by now."""
        return list(self.client.scheduler_info(n_workers=-1)["workers"])

    @property
    def address(self) -> str:
        return self.client.scheduler.address

    @property
    def dashboard(self) -> str | None:
        """Its address, where there is one: without bokeh, Dask's page would only ask for it."""
        found = self.client.get_versions(packages=["bokeh"])["scheduler"]["packages"]
        return self.client.dashboard_link if found.get("bokeh") else None

    def refuse_differences(self, expected: Mapping[str, str]) -> None:
        """Raises `ConfigError`, which names the worker, where one would train with something else than the command."""
        for address, found in self.client.run(working.versions, on_error="return").items():
            if isinstance(found, Exception):
                raise ConfigError(f"the worker {address} must have simplenn as the command has it, got "
                                  f"{type(found).__name__}: {found}; install it there, and start it again")  # fmt: skip
            refuse_difference(dict(expected), found, address)

    def warm_up(self) -> None:
        """Lets the workers import what takes seconds, while the command goes on."""
        self._warming = [
            self.client.submit(working.warm_up, workers=[address], key=f"{self.token}-warm-up-{place}", pure=False)
            for place, address in enumerate(self.addresses)
        ]

    def end_units(self, signum: int) -> None:
        """Lets the workers end what they have of this command, in order."""
        with suppress(Exception):  # of a scheduler or a worker that is gone
            self.client.run(end, self.token, signum, on_error="ignore")

    def close(self) -> None:
        """Ends the workers that are the command's own, at once: what they had is recorded, or lost."""
        if self._cluster is not None and hasattr(self._cluster, "workers"):
            _kill(self._cluster)
        for end_of in (self.client, self._cluster):
            if end_of is not None:
                with suppress(Exception):
                    end_of.close(timeout=2)
        if self._scratch is not None:
            self._scratch.remove()


def connect(settings: Settings) -> Connection:
    """Raises `ConfigError` where there is no such cluster, or none of its workers comes up."""
    _set_up_dask()
    if settings.address is not None:
        return _to_scheduler(settings.address)
    if settings.is_local:
        return _local(settings)
    from simplenn.cluster.slurm import started

    client, cluster = started(settings)
    return Connection(client, cluster)


def _to_scheduler(address: str) -> Connection:
    from distributed import Client

    try:
        client = Client(address, timeout=SECONDS_TO_ANSWER, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigError(f"hydra.launcher.address must be that of a scheduler that answers, got {address}, which "
                          "doesn't; start one by: dask scheduler") from error  # fmt: skip
    connection = Connection(client)
    return _with_workers(connection, SECONDS_FOR_FOREIGN, f"dask worker {address} --nthreads 1")


def _local(settings: Settings) -> Connection:
    from distributed import Client, LocalCluster

    _fork_workers()
    workers, _ = settings.local_workers_and_threads
    scratch = Scratch()
    cluster = LocalCluster(
        n_workers=workers,
        threads_per_worker=1,  # units at a time; of torch's threads, each unit sets its own number
        memory_limit=settings.memory_limit or 0,  # by its own guess it would pause workers, and kill them
        local_directory=scratch.path,
        dashboard_address=":0",
        silence_logs=logging.CRITICAL,
    )
    connection = Connection(Client(cluster, set_as_default=False), cluster, scratch)
    _with_workers(connection, SECONDS_FOR_OWN, "hydra.launcher.workers=1")
    connection.client.register_plugin(_own_worker(settings.gpus))
    return connection


def _fork_workers() -> None:
    """Lets the workers be forked from a process that has imported what takes seconds: so it is imported once, and a
    lost worker's successor is there at once."""
    from dask import config
    from distributed.utils import get_mp_context

    if FORKED in multiprocessing.get_all_start_methods():
        config.set({"distributed.worker.multiprocessing-method": FORKED})
        get_mp_context().set_forkserver_preload([PRELOADED])


def _with_workers(connection: Connection, seconds: float, fix: str) -> Connection:
    try:
        connection.client.wait_for_workers(1, timeout=seconds)
    except TimeoutError:
        address = connection.address
        connection.close()
        raise ConfigError(f"the cluster at {address} must have workers, got none within {seconds:.0f} s; "
                          f"try {fix}") from None  # fmt: skip
    return connection


def _own_worker(gpus: Sequence[str]) -> Any:
    """What Dask does in each worker as it comes up, also in those that take a lost one's place, by its name."""
    from distributed import WorkerPlugin

    class Own(WorkerPlugin):
        def setup(self, worker: Any) -> None:
            working.ignore_signals()
            if gpus:
                os.environ[VISIBLE] = gpus[int(worker.name) % len(gpus)]

    return Own()


def _kill(cluster: Any) -> None:
    for nanny in cluster.workers.values():
        nanny.auto_restart = False
        if getattr(nanny, "pid", None):
            with suppress(OSError):
                os.kill(nanny.pid, signal.SIGKILL)


def _set_up_dask() -> None:
    """What Dask logs on its way is none of a sweep's lines; how it ends, we say."""
    from dask import config

    config.set(CONFIGURATION)
    import distributed  # noqa: F401

    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("distributed", "tornado", "dask_jobqueue"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
