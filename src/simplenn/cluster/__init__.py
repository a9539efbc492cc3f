"""Work of a sweep done in other processes, by Dask's workers: what is sent, what comes back, who does it. Must not know
Hydra, nor a sweep's files: the command alone writes there. Dask is imported in functions: it is an extra.

`Settings` are the launcher's keys; `open_cluster` in `connection` gives workers, `Dispatcher` in `dispatch` has them do
units of work, and `working` is what runs in a worker.

May import: errors, signals, config, rundir, groups, training, stacking.
"""

from simplenn.cluster.gpus import gpus_for
from simplenn.cluster.settings import Settings, check_settings

__all__ = [
    "Settings",
    "check_settings",
    "gpus_for",
]
