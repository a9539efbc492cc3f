"""Hydra's grid sweeper, with intervals, with every job checked before the first one starts, and readable names.

Knows no model: the checks, and which jobs a sweep that exists lacks, are the business of the task function's batched
counterpart (`launcher.py`), where it has one.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.vectorized.lost_workers import WorkerLost, launch_with_retry
from simplenn.planning import (
    SUBDIR,
    Job,
    Plan,
    Planner,
    jobs_of,
    overrides_given,
    overrides_of,
    run_names,
    swept_keys,
)

log = logging.getLogger(__name__)


@dataclass
class VectorizedSweeperConf:
    _target_: str = "hydra_plugins.vectorized.sweeper.VectorizedSweeper"
    points: int | None = None  # of each interval(low, high)
    max_batch_size: int | None = None
    params: dict[str, Any] | None = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/sweeper", name="vectorized", node=VectorizedSweeperConf, provider="simplenn")


class VectorizedSweeper(Sweeper):
    """Where the task function has a batched counterpart, nothing is written before every job has been checked."""

    claims_directory = True  # by the counterpart's check; other sweepers write at once, wherever they are told to

    def __init__(self, points: int | None, max_batch_size: int | None, params: dict[str, Any] | None = None) -> None:
        self._points = points
        self._max_batch_size = max_batch_size
        self._params = overrides_of(params or {})

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.config = hydra_context, config  # for `validate_batch_is_legal`
        self._config, self._loader = config, hydra_context.config_loader
        self._batched: Any = getattr(task_function, "batched", None)
        self._launcher: Any = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        """Runs the grid of `hydra.sweeper.params` and the command's arguments, of which the latter count."""
        if self._max_batch_size is not None and self._max_batch_size < 1:
            raise HydraException(
                f"hydra.sweeper.max_batch_size must be a whole number of 1 or more, got {self._max_batch_size}; "
                "leave it out to launch all jobs at once"
            )
        parser = OverridesParser.create(self._loader)
        jobs: Sequence[Job] = jobs_of(parser.parse_overrides([*self._params, *arguments]), self._points)
        returns = self._launch_all(jobs) if self._batched is None else self._launch_plan(self._plan(jobs))
        # of the jobs of a stack none has raised
        for job in chain.from_iterable(getattr(batch, "singles", batch) for batch in returns):
            if isinstance(job._return_value, WorkerLost):
                continue  # it has been told of, and counts as failed
            _ = job.return_value  # raises what the job raised
        return returns

    def _launch_all(self, jobs: Sequence[Job]) -> list[Sequence[JobReturn]]:
        """As under Hydra's own sweeper."""
        self.validate_batch_is_legal(jobs)
        sweep_dir = Path(self._config.hydra.sweep.dir)
        sweep_dir.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self._config, sweep_dir / "multirun.yaml")
        size = self._max_batch_size or len(jobs)
        return [
            self._launcher.launch(jobs[first : first + size], initial_job_idx=first)
            for first in range(0, len(jobs), size)
        ]

    def _launch_plan(self, plan: Plan) -> list[Sequence[JobReturn]]:
        nums, size = list(plan.jobs), self._max_batch_size or max(1, len(plan.jobs))
        return [self._launch(plan, nums[first : first + size]) for first in range(0, len(nums), size)]

    def _launch(self, plan: Plan, nums: Sequence[int]) -> Sequence[JobReturn]:
        """The jobs of these numbers, which have gaps in a sweep that goes on."""
        jobs = {num: plan.jobs[num] for num in nums}
        groups = [part for group in plan.groups if (part := group.with_nums(jobs)) is not None]
        if hasattr(self._launcher, "launch_groups"):  # ours, which has no process that it could lose
            return self._launcher.launch_groups(groups, jobs)
        sweep = Path(self._config.hydra.sweep.dir)
        places = {
            num: sweep / subdir for group in groups for num, subdir in zip(group.nums, group.subdirs, strict=True)
        }
        return launch_with_retry(
            self._launcher.launch, list(jobs.values()), nums, places.__getitem__, self._batched.fail
        )

    def _plan(self, jobs: Sequence[Job]) -> Plan:
        """The jobs that are to be trained, each once and with a directory. They have been checked, and the sweep's
        directory is there."""
        planner = Planner(self._loader, self._config, self._batched.per_run)
        distinct = planner.distinct(jobs)
        if len(distinct) < len(jobs):
            log.info("%d of the %d points are equal to another and run once", len(jobs) - len(distinct), len(jobs))
        named = self._named(distinct)
        return self._batched.check(Plan(planner.plan(named), dict(enumerate(named))), self._config)

    def _named(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """The jobs with a directory that says what was swept, unless the user has set one."""
        swept = swept_keys(jobs)
        if not swept or any(override.startswith(SUBDIR) for override in overrides_given(self._config)):
            return jobs
        return [[*job, f"{SUBDIR}'runs/{name}'"] for job, name in zip(jobs, run_names(jobs, swept), strict=True)]
