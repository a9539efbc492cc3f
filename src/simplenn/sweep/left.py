"""What a sweep's last command asks for that isn't trained yet. Imports no torch."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from simplenn.rundir import STATUSES
from simplenn.sweep.multirun import lengths_planned, num_to_begin

if TYPE_CHECKING:
    import polars


@dataclass(frozen=True)
class Left:
    """`to_begin` runs have not begun, and of those that are done so many are to go on `to_epoch`, by that. Of runs that
    were interrupted their status says that they aren't trained."""

    to_begin: int = 0
    to_epoch: Mapping[int, int] = field(default_factory=dict)

    @property
    def to_go_on(self) -> int:
        return sum(self.to_epoch.values())

    @property
    def num_runs(self) -> int:
        return self.to_begin + self.to_go_on

    def __add__(self, other: "Left") -> "Left":
        epochs = sorted({*self.to_epoch, *other.to_epoch})
        both = {epoch: self.to_epoch.get(epoch, 0) + other.to_epoch.get(epoch, 0) for epoch in epochs}
        return Left(self.to_begin + other.to_begin, both)


def what_is_left(sweep: Path, runs: "polars.DataFrame") -> Left:
    """Of the sweep that has these runs, with `num`, `status` and `epoch` as `all_runs` gives them."""
    done = runs.filter(runs["status"] == "done").sort("num")
    to_epoch: dict[int, int] = {}
    for epoch, rows in lengths_planned(sweep):
        shorter = done.filter(done["epoch"] < epoch)["num"].drop_nulls().to_list()
        count = sum(max(0, bisect_right(shorter, last) - bisect_left(shorter, first)) for first, last in rows)
        if count:
            to_epoch[epoch] = count
    return Left(num_to_begin(sweep, len(runs)), to_epoch)


def counted(statuses: "polars.Series", left: Left) -> str:
    """How many runs have ended how, and how many are left to train: each run is counted once."""
    counts = Counter(dict(statuses.value_counts().iter_rows()))
    counts["done"] -= left.to_go_on
    texts = [f"{counts[status]:,} {status}" for status in STATUSES if counts[status] > 0]
    if left.to_begin:
        texts.append(f"{left.to_begin:,} left to train")
    texts += [f"{count:,} left to train on to epoch {epoch:,}" for epoch, count in left.to_epoch.items()]
    return ", ".join(texts)
