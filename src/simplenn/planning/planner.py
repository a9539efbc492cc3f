"""Which jobs of a sweep are composed alike but for numbers that each carries itself. Knows no model.

Composing a job costs tens of milliseconds, so each structure is composed once, and the numbers stand in columns
beside it. A key that something else in the configuration interpolates belongs to the structure.
"""

import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from simplenn.groups import RunGroup
from simplenn.planning.overrides import Job, is_for_hydra, key_of
from simplenn.planning.subdirs import SUBDIR, subdirs_of

SAMPLE = 3  # jobs of a plan that are composed in full and compared
WHOLE = re.compile(r"[+-]?(0|[1-9][0-9]*)")
DECIMAL = re.compile(r"[+-]?[0-9]+\.[0-9]+(e[+-]?[0-9]+)?")


class Planner:
    """Groups the jobs of one sweep. `per_run` tells by key and value whether a job can carry a number itself."""

    def __init__(self, loader: ConfigLoader, sweep: DictConfig, per_run: Callable[[str, Any], bool]) -> None:
        self._loader = loader
        self._parser = OverridesParser.create(loader)
        self.sweep = sweep
        self._per_run = per_run
        self._numbers: dict[str, tuple[str, Any] | None] = {}
        self._composed: dict[tuple[str, ...], tuple[DictConfig, list[str]]] = {}

    def compose(self, job: Job) -> DictConfig:
        return self._loader.load_sweep_config(self.sweep, list(job))

    def plan(self, jobs: Sequence[Job], first: int = 0) -> list[RunGroup]:
        """The jobs in groups; they are numbered from `first`. Raises what composing a job raises."""
        groups = self._as_hydra_means(self._grouped(jobs, first), jobs, first)
        for group in groups:
            own = [jobs[num - first] for num in group.nums]
            group.overrides = [[override for override in job if not is_for_hydra(override)] for job in own]
            group.subdirs = subdirs_of(group.composed, group.nums, own, group.columns)
        return groups

    def _grouped(self, jobs: Sequence[Job], first: int) -> list[RunGroup]:
        """Jobs that name the same keys, with the same values but for numbers of their own, belong together."""
        groups: dict[tuple[Any, ...], RunGroup] = {}
        for num, job in enumerate(jobs, first):
            structure = self._structure(job)
            values = dict(number for override in job if (number := self.number(override)))
            if structure not in self._composed:
                composed = self.compose(job)
                self._composed[structure] = composed, _linked(composed, values)
            composed, linked = self._composed[structure]
            # a number that another key interpolates changes more than its own key: it is a part of the structure
            fixed = tuple(str(values.pop(key)) for key in linked)
            if (structure, fixed) not in groups:
                groups[structure, fixed] = _empty_group(self.compose(job) if fixed else composed, values)
            group = groups[structure, fixed]
            group.nums.append(num)
            for key, value in values.items():
                group.columns[key].append(value)
        return list(groups.values())

    def _structure(self, job: Job) -> tuple[str, ...]:
        """The job's overrides without its own numbers and its directory."""
        rest = [override for override in job if not override.startswith(SUBDIR)]
        return tuple(override.partition("=")[0] if self.number(override) else override for override in rest)

    def distinct(self, jobs: Sequence[Job]) -> list[Job]:
        """The jobs without those that mean the same as one before them: 0.1 and 1e-1 are one point."""
        first: dict[tuple[str, ...], Job] = {}
        for job in jobs:
            first.setdefault(tuple(map(self._meaning, job)), job)
        return list(first.values())

    def _meaning(self, override: str) -> str:
        number = self.number(override)
        if number is None:
            return override
        key, value = number
        return f"{key}={value if isinstance(value, list) else float(value)!r}"

    def number(self, override: str) -> tuple[str, Any] | None:
        """Key and value of an override that sets a number of the job's own; `None` for any other."""
        if override not in self._numbers:
            key, text = key_of(override), override.partition("=")[2]
            is_key = key.replace(".", "").replace("_", "").isalnum() and not override.startswith("~")
            may_be_number = text != "" and text[0] in "+-.[0123456789"
            value = self._value(override, text) if is_key and may_be_number else None
            self._numbers[override] = (key, value) if value is not None and self._per_run(key, value) else None
        return self._numbers[override]

    def _value(self, override: str, text: str) -> Any:
        # plain numerals mean in Hydra's grammar what they mean in Python; the grammar itself takes 0.3 ms an override
        if WHOLE.fullmatch(text):
            return int(text)
        if DECIMAL.fullmatch(text):
            return float(text)
        return self._parser.parse_override(override).value()

    def _as_hydra_means(self, groups: list[RunGroup], jobs: Sequence[Job], first: int) -> list[RunGroup]:
        """The groups, if a sample of jobs composed in full agrees with them; else every job in a group of its own."""
        every = [(group, run) for group in groups if group.columns for run in range(1, len(group))]
        for group, run in random.Random(0).sample(every, min(SAMPLE, len(every))):
            if _values(self.compose(jobs[group.nums[run] - first])) != _values_of_run(group, run):
                singles = [_empty_group(self.compose(job), {}) for job in jobs]
                for num, single in enumerate(singles, first):
                    single.nums.append(num)
                return singles
        return groups


def _empty_group(composed: DictConfig, columns: Iterable[str]) -> RunGroup:
    return RunGroup(composed, nums=[], overrides=[], columns={key: [] for key in columns}, subdirs=[])


def _values_of_run(group: RunGroup, run: int) -> dict[str, Any]:
    """What the group says that composing this run's job gives."""
    values = _values(group.composed)
    for key, column in group.columns.items():
        *path, leaf = key.split(".")
        node = values
        for part in path:
            node = node[part]
        node[leaf] = column[run]
    return values


def _linked(config: DictConfig, values: Mapping[str, Any]) -> list[str]:
    """The keys of a job's numbers that something in its configuration, but the job's place, refers to; and of those
    that are not what the configuration has, as another override set it after all.
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
