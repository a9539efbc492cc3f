"""What a benchmark measures: cases, which are processes, and figures made from their times. Measures nothing itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = Path(__file__).resolve().parent / "processes"
TRAIN = str(ROOT / "scripts" / "train.py")


@dataclass(frozen=True)
class Case:
    """Arguments to Python, and the exit status that they must end with. Where a case is `self_timed`, the process's
    last line is a JSON list of seconds, whose median counts in place of the process's own.

    A case `after` another works in the directory that this one has left in the same round. One of a `commit` is run by
    the repository's files of that commit."""

    arguments: tuple[str, ...]
    status: int = 0
    self_timed: bool = False
    after: str | None = None
    commit: str | None = None


def memory_of(case: str) -> str:
    """By which the most memory that a case had, in GiB, is found beside its seconds."""
    return f"{case}, GiB"


def cpu_of(case: str) -> str:
    """By which the seconds that a case computed, on all cores together, are found: where others are at work on the
    machine, they vary less than the time that it took."""
    return f"{case}, CPU"


@dataclass(frozen=True)
class Figure:
    """A number made from the medians by case, in seconds, GiB or a ratio; `target` is the most it may be, or least."""

    of: Callable[[Mapping[str, float]], float]
    unit: str = "x"
    target: float | None = None
    at_least: bool = False

    def reached(self, value: float) -> bool:
        assert self.target is not None
        return value >= self.target if self.at_least else value <= self.target


@dataclass(frozen=True)
class Group:
    cases: Mapping[str, Case]
    figures: Mapping[str, Figure]
    num_uncounted: int = 0  # rounds before those that count
    packages: tuple[str, ...] = ()  # of the extra `benchmark`
