"""Runs of a sweep that trained by themselves, as their directories say. Imports no torch."""

import re
from functools import cached_property
from pathlib import Path
from typing import Any

import polars
import yaml
from omegaconf import OmegaConf

from simplenn.metric import LEARNING_RATE
from simplenn.rundir import Run, changed_code
from simplenn.sweep.run_directories import num_rows, status_and_epoch
from simplenn.sweep.told import is_told, number_or_text, told_by, values_told

PLAIN = re.compile(r"- ([A-Za-z+~/][\w./,+~-]*=[\w./=,+-]*)", re.ASCII)  # an override that YAML reads as it stands
ENDED = ("done", "diverged", "failed")


class SingleRun:
    """`identity` is that of the run in a part which this directory has gone on from, if any."""

    def __init__(self, directory: Path, subdir: str, identity: str | None) -> None:
        self._run = Run(directory)
        self._subdir = subdir
        self._identity = identity
        self._texts = values_told(_overrides(directory))
        self.keys = {key for key in self._texts if is_told(key)}

    @property
    def row(self) -> dict[str, Any]:
        """As `all_runs` has it. Without a result the run was cut off, and counts as interrupted."""
        result = self._run.result()
        row: dict[str, Any] = {
            "run": self._subdir.removeprefix("runs/"),
            "subdir": self._subdir,
            "num": self._run.num,
            "identity": self._identity or (result.identity if result else ""),
            "status": result.status if result else "interrupted",
            "message": result.message if result else "",
            "epoch": result.epoch if result else num_rows(self._run.metrics_file),
            "changed_code": ", ".join(changed_code(result.code)) if result else "",
        }
        if result is not None:
            row |= {f"final/{name}": float(value) for name, value in result.metrics.items()}
            row |= {f"best/{name}": float(value) for name, value in result.best.items() if name != LEARNING_RATE}
        return row

    def constant(self, key: str) -> str:
        return self._texts[key] if key in self._texts else told_by(key, self._cfg, self._hydra)

    def values(self, key: str) -> polars.Series:
        """[1]."""
        return polars.Series([number_or_text(self.constant(key))])

    @cached_property
    def _cfg(self) -> Any:
        return _read(self._run.directory / ".hydra" / "config.yaml")

    @cached_property
    def _hydra(self) -> Any:
        return _read(self._run.directory / ".hydra" / "hydra.yaml")


def ended_later(directory: Path, status: str, epoch: int) -> bool:
    """Whether the run's result says that it has ended since it was of this status, after so many epochs."""
    ended = status_and_epoch(directory)
    if ended is None or ended[0] not in ENDED or ended[1] + (status == "interrupted") <= epoch:
        return False
    return Run(directory).result() is not None


def _overrides(directory: Path) -> list[str]:
    path = directory / ".hydra" / "overrides.yaml"
    try:
        text = path.read_text()
        lines = [PLAIN.fullmatch(line) for line in text.splitlines()]
        if all(lines):
            return [found[1] for found in lines if found]
        return [str(override) for override in yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or []]
    except (OSError, ValueError, TypeError, yaml.YAMLError):
        return []


def _read(path: Path) -> Any:
    """Without anything in it resolved; `None` where it can't be read."""
    try:
        return OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except Exception:  # whatever a damaged file makes of YAML
        return None
