"""The graphs of one run's step, from the one `Regressor` and the one update rule. Knows nothing of C++.

Shapes: those of one run; B batch.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.func import functionalize, grad_and_value
from torch.fx import GraphModule
from torch.nn.attention import SDPBackend, sdpa_kernel

from simplenn.stacking.compiled.torch_internals import decompositions, trace
from simplenn.stacking.reasons import NotStackable
from simplenn.stacking.rules import Coefficients, Rule
from simplenn.stacking.steps import Steps

Weights = Mapping[str, Tensor]


def training_graph(
    steps: Steps, weights: Weights, trained: Sequence[str], x: Tensor, y: Tensor
) -> tuple[GraphModule, dict[str, torch.dtype]]:
    """Of weights, x and y: the gradients of the trained weights, the loss, and the metrics, whose types by name are
    returned, too."""
    types: dict[str, torch.dtype] = {}

    def loss(own: Weights, others: Weights, x: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor]]:
        value, metrics = steps.train({**own, **others}, (x, y), Unknown())
        types.update({name: metric.dtype for name, metric in metrics.items()})
        return value, list(metrics.values())

    def step(weights: list[Tensor], x: Tensor, y: Tensor) -> list[Tensor]:
        named = dict(zip(names, weights, strict=True))
        own = {name: named[name] for name in trained}
        others = {name: weight for name, weight in named.items() if name not in own}
        grads, (value, metrics) = grad_and_value(loss, has_aux=True)(own, others, x, y)
        return [*(grads[name] for name in trained), value, *metrics]

    names = list(weights)
    return _traced(steps, step, list(weights.values()), x, y), types


def evaluation_graph(
    steps: Steps, weights: Weights, x: Tensor, y: Tensor
) -> tuple[GraphModule, dict[str, torch.dtype]]:
    """Of weights, x and y: the metrics, whose types by name are returned, too."""
    types: dict[str, torch.dtype] = {}

    def metrics(weights: list[Tensor], x: Tensor, y: Tensor) -> list[Tensor]:
        found = steps.validate(dict(zip(names, weights, strict=True)), (x, y), Unknown())
        types.update({name: metric.dtype for name, metric in found.items()})
        return list(found.values())

    names = list(weights)
    return _traced(steps, metrics, list(weights.values()), x, y), types


def _traced(steps: Steps, function: Callable[..., Any], *inputs: Any) -> GraphModule:
    before = steps.show_trainer(Unknown())
    try:
        # Flash attention's decomposition lacks results that its backward operation takes.
        with sdpa_kernel(SDPBackend.MATH):
            return trace(functionalize(function), inputs, decompositions())
    finally:
        steps.show_trainer(before)


def update_graph(rule: Rule, coefficients: Coefficients) -> GraphModule:
    """Of one number of a weight, its gradient, its slots and those coefficients that are tensors: the weight and the
    slots a step later. A coefficient that is True or False is the graph's own."""

    def update(weight: Tensor, grad: Tensor, slots: list[Tensor], given: list[Tensor]) -> list[Tensor]:
        new = [tensor.clone() for tensor in (weight, *slots)]  # the rules work in place
        rest = iter(given)
        ready = {name: next(rest) if isinstance(c, Tensor) else c for name, c in coefficients.items()}
        rule.update(new[0], grad, dict(zip(rule.slots, new[1:], strict=True)), ready)
        return new

    numbers = [torch.zeros(()) for _ in rule.slots]
    given = [torch.zeros((), dtype=c.dtype) for c in coefficients.values() if isinstance(c, Tensor)]
    return trace(functionalize(update), (torch.zeros(()), torch.zeros(()), numbers, given), None)


class Unknown:
    """Stands for a value that is different at each call, while one graph is made for all calls: using it raises
    `NotStackable`."""

    def _refuse(self, *_: Any) -> NoReturn:
        raise NotStackable("a step depends on its number, its epoch or the Trainer")

    __getattr__ = __bool__ = __eq__ = __ne__ = __hash__ = __index__ = __int__ = __float__ = _refuse
    __add__ = __radd__ = __mod__ = __mul__ = __rmul__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
