"""A stack's outcome as plain values, and back: held against what was asked for, before anybody records it.

Shapes: R runs, T epochs.
"""

import signal
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from simplenn.cluster.unit import Corrupt
from simplenn.groups.outcome import Outcome, Snapshot
from simplenn.signals import Interrupted

STATUSES = ("done", "diverged", "interrupted")


def plain(outcome: Outcome) -> dict[str, Any]:
    """Without the interruption, which is the unit's, and not the stack's alone."""
    return {
        "status": outcome.status,
        "message": outcome.message,
        "epoch": outcome.epoch,
        "steps": list(outcome.steps),
        "curves": {name: _own(curve) for name, curve in outcome.curves.items()},
        "last": _plain_snapshot(outcome.last),
        "best": _plain_snapshot(outcome.best),
        "skeletons": outcome.skeletons,
        "seconds": outcome.seconds,
    }


def outcome_of(content: Mapping[str, Any], interruption: str = "") -> Outcome:
    """`interruption` is the name of the signal that ended the training, if one did. Raises `Corrupt`."""
    try:
        kind = Interrupted(signal.Signals[interruption]) if interruption else None
        snapshots = {which: Snapshot(**content[which]) for which in ("last", "best")}
        return Outcome(**{**content, **snapshots, "interruption": kind})
    except (KeyError, TypeError) as error:
        raise Corrupt(f"what a worker sent back is no outcome of a stack: {error}") from error


def check_outcome(outcome: Outcome, num_runs: int, num_epochs: int, weights: Mapping[str, Tensor]) -> None:
    """Raises `Corrupt` unless it can be that of so many runs of a network with these weights, [R, ...] of any R, after
    at most so many epochs."""
    epochs = len(outcome.steps)
    _hold(epochs <= num_epochs, f"{epochs} epochs of {num_epochs}")
    for name in ("status", "message", "epoch"):
        _hold(len(getattr(outcome, name)) == num_runs, f"{len(getattr(outcome, name))} runs of {num_runs} in {name}")
    _hold(set(outcome.status) <= set(STATUSES), f"a status {outcome.status}")
    _hold(all(0 <= epoch <= epochs + 1 for epoch in outcome.epoch), "a run of more epochs than its stack")
    for name, curve in outcome.curves.items():
        _hold(curve.shape == (epochs, num_runs), f"the curve {name} of shape {tuple(curve.shape)}")
    shapes = {name: tensor.shape[1:] for name, tensor in weights.items()}
    for snapshot in (outcome.last, outcome.best):
        _hold(snapshot.epoch.shape == (num_runs,), f"the states of {tuple(snapshot.epoch.shape)} runs")
        found = {name: tensor.shape for name, tensor in snapshot.weights.items()}
        _hold(found == {name: (num_runs, *shape) for name, shape in shapes.items()}, f"weights of the shapes {found}")
        for slot, states in snapshot.optimizer.items():
            rows = {len(tensor) for tensor in states.values()} | {len(snapshot.absent.get(slot, snapshot.epoch))}
            _hold(rows == {num_runs}, f"the optimizer's {slot} of {rows} runs")


def _hold(is_so: bool, what: str) -> None:
    if not is_so:
        raise Corrupt(f"what a worker sent back isn't of the runs that it was sent: it has {what:.200}")


def _plain_snapshot(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "epoch": _own(snapshot.epoch),
        "weights": _each_own(snapshot.weights),
        "optimizer": {slot: _each_own(states) for slot, states in snapshot.optimizer.items()},
        "absent": _each_own(snapshot.absent),
    }


def _each_own(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: _own(tensor) for name, tensor in tensors.items()}


def _own(tensor: Tensor) -> Tensor:
    """Without what else lies in the memory that it is a view of, and would be sent along."""
    is_view = tensor.untyped_storage().nbytes() > tensor.nbytes or not tensor.is_contiguous()
    return tensor.clone(memory_format=torch.contiguous_format) if is_view else tensor
