"""A launcher that hands jobs that differ in numbers alone on together, and runs the others one by one. Knows no model.

A task function may carry a batched counterpart as its attribute `batched` (set by the decorator `batched_by`). Without
one, jobs run one by one exactly as under Hydra's basic launcher.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, overload

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobRuntime, JobStatus, configure_log, filter_overrides, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from simplenn.groups import RunGroup
from simplenn.planning import Job, Plan, Planner

log = logging.getLogger(__name__)


class PreparedGroup(Protocol):
    """A group of runs as `Batched.prepare` hands it back: `reason` says why its jobs must run one by one, `None` where
    they need not."""

    group: RunGroup
    reason: str | None

    def train(self) -> dict[int, float]:
        """Runs the group's jobs; the return values by the jobs' numbers. Those without one must run one by one."""
        ...


class Batched(Protocol):
    """What trains many jobs at once."""

    def per_run(self, key: str, value: Any) -> bool:
        """Whether jobs that differ in this key alone can be handed on together."""
        ...

    def check(self, plan: Plan, sweep: DictConfig) -> Plan:
        """For a sweeper that plans the whole sweep before it writes anything: refuses it where a job is refused, else
        makes the sweep's directory, or goes on in the one that is there. The jobs that are still to be run."""
        ...

    def fail(self, num: int, message: str) -> None:
        """For a job that has ended without a word, as its process was killed: notes that it has failed, and why."""
        ...

    def train_elsewhere(self, launcher: Mapping[str, Any]) -> None:
        """Groups are to be trained by the workers of the cluster that these keys of a launcher's describe."""
        ...

    def distribute(
        self, prepared: Sequence[PreparedGroup], run_single: Callable[[int], JobReturn]
    ) -> tuple[dict[int, float], dict[int, JobReturn]]:
        """Has them trained; the values of the jobs that trained in stacks, and what `run_single` returned for the
        others, by the jobs' numbers. It is called twice for each of these: to send the job, and to end it."""
        ...

    def prepare(self, groups: Sequence[RunGroup], sweep: DictConfig) -> Sequence[PreparedGroup]:
        """The groups of one launch, each with what trains it. Refuses groups that have not been checked."""
        ...


@dataclass
class VectorizedLauncherConf:
    _target_: str = "hydra_plugins.vectorized.launcher.VectorizedLauncher"


ConfigStore.instance().store(
    group="hydra/launcher", name="vectorized", node=VectorizedLauncherConf, provider="simplenn"
)


class VectorizedLauncher(Launcher):
    """Our sweeper hands it groups (`launch_groups`); for any other it makes its own of each launch's jobs."""

    config: DictConfig
    hydra_context: HydraContext
    task_function: TaskFunction

    def __init__(self) -> None:
        self._planner: Planner | None = None  # keeps what it has composed for the next launch

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Job], initial_job_idx: int) -> Sequence[JobReturn]:
        batched: Batched | None = getattr(self.task_function, "batched", None)
        jobs = dict(enumerate(job_overrides, initial_job_idx))
        if batched is None:
            self._set_up()
            Path(self.config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
            log.info("Launching %d jobs locally", len(jobs))
            return [self._run_single(num, job) for num, job in jobs.items()]
        self._planner = self._planner or Planner(self.hydra_context.config_loader, self.config, batched.per_run)
        return self.launch_groups(self._planner.plan(list(jobs.values()), initial_job_idx), jobs)

    def launch_groups(self, groups: Sequence[RunGroup], jobs: Mapping[int, Job]) -> Sequence[JobReturn]:
        """Runs the jobs of these groups, by number."""
        batched: Batched = self.task_function.batched  # pyright: ignore[reportFunctionMemberAccess]
        self._set_up()
        prepared = batched.prepare(groups, self.config)
        for reason, count in _counts(prepared).items():
            log.info("%d of %d jobs run one by one: %s", count, len(jobs), reason)
        return Returns(jobs, *self._train(prepared, jobs))

    def _train(
        self, prepared: Sequence[PreparedGroup], jobs: Mapping[int, Job]
    ) -> tuple[dict[int, float], dict[int, JobReturn]]:
        """By the jobs' numbers, the values of those that trained in stacks, and the returns of the others."""
        stacked: dict[int, float] = {}
        singles: dict[int, JobReturn] = {}
        for group in prepared:
            values = group.train() if group.reason is None else {}
            stacked |= values
            singles |= {num: self._run_single(num, jobs[num]) for num in group.group.nums if num not in values}
        return stacked, singles

    def _set_up(self) -> None:
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)

    def _run_single(self, num: int, job: Job) -> JobReturn:
        """As Hydra's basic launcher runs a job."""
        log.info("\t#%d : %s", num, " ".join(filter_overrides(job)))
        return self._run_composed(self._composed(num, job))

    def _composed(self, num: int, job: Job) -> DictConfig:
        config = self.hydra_context.config_loader.load_sweep_config(self.config, list(job))
        with open_dict(config):
            config.hydra.job.id = num
            config.hydra.job.num = num
        return config

    def _run_composed(self, config: DictConfig) -> JobReturn:
        result = run_job(
            hydra_context=self.hydra_context,
            task_function=self.task_function,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        # the job has set up logging for itself
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        return result


class Returns(Sequence[JobReturn]):
    """What the jobs returned, in their order. That of a job that trained in a stack is made when it is asked for: those
    of a million jobs, whom nobody asks, would take 18 s and half a gigabyte."""

    def __init__(self, jobs: Mapping[int, Job], stacked: Mapping[int, float], singles: Mapping[int, JobReturn]) -> None:
        self._jobs, self._nums = jobs, list(jobs)
        self._stacked = stacked  # return values by the jobs' numbers
        self.singles = [singles[num] for num in jobs if num in singles]  # of the jobs that ran one by one
        self._single_by_num = singles

    def __len__(self) -> int:
        return len(self._nums)

    @overload
    def __getitem__(self, place: int) -> JobReturn: ...
    @overload
    def __getitem__(self, place: slice) -> list[JobReturn]: ...
    def __getitem__(self, place: int | slice) -> JobReturn | list[JobReturn]:
        if isinstance(place, slice):
            return [self._of(num) for num in self._nums[place]]
        return self._of(self._nums[place])

    def _of(self, num: int) -> JobReturn:
        if num in self._stacked:
            return _return_of_stacked(self._jobs[num], self._stacked[num])
        return self._single_by_num[num]


def _return_of_stacked(job: Job, value: float) -> JobReturn:
    """Without the job's configuration: composing it would cost more than its training did."""
    return JobReturn(
        overrides=filter_overrides(job),
        task_name=JobRuntime.instance().get("name"),
        status=JobStatus.COMPLETED,
        _return_value=value,
    )


def _counts(prepared: Sequence[PreparedGroup]) -> Counter[str]:
    """The number of jobs that run one by one, by reason."""
    counts: Counter[str] = Counter()
    for group in prepared:
        if group.reason is not None:
            counts[group.reason] += len(group.group)
    return counts
