"""The update rules of torch.optim for many runs at once, bit for bit those of its single-tensor form on the CPU.

A rule is made from hyperparameters, and keeps nothing from step to step: `coefficients` gives the numbers of a step,
and `update` takes a weight, its gradient and its state one step further, in place. Knows nothing of Lightning.

Shapes: R runs; a weight, its gradient and each slot of its state are [R, ...]. A `Number` is a float where all runs
have the same, else a tensor [R]. Floats are passed to torch as torch.optim passes them, which is also the faster way.

Bit equality rests on two properties of torch's CPU kernels. A number that torch.optim computes in Python, in double
precision, is rounded to single precision only as it enters a kernel. And `x.add(y, alpha=a)`,
`x.addcmul(y, z, value=a)` and `x.addcdiv(y, z, value=a)` equal `x.addcmul(y, a)`, `x.addcmul(y * a, z)` and
`x.addcdiv(y * a, z)` to the bit.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

Number = float | Tensor
Hyperparameters = Mapping[str, Any]  # a Number by name, in double precision; True or False for a switch
Coefficients = Mapping[str, Any]  # what an update multiplies with: Numbers, and masks [R] of the runs that have a term


@dataclass(frozen=True)
class Rule:
    """How R runs take a step, and what their optimizer keeps for that; slots have torch.optim's names."""

    # The tensors that are kept for each weight.
    slots: tuple[str, ...]
    # What a step multiplies with, by the step's number, which counts from 1.
    coefficients: Callable[[int], Coefficients]
    # Takes a weight, its gradient, its slots by name, and the step's coefficients cast and broadcast for this weight.
    update: Callable[[Tensor, Tensor, Mapping[str, Tensor], Coefficients], None]
    # Whether torch.optim keeps the number of steps, too, in a slot `step`.
    counts_steps: bool = True
    # What the slots are full of before the first step.
    initial: Number = 0.0
    # Whether torch.optim makes the slots only at the first step: a checkpoint from before has none.
    lazy: bool = True
    # By slot, the runs [R] whose optimizer doesn't have it: a run without momentum has no buffer for it.
    absent: Mapping[str, Tensor] = field(default_factory=dict)


def sgd(h: Hyperparameters) -> Rule:
    """Stochastic gradient descent with momentum, as torch.optim.SGD has it."""
    has_momentum = _is_set(h["momentum"])
    constants = _decay_coefficients(h) | {
        "-lr": -h["lr"],
        "momentum": h["momentum"],
        "has_momentum": has_momentum,
        "1-dampening": 1 - h["dampening"],
    }

    def coefficients(step: int) -> Coefficients:
        return constants | {"first": step == 1}

    def update(weight: Tensor, grad: Tensor, state: Mapping[str, Tensor], c: Coefficients) -> None:
        grad = _decayed(grad, weight, c)
        if has_momentum is not False:
            buffer = state["momentum_buffer"]
            if c["first"]:
                buffer.copy_(grad)
            else:
                _add(buffer.mul_(c["momentum"]), grad, c["1-dampening"])
            moved = _add(grad.clone(), buffer, c["momentum"]) if h["nesterov"] else buffer
            grad = _where(c["has_momentum"], moved, grad)
        _add(weight, grad, c["-lr"])

    slots = () if has_momentum is False else ("momentum_buffer",)
    return Rule(slots, coefficients, update, counts_steps=False, absent=_absent(has_momentum))


def adam(h: Hyperparameters) -> Rule:
    """Adam (Kingma and Ba, arXiv 1412.6980), AdamW where `decoupled_weight_decay`, as torch.optim has them."""
    constants = _decay_coefficients(h) | {
        "1-lr*weight_decay": 1 - h["lr"] * h["weight_decay"],
        "1-beta1": 1 - h["beta1"],
        "beta2": h["beta2"],
        "1-beta2": 1 - h["beta2"],
        "eps": h["eps"],
    }
    correction1 = _by_distinct_value(h["beta1"], lambda beta, step: 1 - beta**step)
    correction2 = _by_distinct_value(h["beta2"], lambda beta, step: (1 - beta**step) ** 0.5)

    def coefficients(step: int) -> Coefficients:
        return constants | {"-step_size": -_quotient(h["lr"], correction1(step)), "correction2": correction2(step)}

    def update(weight: Tensor, grad: Tensor, state: Mapping[str, Tensor], c: Coefficients) -> None:
        if not h["decoupled_weight_decay"]:
            grad = _decayed(grad, weight, c)
        elif c["decays"] is not False:
            weight.copy_(_where(c["decays"], weight * c["1-lr*weight_decay"], weight))
        state["exp_avg"].lerp_(grad, c["1-beta1"])
        square = _add_product(state["exp_avg_sq"].mul_(c["beta2"]), grad, grad, c["1-beta2"])
        if h["amsgrad"]:
            square = torch.maximum(state["max_exp_avg_sq"], square, out=state["max_exp_avg_sq"])
        denominator = square.sqrt().div_(c["correction2"]).add_(c["eps"])
        _add_quotient(weight, state["exp_avg"], denominator, c["-step_size"])

    slots = ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if h["amsgrad"] else ()))
    return Rule(slots, coefficients, update)


def rmsprop(h: Hyperparameters) -> Rule:
    """RMSprop (Graves, arXiv 1308.0850), as torch.optim.RMSprop has it."""
    has_momentum = _is_set(h["momentum"])
    constants = _decay_coefficients(h) | {
        "-lr": -h["lr"],
        "alpha": h["alpha"],
        "1-alpha": 1 - h["alpha"],
        "eps": h["eps"],
        "momentum": h["momentum"],
        "has_momentum": has_momentum,
    }

    def update(weight: Tensor, grad: Tensor, state: Mapping[str, Tensor], c: Coefficients) -> None:
        grad = _decayed(grad, weight, c)
        square = _add_product(state["square_avg"].mul_(c["alpha"]), grad, grad, c["1-alpha"])
        if h["centered"]:
            mean = state["grad_avg"].lerp_(grad, c["1-alpha"])
            square = square.addcmul(mean, mean, value=-1)
        denominator = square.sqrt().add_(c["eps"])
        if has_momentum is False:
            _add_quotient(weight, grad, denominator, c["-lr"])
            return
        buffer = state["momentum_buffer"].mul_(c["momentum"]).addcdiv_(grad, denominator)
        # Runs with momentum and runs without it: the step of both is computed, and each takes its own.
        without = None if has_momentum is True else _add_quotient(weight.clone(), grad, denominator, c["-lr"])
        _add(weight, buffer, c["-lr"])
        if without is not None:
            weight.copy_(_where(c["has_momentum"], weight, without))

    with_momentum = () if has_momentum is False else ("momentum_buffer",)
    slots = ("square_avg", *with_momentum, *(("grad_avg",) if h["centered"] else ()))
    return Rule(slots, lambda step: constants, update, absent=_absent(has_momentum))


def adagrad(h: Hyperparameters) -> Rule:
    """Adagrad (Duchi et al., JMLR 12, 2011), as torch.optim.Adagrad has it."""
    constants = _decay_coefficients(h) | {"eps": h["eps"]}

    def coefficients(step: int) -> Coefficients:
        return constants | {"-lr": -_quotient(h["lr"], 1 + (step - 1) * h["lr_decay"])}

    def update(weight: Tensor, grad: Tensor, state: Mapping[str, Tensor], c: Coefficients) -> None:
        grad = _decayed(grad, weight, c)
        total = state["sum"].addcmul_(grad, grad)
        _add_quotient(weight, grad, total.sqrt().add_(c["eps"]), c["-lr"])

    return Rule(("sum",), coefficients, update, initial=h["initial_accumulator_value"], lazy=False)


UPDATE_RULES: dict[type, Callable[[Hyperparameters], Rule]] = {
    torch.optim.SGD: sgd,
    torch.optim.Adam: adam,
    torch.optim.AdamW: adam,
    torch.optim.RMSprop: rmsprop,
    torch.optim.Adagrad: adagrad,
}


def cast_and_broadcast(coefficients: Coefficients, weight: Tensor) -> Coefficients:
    """The coefficients ready for a weight [R, ...]: tensors [R] become [R, 1, ...], in the weight's precision."""
    shape = (-1, *(1,) * (weight.dim() - 1))

    def ready(tensor: Tensor) -> Tensor:
        return (tensor if tensor.dtype == torch.bool else tensor.to(weight.dtype)).view(shape)

    return {name: ready(value) if isinstance(value, Tensor) else value for name, value in coefficients.items()}


def _is_set(number: Number) -> bool | Tensor:
    """Where a number isn't 0: True for all runs, False for none, else [R].

    torch.optim skips a term whose factor is 0, and to add 0 times infinity would not be the same.
    """
    if not isinstance(number, Tensor):
        return number != 0
    mask = number != 0
    return True if bool(mask.all()) else mask


def _absent(has_momentum: bool | Tensor) -> dict[str, Tensor]:
    return {"momentum_buffer": ~has_momentum} if isinstance(has_momentum, Tensor) else {}


def _by_distinct_value(number: Number, f: Callable[[float, int], float]) -> Callable[[int], Number]:
    """`f(number, step)` for each run, computed by Python as torch.optim does it, once for each distinct value: torch's
    own power function rounds differently."""
    if not isinstance(number, Tensor):
        return lambda step: f(number, step)
    values, places = number.unique(return_inverse=True)
    distinct = values.tolist()
    return lambda step: torch.tensor([f(v, step) for v in distinct], dtype=number.dtype, device=number.device)[places]


def _quotient(a: Number, b: Number) -> Number:
    # torch computes float / tensor as float * (1 / tensor), which rounds twice where Python's division rounds once.
    return torch.full_like(b, a) / b if isinstance(a, float) and isinstance(b, Tensor) else a / b


def _decay_coefficients(h: Hyperparameters) -> dict[str, Any]:
    return {"weight_decay": h["weight_decay"], "decays": _is_set(h["weight_decay"])}


def _decayed(grad: Tensor, weight: Tensor, c: Coefficients) -> Tensor:
    """The gradient with the weight's own pull towards 0 added, for the runs that have weight decay."""
    if c["decays"] is False:
        return grad
    return _where(c["decays"], _add(grad.clone(), weight, c["weight_decay"]), grad)


def _where(mask: bool | Tensor, yes: Tensor, no: Tensor) -> Tensor:
    return torch.where(mask, yes, no) if isinstance(mask, Tensor) else yes if mask else no


def _add(x: Tensor, y: Tensor, factor: Number) -> Tensor:
    """x += factor * y, rounded once."""
    return x.addcmul_(y, factor) if isinstance(factor, Tensor) else x.add_(y, alpha=factor)


def _add_product(x: Tensor, y: Tensor, z: Tensor, factor: Number) -> Tensor:
    """x += factor * y * z."""
    return x.addcmul_(y * factor, z) if isinstance(factor, Tensor) else x.addcmul_(y, z, value=factor)


def _add_quotient(x: Tensor, y: Tensor, z: Tensor, factor: Number) -> Tensor:
    """x += factor * y / z."""
    return x.addcdiv_(y * factor, z) if isinstance(factor, Tensor) else x.addcdiv_(y, z, value=factor)
