"""One run's computation carried over to many runs with their axis last, against the same for each run by itself."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.export import default_decompositions
from torch.nn import functional

from simplenn.stacking.compiled.runs_last import BY_VMAP, RunsLast, _by_vmap
from simplenn.stacking.compiled.torch_internals import trace

aten = torch.ops.aten
NUM_RUNS = 3


def of_run(value: Any, run: int) -> Any:
    """Of a tensor [..., R or 1] the run's [...]."""
    return value[..., run % value.shape[-1]] if isinstance(value, Tensor) else value


CALLS: list[tuple[Any, tuple[Any, ...]]] = [
    (aten.bmm.default, (torch.randn(2, 4, 5, NUM_RUNS), torch.randn(2, 5, 3, NUM_RUNS))),
    (aten.bmm.default, (torch.randn(2, 4, 5, NUM_RUNS), torch.randn(2, 5, 3, 1))),  # the same for all runs
    (aten._softmax.default, (torch.randn(4, 5, NUM_RUNS), -1, False)),
    (aten.cumsum.default, (torch.randn(4, 5, NUM_RUNS), 1)),
    (aten.select.int, (torch.randn(4, 5, NUM_RUNS), 1, -1)),
    (aten.sort.default, (torch.randn(4, 5, NUM_RUNS), 0)),  # two results
    (aten.native_layer_norm.default, (torch.randn(4, 5, NUM_RUNS), [5], torch.randn(5, 1), None, 1e-5)),
]


@pytest.mark.parametrize(("operation", "arguments"), CALLS, ids=[str(call[0]) for call in CALLS])
def test_an_operation_by_vmap_gives_what_it_gives_for_each_run(operation: Any, arguments: tuple[Any, ...]) -> None:
    """Whichever of its arguments all runs share, and however many results it has."""
    assert operation in BY_VMAP
    found = _by_vmap(operation, arguments, {})
    results = found if isinstance(found, tuple) else (found,)
    for run in range(NUM_RUNS):
        own = operation(*(of_run(argument, run) for argument in arguments))
        expected = own if isinstance(own, tuple) else (own,)
        for result, one in zip(results, expected, strict=True):
            torch.testing.assert_close(result[..., run], one)


def test_a_result_that_an_operation_leaves_out_stays_out() -> None:
    """An operation's backward may have nothing for an input that needs no gradient."""
    x, kernel = torch.randn(2, 3, 4, 4, NUM_RUNS), torch.randn(4, 3, 3, 3, NUM_RUNS)
    grad = torch.randn(2, 4, 4, 4, NUM_RUNS)
    rest = ([4], [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [False, True, True])
    nothing, of_kernel, of_bias = _by_vmap(aten.convolution_backward.default, (grad, x, kernel, *rest), {})
    assert nothing is None
    for run in range(NUM_RUNS):
        own = aten.convolution_backward.default(grad[..., run], x[..., run], kernel[..., run], *rest)
        torch.testing.assert_close(of_kernel[..., run], own[1])
        torch.testing.assert_close(of_bias[..., run], own[2])


def perceptron(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    hidden = functional.linear(x, weights["w"], weights["b"]).tanh()
    return (hidden.transpose(0, 1) - hidden.mean(0).unsqueeze(-1)).square().sum()


def normed(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    return functional.softmax(functional.layer_norm(x @ weights["w"].T, (4,), weights["b"]), dim=-1).mean(-1)


@pytest.mark.parametrize(("function", "in_rules"), [(perceptron, True), (normed, False)])
def test_a_graph_run_for_many_runs_gives_what_it_gives_for_each(
    function: Callable[..., Tensor], in_rules: bool
) -> None:
    """With weights of each run's own, and a batch that is the same for all."""
    weights = {"w": torch.randn(4, 3, NUM_RUNS), "b": torch.randn(4, NUM_RUNS)}
    x = torch.randn(5, 3, 1)
    one_run = {name: weight[..., 0] for name, weight in weights.items()}
    graph = RunsLast(trace(function, (one_run, x[..., 0]), default_decompositions()))
    assert graph.in_rules == in_rules
    found = graph.run(*weights.values(), x)
    for run in range(NUM_RUNS):
        own = {name: weight[..., run] for name, weight in weights.items()}
        torch.testing.assert_close(found[..., run], function(own, x[..., 0]))


def test_an_operation_that_has_not_been_tried_is_refused() -> None:
    graph = trace(lambda x: torch.linalg.qr(x)[0], (torch.randn(3, 3),), default_decompositions())
    with pytest.raises(NotImplementedError, match="has not been tried for many runs"):
        RunsLast(graph).run(torch.randn(3, 3, NUM_RUNS))


def test_a_tensor_within_the_network_is_refused() -> None:
    """The graph would have it once, whatever each run's own may be."""
    graph = trace(lambda x: x + torch.tensor([1.0, 2.0, 3.0]), (torch.randn(3),), None)
    assert "get_attr" in {node.op for node in graph.graph.nodes}
    with pytest.raises(NotImplementedError, match="a tensor that is not a parameter"):
        RunsLast(graph).run(torch.randn(3, NUM_RUNS))
