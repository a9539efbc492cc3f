"""What is in a sweep's directory: each run by its identity, where it is and how far it has come. Imports no torch.

In a sweep that goes over the number of epochs, a run of each is a run of its own: there the number is a part of the
identity (`with_length`).
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig

from simplenn.config import Kind, check_config, flat, identity, kind_of, with_length, without_length
from simplenn.errors import ConfigError
from simplenn.rundir import Run, code_of, other_code
from simplenn.rundir.metrics import num_sound_rows
from simplenn.sweep.parts import Damaged, Part, find_parts, resumable
from simplenn.sweep.run_directories import run_directories

log = logging.getLogger(__name__)


class StoredRun(NamedTuple):
    """A run as a sweep's directory has it."""

    subdir: str
    num: int  # -1 where nothing says it
    status: str
    epoch: int  # completed, or that in which it diverged
    reached: int  # the epochs that its training goes on from: more than `epoch` where a longer one was cut off
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
    """`runs` by their identities; `damaged` are the folders that can't be trusted, each with the reason.

    With `with_lengths`, or where the sweep has gone over the length before, the identities are those with a length.
    """

    def __init__(self, sweep: Path, *, with_lengths: bool = False) -> None:
        self.sweep = sweep
        self.runs: dict[str, StoredRun] = {}
        self.damaged: list[tuple[Path, str]] = []
        self.origins: dict[int | str, Origin] = {}  # by a part's number, or a run directory's place
        parts = list(self._sound(find_parts(sweep)))
        self.with_lengths = with_lengths or any(
            without_length(own) != own for part in parts for own in part.runs()["identity"][:1]
        )
        self._take_all(parts)
        if not self.with_lengths and self._are_lengths_told_apart():
            self.with_lengths = True
            self.runs.clear()
            self._take_all(parts)
            self.damaged = list(dict.fromkeys(self.damaged))

    def _take_all(self, parts: list[Part]) -> None:
        self._twins: list[tuple[str, str]] = []
        for part in parts:
            self._take_part(part)
        self._take_continuations(parts)
        in_parts = {run.subdir: own for own, run in self.runs.items()}
        for directory in run_directories(self.sweep):
            subdir = directory.relative_to(self.sweep).as_posix()
            self._take_directory(Run(directory), subdir, in_parts.get(subdir))

    def _are_lengths_told_apart(self) -> bool:
        """Whether two jobs that trained one by one differ in nothing but their length: the sweep has gone over it."""
        for pair in self._twins:
            lengths = {check_config(Run(self.sweep / subdir).config).trainer.max_epochs for subdir in pair}
            if len(lengths) > 1:
                return True
        return False

    def _sound(self, parts: list[Part]) -> Iterator[Part]:
        for part in parts:
            try:
                part.verify()
                _ = part.runs(), part.cfg
            except Damaged as error:
                self.damaged.append((part.path, str(error)))
            else:
                yield part

    def _take_part(self, part: Part) -> None:
        """Adds the part's runs; where there are several of one identity, the last part counts."""
        structure = part.structure
        self.origins[part.number] = Origin(structure["versions"], structure["code"], part.cfg)
        columns, num_epochs = ["identity", "subdir", "num", "status", "epoch"], part.cfg.trainer.max_epochs
        for row, (own, subdir, num, status, epoch) in enumerate(part.runs().select(columns).iter_rows()):
            key = with_length(own, num_epochs) if self.with_lengths else own
            self.runs[key] = StoredRun(subdir, num, status, epoch, epoch, part.number, row)

    def _take_continuations(self, parts: list[Part]) -> None:
        """Where a finished part has a longer one beside it that isn't finished, training goes on from that."""
        known = {part.path for part in parts} | {path for path, _ in self.damaged}
        for part in self._sound([part for part in resumable(self.sweep) if part.path not in known]):
            found = part.runs().select("identity", "epoch").iter_rows()
            rows = {own: (row, epoch) for row, (own, epoch) in enumerate(found)}
            for key, run in self.runs.items():
                if run.part == part.number and key in rows:
                    row, reached = rows[key]
                    self.runs[key] = run._replace(row=row, reached=reached)

    def _take_directory(self, run: Run, subdir: str, in_part: str | None) -> None:
        """Adds a run that has trained by itself. The directory of a run in a part is one only if it has come further
        since, under a launcher that trains each run by itself."""
        try:
            result = run.result()
            if in_part is not None:
                stored = self.runs[in_part]
                if result is None or result.status == "interrupted":
                    reached = max(stored.reached, num_sound_rows(run.metrics_file))
                    self.runs[in_part] = stored._replace(reached=reached)
                    return
                if result.epoch <= stored.epoch:
                    return
            cfg = None if result is not None and result.identity and not self.with_lengths else check_config(run.config)
            own = result.identity if result is not None and result.identity else identity(_there(cfg))
        except ConfigError as error:
            self.damaged.append((run.directory, str(error)))
            return
        key = with_length(own, _there(cfg).trainer.max_epochs) if self.with_lengths else own
        self.origins[subdir] = Origin({}, {}, cfg) if result is None else Origin(result.versions, result.code, cfg)
        status, epoch = ("interrupted", 0) if result is None else (result.status, result.epoch)
        reached = num_sound_rows(run.metrics_file) if status == "interrupted" else epoch
        before = self.runs.get(key)
        if before is not None and before.part is None and before.num != run.num:  # else it is a copy of a directory
            self._twins.append((before.subdir, subdir))
        self.runs[key] = StoredRun(subdir, run.num, status, epoch, reached)


def differences(then: Origin, cfg: DictConfig, versions: dict[str, str]) -> list[str]:
    """What is other now than it was for runs of this origin: code, packages, machinery; each in a few words."""
    found = [
        f"{name} {then.versions.get(name, 'none')} (now {new})"
        for name, new in versions.items()
        if then.versions and then.versions.get(name) != new
    ]
    found += other_code(then.code, code_of(cfg))
    if then.cfg is not None:
        old, new_values = flat(then.cfg), flat(cfg)
        found += [
            f"{key}={old.get(key)} (now {value})"
            for key, value in new_values.items()
            if kind_of(key) is Kind.EXECUTION and key != "max_stack" and old.get(key) != value
        ]
    return found


def _there(cfg: Any) -> DictConfig:
    assert isinstance(cfg, DictConfig)
    return cfg
