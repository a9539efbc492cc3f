"""The runs of one structure, as the sweep's files are written from them. Knows no files.

Shapes: R runs, T epochs.
"""

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from simplenn.groups.outcome import Outcome, Snapshot
from simplenn.metric import OBJECTIVE, cost
from simplenn.rundir.metrics import in_row_order
from simplenn.rundir.run import package_versions


@dataclass
class Batch:
    """R runs that were trained in stacks: what they share, what each has of its own, how they ended.

    `cfg` is the checked configuration, `composed` the same as Hydra composed it for any one of the jobs, with the
    `hydra` node. `columns` holds what differs from run to run, by full key, as Hydra parsed it. `subdirs` are the
    runs' directories in the sweep's, `overrides` their task overrides, `nums` Hydra's job numbers, and `swept` the
    values of the keys that the sweep goes over, for `results.csv`. `finished` is in seconds since the epoch.
    """

    cfg: DictConfig
    composed: DictConfig
    columns: dict[str, list[Any]]
    names: list[str]
    subdirs: list[str]
    overrides: list[list[str]]
    nums: list[int]
    swept: dict[str, list[Any]]
    outcome: Outcome
    finished: float = field(default_factory=time.time)
    host: str = field(default_factory=socket.gethostname)
    versions: dict[str, str] = field(default_factory=package_versions)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def seconds(self) -> float:
        """Of each run: its share of the time that the stacks took."""
        return round(self.outcome.seconds / len(self), 3)

    @property
    def seeds(self) -> list[int]:
        return self.columns.get("seed") or [int(self.cfg.seed)] * len(self)

    def take(self, runs: Sequence[int]) -> "Batch":
        """The batch with these runs only."""
        columns, swept = ({k: [v[r] for r in runs] for k, v in part.items()} for part in (self.columns, self.swept))
        lists = {key: [getattr(self, key)[r] for r in runs] for key in ("names", "subdirs", "overrides", "nums")}
        outcome = _take(self.outcome, runs, self.seconds * len(runs))
        return replace(self, columns=columns, swept=swept, outcome=outcome, **lists)


@dataclass
class Alone:
    """Runs of the sweep that trained one by one, each in its own directory; fields as in `Batch`."""

    names: list[str]
    subdirs: list[str]
    nums: list[int]
    swept: dict[str, list[Any]]

    def __len__(self) -> int:
        return len(self.names)

    def take(self, runs: Sequence[int]) -> "Alone":
        """These runs only."""
        lists = {key: [getattr(self, key)[r] for r in runs] for key in ("names", "subdirs", "nums")}
        return Alone(**lists, swept={key: [values[r] for r in runs] for key, values in self.swept.items()})


def join(outcomes: Sequence[Outcome]) -> Outcome:
    """One outcome of the runs of several stacks, in this order. A stack that was cut short has fewer epochs."""
    longest = max(outcomes, key=lambda outcome: len(outcome.steps))
    names = dict.fromkeys(name for outcome in outcomes for name in outcome.curves)
    return Outcome(
        status=[word for outcome in outcomes for word in outcome.status],
        message=[word for outcome in outcomes for word in outcome.message],
        epoch=[epoch for outcome in outcomes for epoch in outcome.epoch],
        steps=longest.steps,
        curves={name: torch.cat([_curve(o, name, len(longest.steps)) for o in outcomes], dim=1) for name in names},
        last=_join_snapshots([outcome.last for outcome in outcomes]),
        best=_join_snapshots([outcome.best for outcome in outcomes]),
        skeletons={epoch: kept for outcome in outcomes for epoch, kept in outcome.skeletons.items()},
        seconds=sum(outcome.seconds for outcome in outcomes),
        interruption=next((o.interruption for o in outcomes if o.interruption is not None), None),
    )


def row_counts(outcome: Outcome) -> np.ndarray:
    """[R]: how many rows of metrics each run has. They are those of its first epochs."""
    if "lr" not in outcome.curves:  # no epoch was ended
        return np.zeros(len(outcome.status), np.int64)
    return outcome.curves["lr"].isnan().logical_not().sum(dim=0).numpy()


def cells(outcome: Outcome) -> list[list[str]]:
    """For each of the T epochs, the metrics that its rows have, in their order."""
    has = {name: curve.isnan().logical_not().any(dim=1).tolist() for name, curve in outcome.curves.items()}
    order = in_row_order(outcome.curves)
    return [[name for name in order if has[name][epoch]] for epoch in range(len(outcome.steps))]


def kinds(outcome: Outcome) -> list[tuple[list[list[str]], list[int]]]:
    """The runs that have the same `cells`, each time these and the runs. One kind, but where a metric is undefined.

    Of epochs that a run has no row for, it counts as having what the others have.
    """
    shared, num_runs = cells(outcome), len(outcome.status)
    has_row = np.arange(len(shared))[:, None] < row_counts(outcome)
    empty = {
        name: outcome.curves[name].isnan().numpy() & has_row & np.array([[name in row] for row in shared])
        for name in columns_of(shared)
    }
    if not any(blank.any() for blank in empty.values()):
        return [(shared, list(range(num_runs)))]
    patterns = np.packbits(np.concatenate(list(empty.values())), axis=0).T
    members: dict[bytes, list[int]] = {}
    for run, pattern in enumerate(patterns):
        members.setdefault(pattern.tobytes(), []).append(run)
    return [
        ([[name for name in row if not empty[name][epoch, runs[0]]] for epoch, row in enumerate(shared)], runs)
        for runs in members.values()
    ]


def columns_of(rows: Sequence[Sequence[str]]) -> list[str]:
    """The columns of a `metrics.csv` with these cells: in the order of their first appearance."""
    return list(dict.fromkeys(name for row in rows for name in row))


def final_values(outcome: Outcome) -> dict[str, np.ndarray]:
    """Each metric's last value, [R]; NaN where a run has none. Validation may not have come with the last epoch."""
    finals = {}
    for name in columns_of(cells(outcome)):
        last = np.full(len(outcome.status), np.nan)
        for values in outcome.curves[name].numpy():
            np.copyto(last, values, where=~np.isnan(values))
        finals[name] = last
    return finals


def best_rows(outcome: Outcome) -> np.ndarray:
    """[R]: the row of each run's best epoch, from 0, as `metrics.Best` finds it; -1 where there is none."""
    best = np.full(len(outcome.status), -1)
    for tag in sorted(name for name in outcome.curves if name.rpartition("/")[2] == OBJECTIVE):  # train, then val
        costs = cost(tag, outcome.curves[tag].numpy())
        costs = np.where(np.isnan(costs), np.inf, costs)
        if len(costs):
            last_of_equals = len(costs) - 1 - costs[::-1].argmin(axis=0)
            best = np.where(np.isfinite(costs.min(axis=0)), last_of_equals, best)
    return best


def best_values(outcome: Outcome) -> dict[str, np.ndarray]:
    """Each metric in the run's best epoch, [R]; NaN where a run has none. The learning rate is no metric."""
    rows, runs = best_rows(outcome), np.arange(len(outcome.status))
    return {
        name: np.where(rows >= 0, outcome.curves[name].numpy()[rows, runs], np.nan)
        for name in columns_of(cells(outcome))
        if name != "lr"
    }


def objectives(outcome: Outcome) -> np.ndarray:
    """[R]: as `run.Result.objective`, infinite for a run that isn't done."""
    finals = final_values(outcome)
    values = np.full(len(outcome.status), np.nan)
    for tag in sorted(name for name in finals if name.rpartition("/")[2] == OBJECTIVE):
        costs = cost(tag, finals[tag])
        values = np.where(np.isnan(costs), values, costs)
    done = np.array([status == "done" for status in outcome.status])
    return np.where(done, values, np.inf)


def _curve(outcome: Outcome, name: str, num_epochs: int) -> Tensor:
    """[T, R], filled up with NaN."""
    shape = len(outcome.steps), len(outcome.status)
    found = outcome.curves.get(name)
    found = torch.full(shape, torch.nan, dtype=torch.float64) if found is None else found
    return torch.cat([found, torch.full((num_epochs - shape[0], shape[1]), torch.nan, dtype=torch.float64)])


def _join_snapshots(parts: Sequence[Snapshot]) -> Snapshot:
    fullest = max(parts, key=lambda part: len(part.optimizer))  # one without momentum has no buffer for it
    return Snapshot(
        epoch=torch.cat([part.epoch for part in parts]),
        weights={name: torch.cat([part.weights[name] for part in parts]) for name in fullest.weights},
        optimizer={
            slot: {name: torch.cat([_state(part, slot, name, like) for part in parts]) for name, like in state.items()}
            for slot, state in fullest.optimizer.items()
        },
        absent={slot: torch.cat([_absent(part, slot) for part in parts]) for slot in fullest.optimizer},
    )


def _state(part: Snapshot, slot: str, name: str, like: Tensor) -> Tensor:
    return part.optimizer[slot][name] if slot in part.optimizer else like.new_zeros(len(part.epoch), *like.shape[1:])


def _absent(part: Snapshot, slot: str) -> Tensor:
    all_or_none = torch.full_like(part.epoch, slot not in part.optimizer, dtype=torch.bool)
    return part.absent.get(slot, all_or_none)


def _take(outcome: Outcome, runs: Sequence[int], seconds: float) -> Outcome:
    rows = torch.as_tensor(runs, dtype=torch.int64)
    return replace(
        outcome,
        status=[outcome.status[r] for r in runs],
        message=[outcome.message[r] for r in runs],
        epoch=[outcome.epoch[r] for r in runs],
        curves={name: curve[:, rows] for name, curve in outcome.curves.items()},
        last=take_snapshot(outcome.last, rows),
        best=take_snapshot(outcome.best, rows),
        seconds=seconds,
    )


def take_snapshot(snapshot: Snapshot, rows: Tensor) -> Snapshot:
    """The snapshot of these runs only."""
    return Snapshot(
        epoch=snapshot.epoch[rows],
        weights={name: tensor[rows] for name, tensor in snapshot.weights.items()},
        optimizer={
            slot: {name: tensor[rows] for name, tensor in tensors.items()}
            for slot, tensors in snapshot.optimizer.items()
        },
        absent={slot: mask[rows] for slot, mask in snapshot.absent.items()},
    )
