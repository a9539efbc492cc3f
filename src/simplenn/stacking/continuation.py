"""What a stack goes on from: an outcome, as a part of a sweep or an interruption has left it, made Lightning's
checkpoint again, and the recorder's state. Knows no files.

Shapes: R runs, T epochs.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simplenn.groups.metrics import best_rows
from simplenn.groups.outcome import Outcome, Snapshot
from simplenn.metric import LEARNING_RATE, cost, objective_tags
from simplenn.stacking.recorder import Recorded, Start
from simplenn.stacking.stack import Stack


def has_nothing_left(start: Outcome, num_epochs: int) -> bool:
    """Whether no run of the outcome has anything to train up to so many epochs."""
    return len(start.steps) >= num_epochs or all(status == "diverged" for status in start.status)


def start_of(start: Outcome) -> Start:
    """What the recorder goes on from."""
    return Start(
        rows=_rows(start),
        steps=start.steps,
        skeletons=start.skeletons,
        endings=_endings(start),
        recorded=lambda stack: _recorded(start, stack),
    )


def checkpoint_of(start: Outcome, stack: Stack) -> dict[str, Any]:
    """The checkpoint that Lightning would have saved of the stack after the outcome's last epoch.

    Its tensors are copies, as training writes to what it has loaded.
    """
    names = [f"weights.{number}" for number in range(len(stack.names))]
    weights = [start.last.weights[name].clone() for name in stack.names]
    trained = [name for name, weight in zip(stack.names, stack.weights, strict=True) if weight.requires_grad]
    slots = {slot: start.last.optimizer[slot] for slot in stack.slot_names}
    state = {
        number: {slot: by_name[name].clone() for slot, by_name in slots.items()} for number, name in enumerate(trained)
    }
    param_group = {"lr": 0.0, "num_steps": start.steps[-1], "params": list(range(len(trained)))}
    return start.skeletons[len(start.steps)] | {
        "state_dict": dict(zip(names, weights, strict=True)),
        "optimizer_states": [{"state": state if slots else {}, "param_groups": [param_group]}],
    }


def _recorded(start: Outcome, stack: Stack) -> Recorded:
    """What the recorder had recorded after the outcome's last epoch, on the stack's device."""
    device = stack.weights[0].device
    best_cost, validated = _best_objectives(start)
    return Recorded(
        epochs=len(start.steps),
        last=[tensor.clone() for tensor in stack.state()],
        last_epoch=start.last.epoch.to(device),
        best=_state_of(start.best, stack),
        best_epoch=start.best.epoch.to(device),
        best_cost=torch.from_numpy(best_cost).to(device),
        validated=torch.from_numpy(validated).to(device),
    )


def _rows(start: Outcome) -> list[dict[str, Tensor]]:
    """By epoch, each metric's values [R]; the learning rate is none of them."""
    curves = {name: curve for name, curve in start.curves.items() if name != LEARNING_RATE}
    return [{name: curve[epoch] for name, curve in curves.items()} for epoch in range(len(start.steps))]


def _endings(start: Outcome) -> list[tuple[int, str]]:
    """For each run the epoch in which it diverged and its message; 0 and no message for one that goes on."""
    return [
        (epoch, message) if status == "diverged" else (0, "")
        for status, epoch, message in zip(start.status, start.epoch, start.message, strict=True)
    ]


def _best_objectives(start: Outcome) -> tuple[np.ndarray, np.ndarray]:
    """[R] each: the cost of each run's best epoch, infinite without one, and whether validation data gave it."""
    rows, runs = best_rows(start), np.arange(len(start.status))
    nothing = np.full((len(start.steps), len(runs)), np.nan)
    curves: Mapping[str, np.ndarray] = {name: curve.numpy() for name, curve in start.curves.items()}
    trained, validated = (cost(tag, curves.get(tag, nothing))[rows, runs] for tag in objective_tags())
    is_validated = ~np.isnan(validated) & (rows >= 0)
    costs = np.where(is_validated, validated, trained)
    return np.where(rows >= 0, costs, np.inf), is_validated


def _state_of(snapshot: Snapshot, stack: Stack) -> list[Tensor]:
    """As `Stack.state` has it."""
    device = stack.weights[0].device
    trained = [name for name, weight in zip(stack.names, stack.weights, strict=True) if weight.requires_grad]
    weights = [snapshot.weights[name].to(device) for name in stack.names]
    return weights + [snapshot.optimizer[slot][name].to(device) for slot in stack.slot_names for name in trained]
