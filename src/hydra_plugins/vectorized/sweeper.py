"""Hydra's grid sweeper, with intervals, with every job checked before the first one starts, and readable names.

Knows no model: the checks, and which jobs a sweep that exists lacks, are the business of the task function's batched
counterpart (`launcher.py`), where it has one.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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

from simplenn.planning import SUBDIR, Job, Plan, Planner, jobs_of, overrides_given, run_names, swept_keys

log = logging.getLogger(__name__)


@dataclass
class VectorizedSweeperConf:
    _target_: str = "hydra_plugins.vectorized.sweeper.VectorizedSweeper"
    points: int | None = None  # of each interval(low, high)
    max_batch_size: int | None = None
    params: dict[str, Any] | None = None


ConfigStore.instance().store(group="hydra/sweeper", name="vectorized", node=VectorizedSweeperConf, provider="simplenn")


class VectorizedSweeper(Sweeper):
    """Where the task function has a batched counterpart, nothing is written before every job has been checked."""

    claims_directory = True  # by the counterpart's check; other sweepers write at once, wherever they are told to

    def __init__(self, points: int | None, max_batch_size: int | None, params: dict[str, Any] | None = None) -> None:
        self._points = points
        self._max_batch_size = max_batch_size
        self._params = params or {}

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
        params = [f"{key}={value}" for key, value in self._params.items()]
        jobs: Sequence[Job] = jobs_of(parser.parse_overrides([*params, *arguments]), self._points, parser)
        returns = self._launch_all(jobs) if self._batched is None else self._launch_plan(self._plan(jobs))
        for job in chain.from_iterable(returns):
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
        is_ours = hasattr(self._launcher, "launch_groups")  # others run the jobs one by one
        returns = []
        for nums in _portions(list(plan.jobs), self._max_batch_size, consecutive=not is_ours):
            jobs = [plan.jobs[num] for num in nums]
            if is_ours:
                members = set(nums)
                groups = [part for group in plan.groups if (part := group.with_nums(members)) is not None]
                returns.append(self._launcher.launch_groups(groups, dict(zip(nums, jobs, strict=True))))
            else:
                returns.append(self._launcher.launch(jobs, initial_job_idx=nums[0]))
        return returns

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


def _portions(nums: Sequence[int], size: int | None, *, consecutive: bool) -> Iterator[Sequence[int]]:
    """The numbers in portions of at most `size`. A launcher of Hydra's numbers its jobs itself, so it needs portions of
    `consecutive` numbers: those of a sweep that goes on have gaps."""
    first = 0
    for place in range(1, len(nums) + 1):
        is_full = size is not None and place - first == size
        has_gap = consecutive and place < len(nums) and nums[place] != nums[place - 1] + 1
        if place == len(nums) or is_full or has_gap:
            yield nums[first:place]
            first = place
