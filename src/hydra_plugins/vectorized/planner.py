"""Which jobs of a sweep are composed alike but for numbers that each carries itself. Knows no model.

Composing a job costs tens of milliseconds, so each structure is composed once, and the numbers stand in columns
beside it. A key that something else in the configuration interpolates belongs to the structure.
"""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

SUBDIR = "hydra.sweep.subdir="  # where a job leaves its files: composed with none of its structure
SAMPLE = 3  # jobs of a plan that are composed in full and compared
WHOLE = re.compile(r"[+-]?(0|[1-9][0-9]*)")
DECIMAL = re.compile(r"[+-]?[0-9]+\.[0-9]+(e[+-]?[0-9]+)?")
PLACED_BY_NUMBER = re.compile(r"([^$]|\$\{hydra\.job\.(num|id)\})*")

Job = Sequence[str]


@dataclass
class JobGroup:
    """Jobs whose configurations differ in `columns` alone: the values by full key, in the order of `nums`."""

    config: DictConfig
    nums: list[int]
    jobs: list[Job]
    columns: dict[str, list[Any]]

    def subdir(self, index: int) -> str:
        """Where the job's directory is within the sweep's."""
        given = next((word for word in self.jobs[index] if word.startswith(SUBDIR)), None)
        if given:
            return given.removeprefix(SUBDIR).strip("'")
        with read_write(self.config), open_dict(self.config):
            self.config.hydra.job.num = self.config.hydra.job.id = self.nums[index]
            return str(self.config.hydra.sweep.subdir)


class Planner:
    """Groups the jobs of one sweep. `per_run` tells by key and value whether a job can carry a number itself."""

    def __init__(self, loader: ConfigLoader, sweep: DictConfig, per_run: Callable[[str, Any], bool]) -> None:
        self._loader = loader
        self._parser = OverridesParser.create(loader)
        self.sweep = sweep
        self._per_run = per_run
        self._numbers: dict[str, tuple[str, Any] | None] = {}
        self._composed: dict[tuple[str, ...], DictConfig] = {}
        self._planned: tuple[int, list[Job], list[JobGroup]] | None = None

    def compose(self, job: Job) -> DictConfig:
        return self._loader.load_sweep_config(self.sweep, list(job))

    def plan(self, jobs: Sequence[Job], first: int = 0) -> list[JobGroup]:
        """The same groups again for the same jobs of the same numbers. Raises what composing a job raises."""
        if self._planned is None or self._planned[:2] != (first, list(jobs)):
            self._planned = first, list(jobs), self._grouped(jobs, first)
        return self._planned[2]

    def _grouped(self, jobs: Sequence[Job], first: int) -> list[JobGroup]:
        groups: dict[tuple[Any, ...], JobGroup] = {}
        linked: dict[tuple[str, ...], set[str]] = {}
        for num, job in enumerate(jobs, first):
            structure = tuple(word for word in job if self.number(word) is None and not word.startswith(SUBDIR))
            if structure not in self._composed:
                self._composed[structure] = self.compose(job)
            if structure not in linked:
                linked[structure] = self._linked(self._composed[structure], job)
            values = dict(number for word in job if (number := self.number(word)))
            fixed = tuple((key, str(values.pop(key))) for key in sorted(linked[structure]) if key in values)
            everything = tuple(job) if _NOTHING_ALIKE in linked[structure] else ()
            key = (structure, fixed, tuple(values), everything)
            if key not in groups:
                config = self.compose(job) if fixed or everything else self._composed[structure]
                groups[key] = JobGroup(config, [], [], {name: [] for name in values})
            group = groups[key]
            group.nums.append(num)
            group.jobs.append(job)
            for name, value in values.items():
                group.columns[name].append(value)
        return self._as_hydra_means(list(groups.values()))

    def number(self, word: str) -> tuple[str, Any] | None:
        """Key and value of an override that sets a number of the job's own; `None` for any other."""
        if word not in self._numbers:
            key, _, text = word.partition("=")
            numeric = key.replace(".", "").replace("_", "").isalnum() and text[:1] in "+-.[0123456789" and text
            value = self._value(word, text) if numeric else None
            self._numbers[word] = (key, value) if value is not None and self._per_run(key, value) else None
        return self._numbers[word]

    def _value(self, word: str, text: str) -> Any:
        # plain numerals mean in Hydra's grammar what they mean in Python; the grammar itself takes 0.3 ms a word
        if WHOLE.fullmatch(text):
            return int(text)
        if DECIMAL.fullmatch(text):
            return float(text)
        return self._parser.parse_override(word).value()

    def _linked(self, config: DictConfig, job: Job) -> set[str]:
        """The job's numbers that something in the configuration refers to."""
        raw: Any = OmegaConf.to_container(config, resolve=False)
        if not any(word.startswith(SUBDIR) for word in job) and not PLACED_BY_NUMBER.fullmatch(
            str(raw["hydra"]["sweep"]["subdir"])
        ):
            return {_NOTHING_ALIKE}  # its place may depend on anything
        referring = " ".join(_interpolations(raw))
        keys = {number[0] for word in job if (number := self.number(word))}
        return {key for key in keys if any(re.search(rf"\b{part}\b", referring) for part in key.split("."))}

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


_NOTHING_ALIKE = ""


def _values(config: DictConfig) -> dict[str, Any]:
    values: Any = OmegaConf.to_container(config, resolve=False)
    return {key: value for key, value in values.items() if key != "hydra"}


def _interpolations(node: Any) -> list[str]:
    children = node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ()
    own = [node] if isinstance(node, str) and "${" in node else []
    return own + [text for child in children for text in _interpolations(child)]
