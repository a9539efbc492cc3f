"""Epochs and evaluations of many runs as compiled code, the runs' axis last in memory. A faster mode with a tolerance,
never the reference. Knows nothing of Lightning's loop or of files.

Shapes: R runs, S distinct orders, K steps of an epoch, B batch, N samples. A weight that is [...] in one run is
[..., R] here.
"""

import ctypes
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from simplenn.stacking.compiled.coefficients import Cast
from simplenn.stacking.compiled.graphs import evaluation_graph, training_graph, update_graph
from simplenn.stacking.compiled.library import load
from simplenn.stacking.compiled.source import Shapes, Step, evaluation_source, training_source
from simplenn.stacking.compiled.work import EvaluationWork, Threads, TrainingWork, addresses
from simplenn.stacking.memory import MEMORY_SHARE, free_memory
from simplenn.stacking.reasons import CannotCompile
from simplenn.stacking.rules import Coefficients, Rule
from simplenn.stacking.steps import Steps

Weights = dict[str, Tensor]


class State(NamedTuple):
    """Everything that further training depends on, contiguous."""

    weights: Weights  # name -> [..., R]
    slots: dict[str, Weights]  # the optimizer's state: slot -> as the weights that are trained


class Measured(NamedTuple):
    """What an epoch measures."""

    losses: Tensor  # [K, R]
    metrics: dict[str, Tensor]  # name -> [R], means over the epoch's samples


class CompiledEpoch:
    """`train(state, x, y, orders, order_of_run, first_step)` trains all runs for one epoch.

    It compiles at its first call, which takes a C++ compiler and some seconds, if the cache on disk doesn't have the
    code. `known` keeps what is compiled for other runs of the same configuration. Raises `CannotCompile`, or
    `NotStackable`, where it can't be done.
    """

    def __init__(self, steps: Steps, rule: Rule, batch_size: int, known: dict[Hashable, Any]) -> None:
        self._steps = steps
        self._rule = rule
        self._batch_size = batch_size
        named = dict(steps.regressor.named_parameters())
        self._trained = [name for name, weight in named.items() if weight.requires_grad]
        self._others = [name for name in named if name not in self._trained]
        self._shapes = {name: tuple(weight.shape) for name, weight in named.items()}
        self._threads = Threads()
        self._cast = Cast()
        self._known: dict[Hashable, _Compiled] = known

    @torch.no_grad()
    def train(
        self, state: State, x: Tensor, y: Tensor, orders: Tensor, order_of_run: Tensor, first_step: int
    ) -> tuple[State, Measured]:
        """Trains all runs for one epoch, on x [N, ...] and y [N, ...]; the state after it, in tensors of its own.

        `orders` [S, N] has the sample numbers, and `order_of_run` [R] each run's row of it. `first_step` is the number
        of the epoch's first step, from 1, on which the rule's coefficients depend.
        """
        num_steps = -(-len(x) // self._batch_size)
        steps = [self._cast(self._rule.coefficients(first_step + k)) for k in range(num_steps)]
        _check_types([*state.weights.values(), x, y])
        library, metrics = self._training(state, x, y, steps[0])
        names = [name for name, c in steps[0].items() if isinstance(c, Tensor)]
        given = [step[name].to(torch.float32) for step in steps for name in names]
        num_runs = next(iter(state.weights.values())).shape[-1]
        losses = torch.empty(num_steps, num_runs, dtype=torch.float64)  # a loss may be in double precision, too
        measured = torch.empty(len(metrics), num_runs, dtype=torch.float64)
        after = State(_like(state.weights), {slot: _like(by_name) for slot, by_name in state.slots.items()})
        work = TrainingWork(
            *(num_runs, num_steps, len(x), addresses(self._tensors(state)), addresses(self._tensors(after))),
            *(x.data_ptr(), y.data_ptr(), orders.data_ptr(), order_of_run.data_ptr(), addresses(given)),
            (ctypes.c_int64 * len(given))(*(c.dim() for c in given)),
            *(losses.data_ptr(), measured.data_ptr()),
        )
        self._threads.call(library.train, work, num_runs)
        return after, Measured(losses, _typed(metrics, measured))

    @torch.no_grad()
    def evaluate(self, weights: Weights, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """The metrics [R] by name on a batch that all runs share."""
        _check_types([*weights.values(), x, y])
        library, metrics = self._evaluation(weights, x, y)
        num_runs = next(iter(weights.values())).shape[-1]
        measured = torch.empty(len(metrics), num_runs, dtype=torch.float64)
        tensors = list(self._ordered(weights).values())
        work = EvaluationWork(num_runs, addresses(tensors), x.data_ptr(), y.data_ptr(), measured.data_ptr())
        self._threads.call(library.evaluate, work, num_runs)
        return _typed(metrics, measured)

    def _training(self, state: State, x: Tensor, y: Tensor, coefficients: Coefficients) -> "_Compiled":
        # What isn't a tensor is part of the graph.
        kinds = {name: c.dtype if isinstance(c, Tensor) else c for name, c in coefficients.items()}
        key = ("train", x.shape, y.shape, self._rule.slots, *kinds.items())
        if key not in self._known:
            self._known[key] = self._compiled(state, x, y, coefficients)
        return self._known[key]

    def _evaluation(self, weights: Weights, x: Tensor, y: Tensor) -> "_Compiled":
        key = ("evaluate", x.shape, y.shape)
        if key not in self._known:
            first_run = {name: weight[..., 0] for name, weight in self._ordered(weights).items()}
            graph, types = evaluation_graph(self._steps, first_run, x, y)
            source = evaluation_source(self._shapes_of(x, y), Step(len(x), graph))
            self._known[key] = _Compiled(self._loaded(source), types)
        return self._known[key]

    def _compiled(self, state: State, x: Tensor, y: Tensor, coefficients: Coefficients) -> "_Compiled":
        first_run = {name: weight[..., 0] for name, weight in self._ordered(state.weights).items()}
        whole, last = min(self._batch_size, len(x)), len(x) % self._batch_size
        steps, types = [], []
        for size in [whole, *([last] if 0 < last < whole else [])]:
            graph, of_step = training_graph(self._steps, first_run, self._trained, x[:size], y[:size])
            steps.append(Step(size, graph))
            types.append(of_step)
        if any([*of_step.items()] != [*types[0].items()] for of_step in types):
            raise CannotCompile("what a step logs depends on the size of its batch")
        is_mask = [c.dtype == torch.bool for c in coefficients.values() if isinstance(c, Tensor)]
        update = update_graph(self._rule, coefficients)
        return _Compiled(self._loaded(training_source(self._shapes_of(x, y), steps, update, is_mask)), types[0])

    def _loaded(self, source: str) -> ctypes.CDLL:
        library = load(source)
        library.bytes.restype = ctypes.c_int64
        needed = library.bytes() * torch.get_num_threads()  # for a step of as many runs as a vector has
        if needed > MEMORY_SHARE * free_memory():
            raise CannotCompile(f"a step takes {needed / 2**30:.1f} GiB")
        return library

    def _tensors(self, state: State) -> list[Tensor]:
        """In the order that compiled code has them in."""
        slots = [by_name[name] for by_name in state.slots.values() for name in self._trained]
        return [*self._ordered(state.weights).values(), *slots]

    def _ordered(self, weights: Weights) -> Weights:
        """Those that are trained come first."""
        return {name: weights[name] for name in [*self._trained, *self._others]}

    def _shapes_of(self, x: Tensor, y: Tensor) -> Shapes:
        trained, others = ([self._shapes[name] for name in names] for names in (self._trained, self._others))
        return Shapes(trained, others, len(self._rule.slots), tuple(x.shape[1:]), tuple(y.shape[1:]))


class _Compiled(NamedTuple):
    library: ctypes.CDLL
    metrics: dict[str, torch.dtype]  # by name, in their order


def _like(weights: Weights) -> Weights:
    return {name: torch.empty_like(weight) for name, weight in weights.items()}


def _typed(types: Mapping[str, torch.dtype], measured: Tensor) -> dict[str, Tensor]:
    """[R] by name, each in its own precision; `measured` has them in double precision."""
    return {name: values.to(dtype) for (name, dtype), values in zip(types.items(), measured, strict=True)}


def _check_types(tensors: Sequence[Tensor]) -> None:
    wrong = next((tensor for tensor in tensors if tensor.dtype != torch.float32 or tensor.device.type != "cpu"), None)
    if wrong is not None:
        raise CannotCompile(f"weights or data are of {wrong.dtype} on {wrong.device.type}")
