"""Hydra's grid sweeper, with intervals, with every job checked before the first one starts, and readable names.

Knows no model: the checks are those of the task function's batched counterpart (`launcher.py`), where it has one.
"""

import logging
from collections.abc import Sequence
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

from hydra_plugins.vectorized.lost_workers import WorkerLost, launch_with_retry
from simplenn.planning import SUBDIR, Job, Planner, jobs_of, overrides_given, run_names, swept_keys

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
        self._directories: dict[int, Path] = {}  # of each job that has been planned

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
        if self._batched is None:
            self.validate_batch_is_legal(jobs)
        else:
            jobs = self._plan(jobs)
        sweep_dir = Path(self._config.hydra.sweep.dir)
        sweep_dir.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self._config, sweep_dir / "multirun.yaml")
        size = self._max_batch_size or len(jobs)
        returns = []
        for first in range(0, len(jobs), size):
            returns.append(self._launch(jobs[first : first + size], first))
        for job in chain.from_iterable(returns):
            if isinstance(job._return_value, WorkerLost):
                continue  # it has been told of, and counts as failed
            _ = job.return_value  # raises what the job raised
        return returns

    def _launch(self, jobs: Sequence[Job], first: int) -> Sequence[JobReturn]:
        if self._batched is None or hasattr(self._launcher, "plan"):  # ours has no process that it could lose
            return self._launcher.launch(jobs, initial_job_idx=first)
        nums = range(first, first + len(jobs))
        return launch_with_retry(self._launcher.launch, jobs, nums, self._directories.__getitem__, self._batched.fail)

    def _plan(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """The jobs, each once and with a directory; they have been checked, and the sweep's directory is made."""
        planner = Planner(self._loader, self._config, self._batched.per_run)
        distinct = planner.distinct(jobs)
        if len(distinct) < len(jobs):
            log.info("%d of the %d points are equal to another and run once", len(jobs) - len(distinct), len(jobs))
        named = self._named(distinct)
        plan = planner.plan(named)
        self._batched.check(plan, self._config)
        sweep_dir = Path(self._config.hydra.sweep.dir)
        for group in plan:
            self._directories |= {n: sweep_dir / subdir for n, subdir in zip(group.nums, group.subdirs, strict=True)}
        if hasattr(self._launcher, "plan"):  # ours; others run the jobs one by one
            self._launcher.plan = plan
        return named

    def _named(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """The jobs with a directory that says what was swept, unless the user has set one."""
        swept = swept_keys(jobs)
        if not swept or any(override.startswith(SUBDIR) for override in overrides_given(self._config)):
            return jobs
        return [[*job, f"{SUBDIR}'runs/{name}'"] for job, name in zip(jobs, run_names(jobs, swept), strict=True)]
