"""Hydra's grid sweeper, with every job checked before the first one starts and a readable name for each.

Knows no model: the checks are the task function's own, its attribute `check_sweep`, where it has one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

LONGEST_NAME = 200


@dataclass
class VectorizedSweeperConf:
    _target_: str = "hydra_plugins.vectorized.sweeper.VectorizedSweeper"
    max_batch_size: int | None = None
    params: dict[str, str] | None = None


ConfigStore.instance().store(group="hydra/sweeper", name="vectorized", node=VectorizedSweeperConf, provider="simplenn")


class VectorizedSweeper(BasicSweeper):
    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self._check_sweep: Callable[..., None] | None = getattr(task_function, "check_sweep", None)
        self._finish_sweep: Callable[..., None] | None = getattr(task_function, "finish_sweep", None)

    def sweep(self, arguments: list[str]) -> Any:
        assert self.config is not None
        assert self.hydra_context is not None
        if self._check_sweep is None:
            return super().sweep(arguments)
        loader = self.hydra_context.config_loader
        given = [f"{key}={value}" for key, value in self.params.items()] + list(arguments)
        overrides = OverridesParser.create(loader).parse_overrides(given)
        jobs = [job for batch in self.split_arguments(overrides, None) for job in batch]
        self._check_sweep([loader.load_sweep_config(self.config, job) for job in jobs], self.config)
        try:
            returns = super().sweep(arguments)
        except Exception:  # a failed job's, once all have ended; a signal's passes by
            self._finish()
            raise
        self._finish()
        return returns

    def _finish(self) -> None:
        if self._finish_sweep is not None:
            self._finish_sweep(self.config)

    def get_job_batch(self) -> Sequence[Sequence[str]]:
        """The jobs with a directory name that says what was swept."""
        swept = _swept_keys([job for batch in self.overrides or [] for job in batch])
        return [
            [*job, f"hydra.sweep.subdir='runs/{run_name([word for word in job if _key(word) in swept])}'"]
            if swept and self._check_sweep
            else job
            for job in super().get_job_batch()
        ]


def run_name(swept: Sequence[str]) -> str:
    """`optimizer=adam,optimizer.lr=0.01`, made safe for a file name; a long one ends in a hash of the whole."""
    name = ",".join(swept)
    safe = "".join(c if (c.isalnum() and c.isascii()) or c in "._=,+-" else "_" for c in name)
    if safe == name and len(name) <= LONGEST_NAME:
        return name
    return f"{safe[:LONGEST_NAME]}-{sha256(name.encode()).hexdigest()[:8]}"


def _swept_keys(jobs: Sequence[Sequence[str]]) -> set[str]:
    values: dict[str, set[str]] = {}
    for job in jobs:
        for word in job:
            values.setdefault(_key(word), set()).add(word)
    return {key for key, words in values.items() if len(words) > 1}


def _key(word: str) -> str:
    return word.partition("=")[0]
