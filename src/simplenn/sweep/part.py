"""Runs of a sweep as its tables and arrays hold them, however they were trained.

Shapes: R runs, T epochs.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simplenn.groups.metrics import Alone, Batch, best_values, final_values, row_counts
from simplenn.rundir import checkpoint, metrics
from simplenn.rundir.run import Run


@dataclass
class Part:
    """R runs; `finals` and `bests` are [R], NaN where a run has no such value; so are `curves`, [T, R].

    `counts` says how many rows of the curves each run has. `weights` are [R, ...], `None` where there are none.
    """

    names: list[str]
    nums: list[int]
    swept: dict[str, list[Any]]
    status: list[str]
    epoch: list[int]
    finals: dict[str, np.ndarray]
    bests: dict[str, np.ndarray]
    curves: dict[str, np.ndarray]
    counts: np.ndarray
    weights: dict[str, Tensor] | None

    def __len__(self) -> int:
        return len(self.names)


def part_of_batch(batch: Batch) -> Part:
    outcome = batch.outcome
    return Part(
        names=batch.names,
        nums=batch.nums,
        swept=batch.swept,
        status=outcome.status,
        epoch=outcome.epoch,
        finals=final_values(outcome),
        bests=best_values(outcome),
        curves={name: curve.numpy() for name, curve in outcome.curves.items()},
        counts=row_counts(outcome),
        weights=outcome.last.weights,
    )


def parts_of_alone(alone: Alone, sweep: Path) -> list[Part]:
    """One for each run, as their parameters may differ in shape."""
    return [
        _part_of_run(Run(sweep / subdir), name, num, {key: [values[k]] for key, values in alone.swept.items()})
        for k, (name, subdir, num) in enumerate(zip(alone.names, alone.subdirs, alone.nums, strict=True))
    ]


def _part_of_run(run: Run, name: str, num: int, swept: dict[str, list[Any]]) -> Part:
    """A run without a result was cut off: it counts as interrupted."""
    result, rows = run.result(), metrics.read_rows(run.metrics_file)
    names = metrics.in_row_order({key for row in rows for key in row} - {"epoch", "step"})
    return Part(
        names=[name],
        nums=[num],
        swept=swept,
        status=[result.status if result else "interrupted"],
        epoch=[result.epoch if result else len(rows)],
        finals={key: np.array([value]) for key, value in (result.metrics if result else {}).items()},
        bests={key: np.array([value]) for key, value in (result.best if result else {}).items()},
        curves={key: np.array([[row.get(key, np.nan)] for row in rows], np.float64) for key in names},
        counts=np.array([len(rows)]),
        weights=_weights(run),
    )


def _weights(run: Run) -> dict[str, Tensor] | None:
    try:
        state = checkpoint.load(run.checkpoint("last"))["state_dict"]
    except (FileNotFoundError, checkpoint.DamagedCheckpoint):
        return None
    return {name: torch.unsqueeze(tensor, 0) for name, tensor in state.items()}
