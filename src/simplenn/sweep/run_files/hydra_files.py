"""The `.hydra` files of many jobs. The configuration is dumped as YAML once, with marks in place of what differs from
job to job; each job's own values are then put in as text."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from simplenn.config import values_to_save, without_length
from simplenn.groups import RunGroup
from simplenn.planning import SUBDIR, literal_subdir, override_dirname
from simplenn.rundir import with_sums

MARK = re.compile(r"SIMPLENN_VALUE_(\d+)_")
PLAIN = re.compile(r"[A-Za-z/][\w./,+-]*[=/][\w./=,+-]*", re.ASCII)  # text that YAML can only read as a string


class HydraFiles:
    """The files of each of the group's jobs, as one that trains singly leaves them. `sweep` is the directory."""

    def __init__(self, group: RunGroup, sweep: Path) -> None:
        self._group = group
        self._sweep = os.path.abspath(sweep)
        task = values_to_save(group.composed)
        node: Any = OmegaConf.to_container(group.composed.hydra, resolve=False, enum_to_str=True)
        self._dirname = node["job"]["config"]["override_dirname"]
        _mark_values(task, group.columns)
        _mark_job(node)
        self._config, self._hydra = _Template(task), _Template({"hydra": node})

    def of(self, run: int) -> dict[str, bytes]:
        """By file name."""
        group = self._group
        values = [item for column in group.columns.values() for item in _items(column[run])]
        subdir, num, overrides = group.subdirs[run], group.nums[run], group.overrides[run]
        job = [
            _scalar(subdir),
            _scalar(f"{SUBDIR}'{subdir}'"),
            "\n    - ".join(map(_scalar, overrides)),
            _scalar(override_dirname(overrides, self._dirname)),
            f"'{num}'",
            str(num),
            _scalar(os.path.join(self._sweep, subdir)),
        ]
        files = {
            "config.yaml": self._config.filled([_scalar(value) for value in values]),
            "hydra.yaml": self._hydra.filled(job),
            "overrides.yaml": ("".join(f"- {_scalar(override)}\n" for override in overrides) or "[]\n").encode(),
        }
        return with_sums(files, without_length(group.identities[run]))


class _Template:
    """A YAML text in which numbered marks stand for values."""

    def __init__(self, container: dict[str, Any]) -> None:
        parts = MARK.split(OmegaConf.to_yaml(OmegaConf.create(container)))
        self._texts = parts[::2]
        self._marks = [int(number) for number in parts[1::2]]

    def filled(self, values: Sequence[str]) -> bytes:
        pieces = [self._texts[0]]
        for mark, text in zip(self._marks, self._texts[1:], strict=True):
            pieces += values[mark], text
        return "".join(pieces).encode()


def _mark_values(task: dict[str, Any], columns: dict[str, list[Any]]) -> None:
    """Puts a mark in place of each value of each column; a list has as many as it has items."""
    count = 0
    for key, values in columns.items():
        *path, leaf = key.split(".")
        node = task
        for name in path:
            node = node[name]
        marks = [f"SIMPLENN_VALUE_{count + place}_" for place in range(len(_items(values[0])))]
        node[leaf] = marks if isinstance(values[0], list | tuple) else marks[0]
        count += len(marks)


def _mark_job(node: dict[str, Any]) -> None:
    """Puts a mark in place of each value that Hydra gives to each job alone."""
    marks = (f"SIMPLENN_VALUE_{number}_" for number in range(7))
    subdir, subdir_override, task, dirname, identifier, num, output_dir = marks
    given: list[str] = node["overrides"]["hydra"]
    if literal_subdir(given) is not None:
        places = [place for place, override in enumerate(given) if override.startswith(SUBDIR)]
        given[places[-1]] = subdir_override
        node["sweep"]["subdir"] = subdir
    node["overrides"]["task"] = [task] if node["overrides"]["task"] else []
    node["job"] |= {"override_dirname": dirname, "id": identifier, "num": num}
    node["runtime"]["output_dir"] = output_dir


def _items(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _scalar(value: Any) -> str:
    """A value on one line of YAML."""
    if isinstance(value, str):
        if PLAIN.fullmatch(value):
            return value
        if value.isprintable():
            return "'" + value.replace("'", "''") + "'"
        return yaml.safe_dump(value, default_style='"', width=float("inf"), allow_unicode=True).strip()
    if isinstance(value, float):
        return yaml.representer.SafeRepresenter().represent_float(value).value
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
