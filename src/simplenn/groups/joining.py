"""Outcomes of several stacks joined into one, and some runs taken out of one.

Shapes: R runs, T epochs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from simplenn.groups.outcome import Outcome, Snapshot


def join_outcomes(outcomes: Sequence[Outcome]) -> Outcome:
    """One outcome of the runs of several stacks, in this order. A stack that was cut short has fewer epochs."""
    longest = max(outcomes, key=lambda outcome: len(outcome.steps))
    names = dict.fromkeys(name for outcome in outcomes for name in outcome.curves)
    return Outcome(
        status=[status for outcome in outcomes for status in outcome.status],
        message=[message for outcome in outcomes for message in outcome.message],
        epoch=[epoch for outcome in outcomes for epoch in outcome.epoch],
        steps=longest.steps,
        curves={name: torch.cat([_curve(o, name, len(longest.steps)) for o in outcomes], dim=1) for name in names},
        last=_join_snapshots([outcome.last for outcome in outcomes]),
        best=_join_snapshots([outcome.best for outcome in outcomes]),
        skeletons={epoch: kept for outcome in outcomes for epoch, kept in outcome.skeletons.items()},
        seconds=sum(outcome.seconds for outcome in outcomes),
        interruption=next((o.interruption for o in outcomes if o.interruption is not None), None),
    )


def take_outcome(outcome: Outcome, runs: Sequence[int], seconds: float) -> Outcome:
    """The outcome of these runs only, which took so many seconds."""
    rows = torch.as_tensor(runs, dtype=torch.int64)
    return replace(
        outcome,
        status=[outcome.status[r] for r in runs],
        message=[outcome.message[r] for r in runs],
        epoch=[outcome.epoch[r] for r in runs],
        curves={name: curve[:, rows] for name, curve in outcome.curves.items()},
        last=_take_snapshot(outcome.last, rows),
        best=_take_snapshot(outcome.best, rows),
        finals=_of_runs(outcome.finals, runs),
        bests=_of_runs(outcome.bests, runs),
        seconds=seconds,
    )


def _curve(outcome: Outcome, name: str, num_epochs: int) -> Tensor:
    """[T, R], filled up with NaN."""
    shape = len(outcome.steps), len(outcome.status)
    found = outcome.curves.get(name)
    found = torch.full(shape, torch.nan, dtype=torch.float64) if found is None else found
    return torch.cat([found, torch.full((num_epochs - shape[0], shape[1]), torch.nan, dtype=torch.float64)])


def _join_snapshots(parts: Sequence[Snapshot]) -> Snapshot:
    fullest = max(parts, key=lambda part: len(part.optimizer))  # one without momentum has no buffer for it
    optimizer = {}
    for slot, states in fullest.optimizer.items():
        optimizer[slot] = {
            name: torch.cat([_state(part, slot, name, like) for part in parts]) for name, like in states.items()
        }
    return Snapshot(
        epoch=torch.cat([part.epoch for part in parts]),
        weights={name: torch.cat([part.weights[name] for part in parts]) for name in fullest.weights},
        optimizer=optimizer,
        absent={slot: torch.cat([_absent(part, slot) for part in parts]) for slot in fullest.optimizer},
    )


def _state(part: Snapshot, slot: str, name: str, like: Tensor) -> Tensor:
    return part.optimizer[slot][name] if slot in part.optimizer else like.new_zeros(len(part.epoch), *like.shape[1:])


def _absent(part: Snapshot, slot: str) -> Tensor:
    all_or_none = torch.full_like(part.epoch, slot not in part.optimizer, dtype=torch.bool)
    return part.absent.get(slot, all_or_none)


def _take_snapshot(snapshot: Snapshot, rows: Tensor) -> Snapshot:
    """The snapshot of these runs only."""
    return Snapshot(
        epoch=snapshot.epoch[rows],
        weights=_rows(snapshot.weights, rows),
        optimizer={slot: _rows(states, rows) for slot, states in snapshot.optimizer.items()},
        absent=_rows(snapshot.absent, rows),
    )


def _rows(tensors: Mapping[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    return {name: tensor[rows] for name, tensor in tensors.items()}


def _of_runs(values: Mapping[str, np.ndarray] | None, runs: Sequence[int]) -> dict[str, np.ndarray] | None:
    return None if values is None else {name: own[list(runs)] for name, own in values.items()}
