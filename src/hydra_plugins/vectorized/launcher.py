"""Hydra's basic launcher, with jobs that differ in numbers alone handed on together. Knows no model.

A task function may carry a batched counterpart as its attribute `batched` (set by the decorator `batched_by`). Without
one, jobs run one by one exactly as under Hydra's basic launcher.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobRuntime, JobStatus, configure_log, filter_overrides, run_job, setup_globals
from omegaconf import DictConfig, open_dict

from simplenn.planning.planner import JobGroup, Planner
from simplenn.planning.words import Job

log = logging.getLogger(__name__)


class Batched(Protocol):
    """What trains many jobs at once."""

    def per_run(self, key: str, value: Any) -> bool:
        """Whether jobs that differ in this key alone can be handed on together."""
        ...

    def check(self, groups: Sequence[JobGroup], sweep: DictConfig) -> None:
        """Refuses a sweep before any of its jobs starts; groups that it has seen already cost nothing."""
        ...

    def why_not(self, group: JobGroup) -> str | None:
        """Why the jobs of a group must run one by one; `None` where they need not."""
        ...

    def train(self, group: JobGroup) -> list[float]:
        """Runs a group's jobs; the return values of the first of them, in order. The others must run one by one."""
        ...


@dataclass
class VectorizedLauncherConf:
    _target_: str = "hydra_plugins.vectorized.launcher.VectorizedLauncher"


ConfigStore.instance().store(
    group="hydra/launcher", name="vectorized", node=VectorizedLauncherConf, provider="simplenn"
)


class VectorizedLauncher(BasicLauncher):
    """`planner` is that of the whole sweep; a sweeper that plans sets its own."""

    def __init__(self) -> None:
        super().__init__()
        self.planner: Planner | None = None

    def launch(self, job_overrides: Sequence[Job], initial_job_idx: int) -> Sequence[JobReturn]:
        batched: Batched | None = getattr(self.task_function, "batched", None)
        if batched is None:
            return super().launch(job_overrides, initial_job_idx)
        assert self.config is not None
        assert self.hydra_context is not None
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        if self.planner is None:
            self.planner = Planner(self.hydra_context.config_loader, self.config, batched.per_run)
        groups = self.planner.plan(job_overrides, initial_job_idx)
        batched.check(groups, self.config)
        reasons = [batched.why_not(group) for group in groups]
        for reason, count in _counts(groups, reasons).items():
            log.info("%d of %d jobs run one by one: %s", count, len(job_overrides), reason)
        returns: dict[int, JobReturn] = {}
        for group, reason in zip(groups, reasons, strict=True):
            if reason is None:
                returns |= self._together(group, batched.train)
            else:
                returns |= {num: self._alone(num, job) for num, job in zip(group.nums, group.jobs, strict=True)}
        return [returns[num] for num in range(initial_job_idx, initial_job_idx + len(job_overrides))]

    def _together(self, group: JobGroup, train: Callable[[JobGroup], list[float]]) -> dict[int, JobReturn]:
        """The returns by job number; without the job's configuration, which would cost more than its training."""
        values = train(group)
        returns = {
            num: JobReturn(
                overrides=filter_overrides(job),
                task_name=JobRuntime.instance().get("name"),
                status=JobStatus.COMPLETED,
                _return_value=value,
            )
            for num, job, value in zip(group.nums, group.jobs, values, strict=False)
        }
        rest = list(zip(group.nums, group.jobs, strict=True))[len(values) :]
        return returns | {num: self._alone(num, job) for num, job in rest}

    def _alone(self, num: int, job: Job) -> JobReturn:
        """As Hydra's basic launcher runs a job."""
        assert self.config is not None
        assert self.hydra_context is not None
        assert self.task_function is not None
        log.info("\t#%d : %s", num, " ".join(filter_overrides(job)))
        config = self.hydra_context.config_loader.load_sweep_config(self.config, list(job))
        with open_dict(config):
            config.hydra.job.id = num
            config.hydra.job.num = num
        result = run_job(
            hydra_context=self.hydra_context,
            task_function=self.task_function,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        return result


def _counts(groups: Sequence[JobGroup], reasons: Sequence[str | None]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for group, reason in zip(groups, reasons, strict=True):
        if reason is not None:
            counts[reason] += len(group.nums)
    return counts
