"""What torch's operations become in C++, against torch itself, run by run."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.func import functionalize
from torch.nn import functional

from simplenn.stacking.compiled.body import Body
from simplenn.stacking.compiled.library import load
from simplenn.stacking.compiled.source import Shapes, Step, evaluation_source
from simplenn.stacking.compiled.torch_internals import decompositions, trace
from simplenn.stacking.compiled.translation import translate
from simplenn.stacking.compiled.values import in_memory
from simplenn.stacking.compiled.work import EvaluationWork, Threads, addresses
from simplenn.stacking.reasons import CannotCompile

NUM_RUNS = 19  # which fill no number of vectors
Function = Callable[[Tensor, Tensor], Tensor]  # of a weight [3, 4] and a batch [5, 4]
ODD = torch.tensor([0.0, -0.0, torch.nan, torch.inf, -torch.inf, 1e-42])


def set_in_place(w: Tensor, x: Tensor) -> Tensor:
    copy = x.clone()
    copy[:, 1:3] *= w[0, 1:3]
    copy[2] = w[1]
    return copy


def of_masks(a: Tensor, b: Tensor) -> Tensor:
    masks = (~(a * b), ~(a + b), a == b, a != b, a > 0, a >= b, a < b, a > 0.5, b < 2, b != 2, (a * b) + a)
    return torch.cat([mask.float() for mask in masks])


FUNCTIONS: dict[str, Function] = {
    "sums": lambda w, x: torch.cat([x.sum(0), x.sum(1), w.mean(0), w.sum().view(1), x.mean(1, keepdim=True)[:, 0]]),
    "long sums": lambda w, x: torch.cat([(x.repeat(40, 1) * w[0]).sum(0), (x.repeat(20, 5) * w[0, 0]).sum(0)]),
    "double sums": lambda w, x: (x.double() * w[0].double()).mean().float(),
    "extremes": lambda w, x: torch.cat([w.amax(0), x.amin(1), w.amax().view(1)]),
    "products": lambda w, x: x @ w.T @ w,
    "batched products": lambda w, x: torch.bmm(torch.stack([x, 2 * x]), torch.stack([w.T, w.T + 1])),
    "wide product": lambda w, x: x.repeat(1, 5) @ w.repeat(1, 5).T @ w.repeat(1, 3),
    "bias": lambda w, x: functional.linear(x, w, w[:, 0]),
    "arithmetic": lambda w, x: (x + 2 * w[0] - w[1] / 3).div(w[2].square() + 1).neg().add(w[0], alpha=0.3),
    "powers": lambda w, x: torch.cat([x**2, x**3, x.abs() ** 0.5, (1 + x.abs()) ** -1, (2 + x.abs()) ** -0.5]),
    "another power": lambda w, x: (x.abs() + 1) ** 1.7,
    "exponentials": lambda w, x: torch.cat([x.exp(), x.abs().log(), x.abs().log1p(), x.expm1(), x.sin(), x.cos()]),
    "activations": lambda w, x: torch.cat([x.relu(), x.tanh(), x.sigmoid(), functional.silu(x), functional.gelu(x)]),
    "more activations": lambda w, x: torch.cat(
        [functional.leaky_relu(x), functional.elu(x), functional.softplus(x), functional.hardtanh(x), x.erf()]
    ),
    "roots": lambda w, x: torch.cat([x.abs().sqrt(), (x.abs() + 0.1).rsqrt(), x.reciprocal(), x.sign()]),
    "limits": lambda w, x: torch.cat([x.clamp(-0.5, 0.5), x.clamp(min=0), torch.maximum(x, w[0])]),
    "choices": lambda w, x: torch.where((x > 0) & (w[0] <= 0.5) | ~(x < 1), x, w[1]),
    "comparisons": lambda w, x: (x >= w[0]).float() + (x == x).float() + (x != w[1]).float(),
    "masks": lambda w, x: of_masks(x > 0, x < w[0]),
    "limits of masks": lambda w, x: (~torch.maximum(x > 0, x < 1)).float() + 2 * (~torch.minimum(x > 0, x < 1)).float(),
    "a threshold in double precision": lambda w, x: (
        (x * 0 + 1 / 3 == (x[0, 0] * 0 + 1).double() / 3).float()
        + (x * 0 + 0.1 <= (x[0, 0] * 0 + 1).double() / 10).float()
    ),
    "views": lambda w, x: x.T.reshape(2, 10)[1].flip(0).unsqueeze(0).expand(3, 10).permute(1, 0).reshape(-1),
    "parts": lambda w, x: torch.cat([*x.split([2, 2], 1), x[:, ::2], x.select(1, -1)[:, None]], 1),
    "set in place": set_in_place,
    "softmax": lambda w, x: torch.cat([functional.softmax(x, 1), functional.log_softmax(x * 5, 0)]),
    "norm": lambda w, x: functional.layer_norm(x, (4,), w[0], w[1]),
    "odd numbers": lambda w, x: torch.cat([(ODDS := w[2, 0] * 0 + x[4, 0].expand(4)).relu(), ODDS.clamp(-1, 1)]),
    "conversions": lambda w, x: (x.double() * 1.1).float() + (x > 0).double().float(),
    "constants": lambda w, x: torch.ones_like(x) * 2 + torch.zeros(4) + torch.full((5, 4), 0.1),
}


def by_runs(function: Function, weights: Tensor, x: Tensor) -> Tensor:
    return torch.stack([function(weight, x).flatten().double() for weight in weights], 1)


@pytest.fixture(scope="module")
def computed() -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Weights [R, 3, 4], a batch, and what all functions give for it, by name, [numbers, R]: in one compiled call."""
    torch.manual_seed(0)
    weights, x = torch.randn(NUM_RUNS, 3, 4), torch.randn(5, 4)
    sizes = [function(weights[0], x).numel() for function in FUNCTIONS.values()]

    def all_numbers(weight: list[Tensor], x: Tensor, y: Tensor) -> list[Tensor]:
        return [number for f in FUNCTIONS.values() for number in f(weight[0], x).flatten().double().unbind()]

    y = torch.zeros(5, 1)
    graph = trace(functionalize(all_numbers), ([weights[0]], x, y), decompositions())
    library = load(evaluation_source(Shapes([(3, 4)], [], 0, (4,), (1,)), Step(5, graph)))
    rows, results = weights.movedim(0, -1).contiguous(), torch.empty(sum(sizes), NUM_RUNS, dtype=torch.float64)
    work = EvaluationWork(NUM_RUNS, addresses([rows]), x.data_ptr(), y.data_ptr(), results.data_ptr())
    Threads().call(library.evaluate, work, NUM_RUNS)
    return weights, x, dict(zip(FUNCTIONS, results.split(sizes), strict=True))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_operation_gives_what_torch_gives_for_each_run(
    name: str, computed: tuple[Tensor, Tensor, dict[str, Tensor]]
) -> None:
    weights, x, found = computed
    expected = by_runs(FUNCTIONS[name], weights, x)
    torch.testing.assert_close(found[name], expected, rtol=2e-6, atol=2e-6, equal_nan=True)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda w, x: torch.linalg.qr(w)[0], "linalg_qr.default has no rule for many runs"),
        (lambda w, x: torch.rand(3) + w.sum(), "rand.default has no rule for many runs"),
        (lambda w, x: w.double() @ x.double().T, "a product in torch.float64"),
        (lambda w, x: x.long().float(), "computes with torch.int64"),
        (lambda w, x: w[:, :0] @ x.T[:0], "an empty product"),
        (lambda w, x: x + torch.tensor([1.0, 2.0, 3.0, 4.0]), "holds a tensor that is not a parameter"),
    ],
)
def test_what_has_no_rule_is_refused(function: Function, reason: str) -> None:
    graph = trace(functionalize(function), (torch.randn(3, 4), torch.randn(5, 4)), decompositions())
    inputs = [in_memory("w", (3, 4), torch.float32), in_memory("x", (5, 4), torch.float32)]
    with pytest.raises(CannotCompile, match=reason):
        translate(graph, inputs, Body())


def test_arrays_that_are_needed_at_once_lie_apart() -> None:
    """And what is read no more makes room for others."""
    body = Body()
    first, second, third = (body.temporary((8,), torch.float32) for _ in range(3))
    body.statements += [f"{first.array}[0] = x;", f"{second.array}[0] = {first.array}[0];"]
    body.statements += [f"{third.array}[0] = {second.array}[0];"]
    declarations, size = body.memory()
    assert [int(line.rsplit("+", 1)[1].rstrip(");")) for line in declarations] == [0, 8, 0]
    assert size == 16
