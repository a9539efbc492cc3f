"""The launcher whose groups are trained by Dask's workers: all cores of this machine, a cluster, a batch system.

It plans and runs jobs as its base does. Knows nothing of Dask: that is the business of the task function's batched
counterpart; without one, jobs run one by one in this process.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, filter_overrides
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.vectorized.launcher import Batched, PreparedGroup, VectorizedLauncher
from simplenn.planning import Job

log = logging.getLogger(__name__)


@dataclass
class DaskLauncherConf:
    _target_: str = "hydra_plugins.vectorized.dask_launcher.DaskLauncher"
    _recursive_: bool = False  # nothing below is made into an object
    workers: int | None = None  # processes: as many as there are cores
    threads: int | None = None  # of each of them
    address: str | None = None  # of the scheduler of a cluster that is there already
    cluster: str = "local"  # or slurm
    options: dict[str, Any] = field(default_factory=dict)  # of dask-jobqueue's cluster
    memory_limit: str | None = None  # of each worker


def _with_open_options() -> DictConfig:
    """The keys as above, of which `options` takes any, without Hydra's sign for new ones."""
    keys = OmegaConf.structured(DaskLauncherConf)
    OmegaConf.set_struct(keys.options, False)
    return keys


ConfigStore.instance().store(group="hydra/launcher", name="dask", node=_with_open_options(), provider="simplenn")


class DaskLauncher(VectorizedLauncher):
    def __init__(self, **keys: Any) -> None:
        super().__init__()
        plain: Any = OmegaConf.to_container(OmegaConf.create(keys), resolve=True)
        self._keys: dict[str, Any] = plain
        self._sent: dict[int, DictConfig] = {}  # composed configurations of jobs that are being trained, by number

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        batched: Batched | None = getattr(task_function, "batched", None)
        if batched is not None:
            batched.train_elsewhere(self._keys)

    def _train(
        self, prepared: Sequence[PreparedGroup], jobs: Mapping[int, Job]
    ) -> tuple[dict[int, float], dict[int, JobReturn]]:
        batched: Batched = self.task_function.batched  # pyright: ignore[reportFunctionMemberAccess]
        return batched.distribute(prepared, lambda num: self._send_or_end(num, jobs[num]))

    def _send_or_end(self, num: int, job: Job) -> JobReturn:
        if num not in self._sent:
            self._sent[num] = self._composed(num, job)
            return self._run_composed(self._sent[num])
        log.info("\t#%d : %s", num, " ".join(filter_overrides(job)))
        return self._run_composed(self._sent.pop(num))
