"""One optimizer for the weights of R runs, each with hyperparameters of its own. Knows nothing of Lightning.

Shapes: R runs; a weight is [R, ...].
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from simplenn.stacking.reasons import NotStackable
from simplenn.stacking.rules import UPDATE_RULES, Hyperparameters, Number, cast_and_broadcast

# Options that choose another formula rather than a number in it: all runs of a stack have the same.
SWITCHES = ("nesterov", "amsgrad", "centered", "decoupled_weight_decay")


def hyperparameters(defaults: Mapping[str, Any], columns: Mapping[str, Sequence[Any]]) -> Hyperparameters:
    """The hyperparameters of R runs: the `defaults` of a torch.optim optimizer, and the runs' own values in `columns`,
    by `optimizer.<name>`.

    A number on which all runs agree is a float; any other is a tensor [R] in double precision. `betas` become
    `beta1` and `beta2`.
    """
    found: dict[str, Any] = {}
    for name, default in defaults.items():
        values = columns.get(f"optimizer.{name}", [default])
        if name == "betas":
            for i, beta in enumerate(zip(*values, strict=True), 1):
                found[f"beta{i}"] = _number(beta)
        elif name in SWITCHES:
            found[name] = bool(default)
        elif isinstance(default, int | float) and not isinstance(default, bool):
            found[name] = _number(values)
    return found


def _number(values: Sequence[float]) -> Number:
    if len(set(values)) == 1:
        return float(values[0])
    return torch.tensor([float(value) for value in values], dtype=torch.float64)


class StackedOptimizer(Optimizer):
    """Applies the update rule of `kind`, a class of torch.optim, to stacked weights [R, ...].

    As with torch's own, `state` has each weight's slots, [R, ...], and with the number of steps in the parameter group
    `state_dict` holds all that a checkpoint needs.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], kind: type[Optimizer], h: Hyperparameters) -> None:
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        # Lightning asks every optimizer for parameter groups with a learning rate. The rule has the runs' own.
        super().__init__(trained, {"lr": 0.0, "num_steps": 0})
        device = trained[0].device
        self.hyperparameters = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in h.items()}
        self.rule = UPDATE_RULES[kind](self.hyperparameters)
        self.trained = trained
        for weight in trained:
            self.state[weight] = {slot: _filled(weight, self.rule.initial) for slot in self.rule.slots}

    @property
    def num_steps(self) -> int:
        return self.param_groups[0]["num_steps"]

    @property
    def slots(self) -> dict[str, list[Tensor]]:
        """The optimizer's state: slot -> one tensor [R, ...] for each weight that is trained, in their order."""
        return {slot: [self.state[weight][slot] for weight in self.trained] for slot in self.rule.slots}

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Takes one step of every run. Lightning's `closure` computes the gradients; its result is returned."""
        loss = closure() if closure is not None else None
        self.param_groups[0]["num_steps"] += 1
        self.update()
        return loss

    def update(self) -> None:
        """Applies the rule once, with the gradients that the weights have. Raises `NotStackable`."""
        coefficients = self.rule.coefficients(self.num_steps)
        # Casting takes as long as updating a small weight, so it is done once for all weights with as many axes.
        ready = {(weight.dim(), weight.dtype): cast_and_broadcast(coefficients, weight) for weight in self.trained}
        for weight in self.trained:
            if weight.grad is None:
                raise NotStackable("the loss doesn't depend on every weight")
            self.rule.update(weight, weight.grad, self.state[weight], ready[weight.dim(), weight.dtype])


def _filled(weight: Tensor, initial: Number) -> Tensor:
    """A tensor like the weight, full of the one number or of each run's number [R]."""
    if not isinstance(initial, Tensor):
        return torch.full_like(weight, initial)
    return initial.to(weight.dtype).view(-1, *(1,) * (weight.dim() - 1)).expand_as(weight).contiguous()
