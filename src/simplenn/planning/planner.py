"""Which jobs of a sweep are composed alike but for numbers that each carries itself. Knows no model.

Composing a job costs tens of milliseconds, so each structure is composed once, and the numbers stand in columns
beside it. A key that something else in the configuration interpolates belongs to the structure.
"""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from simplenn.planning.places import SUBDIR, places
from simplenn.planning.words import Job, key_of

SAMPLE = 3  # jobs of a plan that are composed in full and compared
WHOLE = re.compile(r"[+-]?(0|[1-9][0-9]*)")
DECIMAL = re.compile(r"[+-]?[0-9]+\.[0-9]+(e[+-]?[0-9]+)?")


@dataclass
class JobGroup:
    """Jobs whose configurations differ in `columns` alone: the values by full key, in the order of `nums`."""

    config: DictConfig
    nums: list[int]
    jobs: list[Job]
    columns: dict[str, list[Any]]
    subdirs: list[str] = field(default_factory=list)

    def subdir(self, index: int) -> str:
        """Where the job's directory is within the sweep's."""
        return self.subdirs[index]


class Planner:
    """Groups the jobs of one sweep. `per_run` tells by key and value whether a job can carry a number itself."""

    def __init__(self, loader: ConfigLoader, sweep: DictConfig, per_run: Callable[[str, Any], bool]) -> None:
        self._loader = loader
        self._parser = OverridesParser.create(loader)
        self.sweep = sweep
        self._per_run = per_run
        self._numbers: dict[str, tuple[str, Any] | None] = {}
        self._composed: dict[tuple[str, ...], tuple[DictConfig, list[str]]] = {}
        self._planned: tuple[int, list[Job], list[JobGroup]] | None = None

    def compose(self, job: Job) -> DictConfig:
        return self._loader.load_sweep_config(self.sweep, list(job))

    def plan(self, jobs: Sequence[Job], first: int = 0) -> list[JobGroup]:
        """The same groups again for the same jobs of the same numbers. Raises what composing a job raises."""
        if self._planned is None or self._planned[:2] != (first, list(jobs)):
            groups = self._as_hydra_means(self._grouped(jobs, first))
            for group in groups:
                group.subdirs = places(group.config, group.nums, group.jobs, group.columns)
            self._planned = first, list(jobs), groups
        return self._planned[2]

    def _grouped(self, jobs: Sequence[Job], first: int) -> list[JobGroup]:
        groups: dict[tuple[Any, ...], JobGroup] = {}
        for num, job in enumerate(jobs, first):
            structure = tuple(
                word.partition("=")[0] if self.number(word) else word for word in job if not word.startswith(SUBDIR)
            )
            values = dict(number for word in job if (number := self.number(word)))
            if structure not in self._composed:
                config = self.compose(job)
                self._composed[structure] = config, _linked(config, values)
            config, linked = self._composed[structure]
            fixed = tuple(str(values.pop(key)) for key in linked)
            if (structure, fixed) not in groups:
                config = self.compose(job) if fixed else config
                groups[structure, fixed] = JobGroup(config, [], [], {key: [] for key in values})
            group = groups[structure, fixed]
            group.nums.append(num)
            group.jobs.append(job)
            for key, value in values.items():
                group.columns[key].append(value)
        return list(groups.values())

    def number(self, word: str) -> tuple[str, Any] | None:
        """Key and value of an override that sets a number of the job's own; `None` for any other."""
        if word not in self._numbers:
            key, text = key_of(word), word.partition("=")[2]
            numeric = key.replace(".", "").replace("_", "").isalnum() and text[:1] in "+-.[0123456789" and text
            value = self._value(word, text) if numeric and not word.startswith("~") else None
            self._numbers[word] = (key, value) if value is not None and self._per_run(key, value) else None
        return self._numbers[word]

    def _value(self, word: str, text: str) -> Any:
        # plain numerals mean in Hydra's grammar what they mean in Python; the grammar itself takes 0.3 ms a word
        if WHOLE.fullmatch(text):
            return int(text)
        if DECIMAL.fullmatch(text):
            return float(text)
        return self._parser.parse_override(word).value()

    def _as_hydra_means(self, groups: list[JobGroup]) -> list[JobGroup]:
        """The groups, if a sample of jobs composed in full agrees with them; else every job by itself."""
        every = [(group, index) for group in groups if group.columns for index in range(1, len(group.nums))]
        for group, index in random.Random(0).sample(every, min(SAMPLE, len(every))):
            full = _values(self.compose(group.jobs[index]))
            short = _values(group.config)
            for key, column in group.columns.items():
                *path, leaf = key.split(".")
                node = short
                for part in path:
                    node = node[part]
                node[leaf] = column[index]
            if full != short:
                return [
                    JobGroup(self.compose(job), [num], [job], {})
                    for group in groups
                    for num, job in zip(group.nums, group.jobs, strict=True)
                ]
        return groups


def _linked(config: DictConfig, values: Mapping[str, Any]) -> list[str]:
    """The keys of a job's numbers that something in its configuration, but the job's place, refers to; and of those
    that are not what the configuration has, as another word set it after all.
    """
    raw: Any = OmegaConf.to_container(config, resolve=False)
    del raw["hydra"]["sweep"]["subdir"], raw["hydra"]["overrides"]
    referring = " ".join(_interpolations(raw))
    return [
        key
        for key, value in values.items()
        if any(re.search(rf"\b{part}\b", referring) for part in key.split("."))
        or OmegaConf.select(config, key) != value
    ]


def _values(config: DictConfig) -> dict[str, Any]:
    values: Any = OmegaConf.to_container(config, resolve=False)
    return {key: value for key, value in values.items() if key != "hydra"}


def _interpolations(node: Any) -> list[str]:
    children = node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ()
    own = [node] if isinstance(node, str) and "${" in node else []
    return own + [text for child in children for text in _interpolations(child)]
