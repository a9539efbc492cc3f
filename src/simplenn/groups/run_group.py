"""Some runs of a sweep that differ in a few columns of numbers alone, from their plan to their end. Imports no torch.

Shapes: R runs.
"""

import socket
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from simplenn.config import identities

if TYPE_CHECKING:
    from simplenn.groups.outcome import Outcome


@dataclass
class RunGroup:
    """R runs that share all but the numbers in `columns`: planned, checked, trained and recorded together.

    The lists, and those in `columns` and `swept`, have an entry for each run, in the same order.
    """

    composed: DictConfig  # of one of the runs, as Hydra composed it, with its `hydra` node
    nums: list[int]  # Hydra's job numbers
    overrides: list[list[str]]  # what each job was told, without what it told Hydra
    columns: dict[str, list[Any]]  # the runs' own values by full key
    subdirs: list[str]  # the runs' directories within the sweep's
    checked: DictConfig | None = None  # resolved and held against the schema, without the `hydra` node
    swept: dict[str, list[Any]] = field(default_factory=dict)  # values of the keys that the sweep goes over
    part: int | None = None  # the number of the sweep's part that the runs' training goes on from, if it does
    rows: list[int] = field(default_factory=list)  # the runs' places in that part
    begun_singly: bool = False  # whether the runs go on, each by itself, from what is in their directories
    stacked: bool = False  # whether the runs trained as stacks, rather than one by one
    outcome: "Outcome | None" = None  # how the runs ended, once they have trained
    finished: float = 0.0  # when, in seconds since the epoch
    host: str = ""  # where
    versions: dict[str, str] = field(default_factory=dict)  # and with which packages
    code: dict[str, str] = field(default_factory=dict)  # and code, as `rundir.code_of_both` has it

    def __len__(self) -> int:
        return len(self.nums)

    @property
    def names(self) -> list[str]:
        return [subdir.removeprefix("runs/") for subdir in self.subdirs]

    @property
    def cfg(self) -> DictConfig:
        """The checked configuration; only a checked group has one."""
        assert self.checked is not None
        return self.checked

    @cached_property
    def num_epochs(self) -> int:
        """That the runs are to have; OmegaConf takes as long to say it as a stack to train a run."""
        return int(self.cfg.trainer.max_epochs)

    @property
    def ended(self) -> "Outcome":
        """The outcome; only a group that has trained has one."""
        assert self.outcome is not None
        return self.outcome

    @property
    def seconds(self) -> float:
        """Of each run: its share of the time that the stacks took."""
        return round(self.ended.seconds / len(self), 3)

    @property
    def seeds(self) -> list[int]:
        return self.columns.get("seed") or [int(self.cfg.seed)] * len(self)

    @cached_property
    def identities(self) -> list[str]:
        """[R]: by which the runs are found again in a sweep that grows."""
        return identities(self.cfg, self.columns)

    def take(self, runs: Sequence[int]) -> "RunGroup":
        """The group of these of its runs, which go by their places in the lists."""
        taken = replace(
            self,
            nums=_of_runs(self.nums, runs),
            overrides=_of_runs(self.overrides, runs),
            columns={key: _of_runs(values, runs) for key, values in self.columns.items()},
            subdirs=_of_runs(self.subdirs, runs),
            rows=_of_runs(self.rows, runs) if self.rows else [],
            swept={key: _of_runs(values, runs) for key, values in self.swept.items()},
        )
        if "identities" in vars(self):
            vars(taken)["identities"] = _of_runs(self.identities, runs)
        if self.outcome is not None:
            from simplenn.groups.joining import take_outcome

            taken.outcome = take_outcome(self.outcome, runs, seconds=self.seconds * len(runs))
        return taken

    def with_nums(self, nums: Container[int]) -> "RunGroup | None":
        """The group of its runs that are among these jobs; `None` where none is."""
        runs = [run for run, num in enumerate(self.nums) if num in nums]
        return self if len(runs) == len(self) else self.take(runs) if runs else None

    def trained(self, outcome: "Outcome", *, stacked: bool) -> "RunGroup":
        """The group as it is once its runs have ended, here and now; its `code` is that of the epochs before."""
        from simplenn.rundir import code_of, code_of_both, package_versions

        ended = replace(
            self,
            stacked=stacked,
            outcome=outcome,
            finished=time.time(),
            host=socket.gethostname(),
            versions=package_versions(),
            code=code_of_both(self.code, code_of(self.cfg)),
        )
        ended.identities = self.identities
        return ended


def _of_runs(values: Sequence[Any], runs: Sequence[int]) -> list[Any]:
    return [values[run] for run in runs]
