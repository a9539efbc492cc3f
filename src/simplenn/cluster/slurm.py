"""Workers that SLURM starts: a cluster of dask-jobqueue's, each of whose jobs is a worker."""

import logging
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from typing import Any

from simplenn import signals
from simplenn.cluster.settings import Settings
from simplenn.errors import ConfigError

log = logging.getLogger(__name__)


def started(settings: Settings) -> tuple[Any, Any]:
    """The client and the cluster, once SLURM has started a first worker, however long that takes. Raises `ConfigError`
    where it doesn't take the job."""
    from distributed import Client

    signals.begin_work()  # jobs that are queued are there to be cancelled
    cluster, client = cluster_of(settings), None
    try:
        _refuse_job(cluster, settings)
        cluster.scale(settings.workers or 1)
        client = Client(cluster, set_as_default=False)
        log.info("waiting for SLURM to start a worker; squeue tells how long")
        while not client.scheduler_info(n_workers=-1)["workers"]:
            _refuse_unsubmitted(cluster)
            time.sleep(0.2)
    except BaseException:
        for end_of in (client, cluster):
            if end_of is not None:
                with suppress(Exception):
                    end_of.close(timeout=5)
        raise
    return client, cluster


def cluster_of(settings: Settings) -> Any:
    """One process a job, and besides, or otherwise, what the user says. Raises `ConfigError`."""
    own = {"cores": settings.threads or 1, "processes": 1, "memory": settings.memory_limit or "4GiB"}
    anywhere = {"scheduler_options": {"dashboard_address": ":0"}}  # else two commands would want one port
    options: dict[str, Any] = own | anywhere | settings.options
    try:
        return _cluster_class()(**options)
    except (TypeError, ValueError) as error:
        said = " ".join(str(error).split())
        raise ConfigError(f"hydra.launcher.options must be those of dask-jobqueue's SLURMCluster, got "
                          f"{settings.options}: {said:.160}; see its documentation") from error  # fmt: skip


def _cluster_class() -> Any:
    """dask-jobqueue's. As it is imported, it takes Ctrl-C for itself (0.9: in `dask_jobqueue.runner`)."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        from dask_jobqueue.slurm import SLURMCluster
    finally:
        if signal.getsignal(signal.SIGINT) is not handler:
            signal.signal(signal.SIGINT, handler)
    return SLURMCluster


def _refuse_job(cluster: Any, settings: Settings) -> None:
    """Asks sbatch about the job before any is submitted. Raises `ConfigError` with what it says."""
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
        file.write(cluster.job_script())
        file.flush()
        tried = subprocess.run(["sbatch", "--test-only", file.name], capture_output=True, text=True, check=False)
    if tried.returncode:
        said = " ".join(tried.stderr.split())
        raise ConfigError(f"hydra.launcher.options must be such as sbatch takes, got {settings.options}: {said:.300}; "
                          "see sinfo for queues, and sacctmgr for accounts")  # fmt: skip


def _refuse_unsubmitted(cluster: Any) -> None:
    """A job that wasn't submitted all the same stays as it was made."""
    if cluster.workers and all(job.status.name == "created" for job in cluster.workers.values()):
        cluster.workers.clear()  # else the cluster's end trips over them
        raise ConfigError("sbatch must take the workers' jobs, and took none; see squeue, there may be too many")
