"""A stack's epoch as one compiled call, the runs' axis last in memory. A faster mode with a tolerance, never the
reference: the compiler rounds differently from torch's own kernels. Knows nothing of Lightning's loop or of files.

Shapes: R runs, S distinct orders, K steps of an epoch, B batch, N samples, F features. A weight that is [...] in one
run is [R, ...] in the eager stack and [..., R] here.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor
from torch.export import default_decompositions
from torch.func import functionalize, grad_and_value
from torch.nn.attention import SDPBackend, sdpa_kernel

from simplenn.stacking.compiled.runs_last import RunsLast
from simplenn.stacking.compiled.torch_internals import compile_graph, flatten, trace, unflatten
from simplenn.stacking.reasons import NotStackable
from simplenn.stacking.rules import Coefficients, Rule
from simplenn.stacking.steps import Steps

Weights = dict[str, Tensor]


class State(NamedTuple):
    """Everything that further training depends on."""

    weights: Weights  # name -> [..., R]
    slots: dict[str, Weights]  # the optimizer's state: slot -> as the weights


class Epoch(NamedTuple):
    """What an epoch leaves."""

    state: State
    losses: Tensor  # [K, R]
    metrics: dict[str, Tensor]  # name -> [K, R], a step's mean over its batch


class CompiledEpoch:
    """`epoch(state, x, y, order, place, first_step)` trains all runs for one epoch.

    It compiles at its first call, and again for other shapes. That takes a C++ compiler (without one, `torch` raises
    `InvalidCxxCompiler`) and 15 to 20 seconds, or 2 to 3 if inductor's cache on disk has the graph. Raises what `torch`
    raises where it can't be done.
    """

    def __init__(self, steps: Steps, rule: Rule, batch_size: int) -> None:
        self._of_one_run = steps
        self._rule = rule
        self._batch_size = batch_size
        named = dict(steps.regressor.named_parameters())
        self._names = list(named)
        self._trained = [name for name, weight in named.items() if weight.requires_grad]
        self._graphs: dict[int, RunsLast] = {}  # by batch size: the last batch may be a smaller one
        self._compiled: dict[Any, Callable[..., Any]] = {}

    def initial(self, weights: Mapping[str, Tensor]) -> State:
        """The state before training, from a copy of the stack's weights [R, ...]."""
        rows = {name: weights[name].movedim(0, -1).clone(memory_format=torch.contiguous_format) for name in self._names}
        slots = {slot: {name: self._filled(rows[name]) for name in self._trained} for slot in self._rule.slots}
        return State(rows, slots)

    def _filled(self, like: Tensor) -> Tensor:
        initial = torch.as_tensor(self._rule.initial, dtype=like.dtype, device=like.device)
        return initial.expand_as(like).contiguous()

    @torch.no_grad()
    def epoch(self, state: State, x: Tensor, y: Tensor, order: Tensor, place: Tensor | None, first_step: int) -> Epoch:
        """Trains all runs for one epoch, on x [N, F] and y [N, 1].

        `order` [N, S] has the sample numbers, and `place` [R] each run's column of it; `None` where S is 1.
        `first_step` is the number of the epoch's first step, from 1, on which the rule's coefficients depend.
        """
        num_steps = -(-len(order) // self._batch_size)
        steps = [_tensors(self._rule.coefficients(first_step + k), x) for k in range(num_steps)]
        return self._call((state, _gathered(x, order, place), _gathered(y, order, place), steps))

    def _call(self, inputs: Any) -> Epoch:
        leaves, structure = flatten(inputs)
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        key = tuple((leaf.shape, leaf.dtype) if isinstance(leaf, Tensor) else leaf for leaf in leaves)
        if key not in self._compiled:
            self._compiled[key] = self._compile(leaves, structure, tensors)
        return self._compiled[key](tensors)

    def _compile(self, leaves: list, structure: Any, tensors: list[Tensor]) -> Callable[[list[Tensor]], Epoch]:
        """`_steps` as one call that takes the tensors among its inputs' leaves; the other leaves become constants."""
        output_structure: list[Any] = []

        def flat(*tensors: Tensor) -> list[Tensor]:
            rest = iter(tensors)
            filled = [next(rest) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
            outputs, of_outputs = flatten(self._steps(*unflatten(filled, structure)))
            output_structure[:] = [of_outputs]
            return outputs

        graph = trace(flat, tensors, None)
        # Where the runs' axis isn't last throughout, inductor vectorises along two axes at once, and a sum in such a
        # loop loses its last runs and writes beyond its result (torch 2.13). So the C++ compiler vectorises instead.
        options = {} if all(graph.in_rules for graph in self._graphs.values()) else {"cpp.simdlen": 1}
        call = compile_graph(graph, tensors, options)
        return lambda tensors: unflatten(call(*tensors), output_structure[0])

    def _steps(self, state: State, x: Tensor, y: Tensor, each: list[dict[str, Any]]) -> Epoch:
        """What is compiled: x [N, F, R or 1] and y [N, 1, R or 1] in this epoch's order."""
        tensors, structure = flatten(tuple(state))
        weights, slots = unflatten([tensor.clone() for tensor in tensors], structure)  # the rules work in place
        losses: list[Tensor] = []
        rows: list[dict[str, Tensor]] = []
        for k in range(len(each)):
            batch = slice(k * self._batch_size, (k + 1) * self._batch_size)
            grads, loss, metrics = self._gradients(weights, x[batch], y[batch])
            for name in self._trained:
                slot = {key: by_name[name] for key, by_name in slots.items()}
                # The state takes its layout in memory from the gradient, which may have the runs' axis elsewhere.
                self._rule.update(weights[name], grads[name].contiguous(), slot, each[k])
            losses.append(loss)
            rows.append(metrics)
        joined = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
        return Epoch(State(weights, slots), torch.stack(losses), joined)

    def _gradients(self, weights: Weights, x: Tensor, y: Tensor) -> tuple[Weights, Tensor, dict[str, Tensor]]:
        """The loss's gradients [..., R], the loss and the metrics [R], on x [B, F, R or 1] and y [B, 1, R or 1]."""
        if len(x) not in self._graphs:
            self._graphs[len(x)] = RunsLast(self._one_run(weights, x[..., 0], y[..., 0]))
        return self._graphs[len(x)].run(weights, x, y)

    def _one_run(self, weights: Weights, x: Tensor, y: Tensor) -> Any:
        """The graph of one run's gradients, loss and metrics, from the one `Regressor`."""

        def loss(trained: Weights, others: Weights, x: Tensor, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
            return self._of_one_run.train(trained | others, (x, y), Unknown())

        def one(weights: Weights, x: Tensor, y: Tensor) -> tuple[Weights, Tensor, dict[str, Tensor]]:
            trained = {name: weights[name] for name in self._trained}
            others = {name: weights[name] for name in weights if name not in trained}
            grads, (value, metrics) = grad_and_value(loss, has_aux=True)(trained, others, x, y)
            return grads, value, metrics

        first_run = {name: weight[..., 0] for name, weight in weights.items()}
        before = self._of_one_run.show_trainer(Unknown())
        try:
            # Flash attention's decomposition lacks results that its backward operation takes.
            with sdpa_kernel(SDPBackend.MATH):
                return trace(functionalize(one), (first_run, x, y), default_decompositions())
        finally:
            self._of_one_run.show_trainer(before)


class Unknown:
    """Stands for a value that is different at each call, while one graph is made for all calls: using it raises
    `NotStackable`."""

    def _refuse(self, *_: Any) -> NoReturn:
        raise NotStackable("a step depends on its number, its epoch or the Trainer")

    __getattr__ = __bool__ = __eq__ = __ne__ = __hash__ = __index__ = __int__ = __float__ = _refuse
    __add__ = __radd__ = __mod__ = __mul__ = __rmul__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse


def _gathered(data: Tensor, order: Tensor, place: Tensor | None) -> Tensor:
    """[N, F] -> [N, F, R or 1], in this epoch's order.

    Not part of what is compiled: inductor would not vectorise it, and would do it anew wherever it is used.
    """
    by_order = data[order].movedim(1, -1).contiguous()
    # gather is four times as fast as index_select along the last axis.
    return by_order if place is None else by_order.gather(-1, place.expand(*by_order.shape[:-1], -1))


def _tensors(coefficients: Coefficients, like: Tensor) -> dict[str, Any]:
    """The coefficients as tensors. They are different in each step, and a number would be compiled into the code."""
    numbers = dict(coefficients)
    # SGD's momentum begins with the gradient itself. That is a later step, from 0, without dampening.
    if numbers.get("first"):
        numbers |= {"first": False, "1-dampening": 1.0}
    return {k: v if isinstance(v, bool) else _cast(v, like) for k, v in numbers.items()}


def _cast(number: float | Tensor, like: Tensor) -> Tensor:
    if isinstance(number, Tensor) and number.dtype == torch.bool:
        return number
    return torch.as_tensor(number, device=like.device).to(like.dtype)
