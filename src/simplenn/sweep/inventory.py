"""What is in a sweep's directory: each run by its identity, where it is and how far it has come. Imports no torch.

A sweep that goes over the number of epochs has a run for each, of one identity: there the number counts too.
"""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from simplenn.config import check_config, identity
from simplenn.errors import ConfigError
from simplenn.rundir import Run, code_of
from simplenn.sweep.parts import Damaged, Part, find_parts, resumable
from simplenn.sweep.run_directories import run_directories

log = logging.getLogger(__name__)

Key = tuple[str, int | None]  # identity, and where the sweep goes over it, trainer.max_epochs
NUM = re.compile(r"^    num: (\d+)$", re.MULTILINE)  # of hydra.job, in hydra.yaml


class StoredRun(NamedTuple):
    """A run as a sweep's directory has it."""

    subdir: str
    num: int  # -1 where nothing says it
    status: str
    epoch: int  # completed, or that in which it diverged
    part: int | None = None  # the number of its part; `None` for a run that trained by itself
    row: int = 0  # its place in the part that its training goes on from

    @property
    def origin(self) -> int | str:
        """By which `Inventory.origins` says what the run was trained with."""
        return self.subdir if self.part is None else self.part


class Origin(NamedTuple):
    """What some runs were trained by."""

    versions: dict[str, str]
    code: dict[str, str]
    cfg: DictConfig | None  # `None` where it isn't known without reading each run's


class Inventory:
    """`runs` by their keys; `damaged` are the folders that can't be trusted, each with the reason."""

    def __init__(self, sweep: Path, *, with_lengths: bool = False) -> None:
        self.sweep = sweep
        self.with_lengths = with_lengths
        self.runs: dict[Key, StoredRun] = {}
        self.damaged: list[tuple[Path, str]] = []
        self.origins: dict[int | str, Origin] = {}  # by a part's number, or a run directory's place
        in_parts: set[str] = set()
        for part in self._sound(find_parts(sweep)):
            in_parts.update(self._take_part(part))
        self._take_continuations()
        for directory in run_directories(sweep):
            subdir = directory.relative_to(sweep).as_posix()
            if subdir not in in_parts:
                self._take_single(Run(directory), subdir)

    def _sound(self, parts: list[Part]) -> Iterator[Part]:
        for part in parts:
            try:
                part.verify()
            except Damaged as error:
                self.damaged.append((part.path, str(error)))
            else:
                yield part

    def _take_part(self, part: Part) -> list[str]:
        """Adds the part's runs; where there are several of one key, the last part counts. Returns their places."""
        structure = part.structure
        cfg = OmegaConf.create(structure["cfg"])
        assert isinstance(cfg, DictConfig)
        self.origins[part.number] = Origin(structure["versions"], structure["code"], cfg)
        length = int(cfg.trainer.max_epochs) if self.with_lengths else None
        columns = ["identity", "subdir", "num", "status", "epoch"]
        for row, (own, subdir, num, status, epoch) in enumerate(part.runs().select(columns).iter_rows()):
            self.runs[own, length] = StoredRun(subdir, num, status, epoch, part.number, row)
        return part.runs()["subdir"].to_list()

    def _take_continuations(self) -> None:
        """Where a finished part has a younger one beside it that isn't finished, training goes on from that."""
        finished = {part.number: part.path for part in find_parts(self.sweep)}
        for part in self._sound([p for p in resumable(self.sweep) if finished.get(p.number) != p.path]):
            rows = {own: row for row, own in enumerate(part.runs()["identity"].to_list())}
            for key, run in self.runs.items():
                if run.part == part.number and key[0] in rows:
                    self.runs[key] = run._replace(row=rows[key[0]])

    def _take_single(self, run: Run, subdir: str) -> None:
        try:
            result = run.result()
            cfg = None
            if result is None or not getattr(result, "identity", "") or self.with_lengths:
                cfg = check_config(run.config)
            own = result.identity if result is not None and getattr(result, "identity", "") else identity(_there(cfg))
            length = int(_there(cfg).trainer.max_epochs) if self.with_lengths else None
        except ConfigError as error:
            self.damaged.append((run.directory, str(error)))
            return
        if result is None:
            stored = StoredRun(subdir, _num_of(run), "interrupted", 0)
            self.origins[subdir] = Origin({}, {}, cfg)
        else:
            stored = StoredRun(subdir, _num_of(run), result.status, result.epoch)
            self.origins[subdir] = Origin(result.versions, getattr(result, "code", {}), cfg)
        self.runs[own, length] = stored


def differences(then: Origin, cfg: DictConfig, versions: dict[str, str]) -> list[str]:
    """What is other now than it was for runs of this origin: code, packages, machinery; each in a few words."""
    from simplenn.config import Kind, flat, kind_of

    found = [
        f"{name} {then.versions.get(name, 'none')} (now {new})"
        for name, new in versions.items()
        if then.versions and then.versions.get(name) != new
    ]
    now = code_of(cfg)
    changed = [name for name in sorted({*now, *then.code}) if now.get(name) != then.code.get(name)] if then.code else []
    found += [f"other code of {name}" if "/" not in name and "." not in name else f"another {name}" for name in changed]
    if then.cfg is not None:
        old, new_values = flat(then.cfg), flat(cfg)
        found += [
            f"{key}={old.get(key)} (now {value})"
            for key, value in new_values.items()
            if kind_of(key) is Kind.EXECUTION and key != "max_stack" and old.get(key) != value
        ]
    return found


def _num_of(run: Run) -> int:
    try:
        found = NUM.search((run.directory / ".hydra" / "hydra.yaml").read_text())
    except (OSError, UnicodeDecodeError):
        found = None
    return int(found[1]) if found else -1


def _there(cfg: Any) -> DictConfig:
    assert isinstance(cfg, DictConfig)
    return cfg
