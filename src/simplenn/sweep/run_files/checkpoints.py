"""The sealed checkpoints of a group, with the content that each run's own checkpoint has when it trains alone.

Shapes: R runs.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from simplenn.config import without_length
from simplenn.groups import RunGroup
from simplenn.groups.outcome import Snapshot
from simplenn.regressor import Regressor
from simplenn.rundir.checkpoint import IDENTITY
from simplenn.sweep.run_files.archives import Archive, placeholder

PREFIX = "optimizer."


class Checkpoints:
    """Makes the checkpoints of the group's runs. `regressor` is that of any of them."""

    def __init__(self, group: RunGroup, regressor: Regressor) -> None:
        self._run_group = group
        optimizer: Any = regressor.configure_optimizers()
        assert isinstance(optimizer, Optimizer)
        state = optimizer.state_dict()
        self._param_group: dict[str, Any] = state["param_groups"][0]
        self._slots_at_start = set().union(*state["state"].values())
        self._weights = list(regressor.state_dict())
        self._parameters = [name for name, _ in regressor.named_parameters()]
        self._numbers = _numbers(group, self._param_group)
        self._identities = [without_length(own) for own in group.identities]
        self._archives: dict[Any, Archive] = {}

    def files(self, snapshot: Snapshot, runs: Iterable[int]) -> dict[int, bytes]:
        """The file of each of these runs, by its number."""
        kinds: dict[Any, list[int]] = {}
        runs = list(runs)
        epochs = snapshot.epoch[runs].tolist()
        absent = {slot: mask[runs].tolist() for slot, mask in snapshot.absent.items()}
        for place, (run, epoch) in enumerate(zip(runs, epochs, strict=True)):
            without = [slot for slot, mask in absent.items() if mask[place]]
            kinds.setdefault((epoch, self._slots(snapshot, epoch, without), *self._whole(run)), []).append(run)
        files = {}
        for kind, members in kinds.items():
            tensors = self._tensors(snapshot, kind[1])
            if kind not in self._archives:
                first = [tensor[members[0]] for tensor in tensors]
                self._archives[kind] = self._archive(kind[0], kind[1], members[0], first)
            rows = torch.tensor(members)
            numbers = [values[members] for values in self._numbers.values() if values.dtype == np.float64]
            own = [self._identities[run] for run in members]
            filled = self._archives[kind].filled([tensor[rows] for tensor in tensors], numbers, [own])
            files |= zip(members, filled, strict=True)
        return files

    def _tensors(self, snapshot: Snapshot, slots: Iterable[str]) -> list[Tensor]:
        """[R, ...] each, in the order in which a checkpoint has them."""
        states = [snapshot.optimizer[slot][name] for name in self._parameters for slot in slots]
        return [*(snapshot.weights[name] for name in self._weights), *states]

    def _slots(self, snapshot: Snapshot, epoch: int, without: list[str]) -> tuple[str, ...]:
        """What the run's optimizer keeps of each parameter; most keep nothing before their first step."""
        return tuple(
            slot for slot in snapshot.optimizer if (epoch > 0 or slot in self._slots_at_start) and slot not in without
        )

    def _whole(self, run: int) -> tuple[Any, ...]:
        """The run's numbers that are not written in eight bytes: whole ones."""
        return tuple(values[run].item() for values in self._numbers.values() if values.dtype != np.float64)

    def _archive(self, epoch: int, slots: tuple[str, ...], run: int, tensors: list[Tensor]) -> Archive:
        own = [tensor.clone() for tensor in tensors]  # each its own storage, as big as itself
        states = iter(own[len(self._weights) :])
        param_group = dict(self._param_group)
        count = 0
        for (key, position), values in self._numbers.items():
            value: Any = values[run].item()
            if values.dtype == np.float64:
                value = placeholder(count)
                count += 1
            param_group[key] = value if position is None else _with_item(param_group[key], position, value)
        content = dict(self._run_group.ended.skeletons[epoch])
        content["state_dict"] = OrderedDict(zip(self._weights, own[: len(self._weights)], strict=True))
        state = {number: {slot: next(states) for slot in slots} for number in range(len(self._parameters)) if slots}
        content["optimizer_states"] = [{"state": state, "param_groups": [param_group]}]
        content[IDENTITY] = self._identities[run]
        return Archive(content, count, [self._identities[run]])


def _numbers(group: RunGroup, param_group: dict[str, Any]) -> dict[tuple[str, int | None], np.ndarray]:
    """The optimizer's own numbers, [R], by their key, and for one of a list by their place in it."""
    numbers = {}
    for full_key, values in group.columns.items():
        key = full_key.removeprefix(PREFIX)
        if not full_key.startswith(PREFIX) or key not in param_group:
            continue
        if isinstance(param_group[key], list | tuple):
            for position, example in enumerate(param_group[key]):
                numbers[key, position] = np.array([value[position] for value in values], type(example))
        else:
            numbers[key, None] = np.array(values, type(param_group[key]))
    return numbers


def _with_item(items: Any, position: int, value: Any) -> Any:
    return type(items)(value if place == position else item for place, item in enumerate(items))
