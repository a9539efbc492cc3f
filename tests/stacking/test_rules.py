"""The update rules of many runs, against torch.optim run by run."""

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from simplenn.stacking.optimizer import StackedOptimizer, hyperparameters

SHAPES = ((4, 3), (4,), (1, 4), (1,), (9, 7))
NUM_STEPS = 32
LRS = [10.0**exponent for exponent in (-6, -4, -2.5, -1, 0, 2, 8, 30)]  # from tiny to diverging
BETAS = [[0.9, 0.999], [0.0, 0.5], [0.4, 0.99]]
DECAYS = [0.0, 0.01, 0.3]
CASES: list[tuple[type, dict[str, list[Any]], dict[str, bool]]] = [
    (torch.optim.SGD, {"momentum": [0.0, 0.9, 0.5], "dampening": [0.0, 0.3], "weight_decay": DECAYS}, {}),
    (torch.optim.SGD, {"momentum": [0.9, 0.5], "weight_decay": DECAYS}, {"nesterov": True}),
    (torch.optim.Adam, {"betas": BETAS, "eps": [1e-8, 1e-3], "weight_decay": DECAYS}, {}),
    (torch.optim.Adam, {"betas": BETAS, "weight_decay": DECAYS}, {"amsgrad": True}),
    (torch.optim.AdamW, {"betas": BETAS, "eps": [1e-8, 1e-3], "weight_decay": DECAYS}, {}),
    (torch.optim.AdamW, {"betas": BETAS, "weight_decay": DECAYS}, {"amsgrad": True}),
    (torch.optim.RMSprop, {"alpha": [0.99, 0.5], "weight_decay": DECAYS, "momentum": [0.0, 0.9]}, {}),
    (torch.optim.RMSprop, {"alpha": [0.99, 0.5], "momentum": [0.0, 0.9]}, {"centered": True}),
    (
        torch.optim.Adagrad,
        {"lr_decay": [0.0, 0.1], "weight_decay": DECAYS, "initial_accumulator_value": [0.0, 0.5], "eps": [1e-10, 1e-3]},
        {},
    ),
]
IDS = [f"{kind.__name__}-{next(iter(switches), 'plain')}" for kind, _, switches in CASES]


def assert_equal_bits(one: Tensor, other: Tensor, what: str) -> None:
    """NaNs count as equal, whatever their payload; 0 and -0 don't."""
    assert torch.equal(one.isnan(), other.isnan()), what
    ours, theirs = one.nan_to_num(0.0, torch.inf, -torch.inf), other.nan_to_num(0.0, torch.inf, -torch.inf)
    assert torch.equal(ours.view(torch.int32), theirs.view(torch.int32)), what


def compare(kind: type, runs: list[dict[str, Any]], num_steps: int = NUM_STEPS) -> None:
    """Trains the runs together and one by one on the same gradients, and holds weights and state together."""
    generator = torch.Generator().manual_seed(0)
    initial = [torch.randn(len(runs), *shape, generator=generator) for shape in SHAPES]
    stacked = [nn.Parameter(weight.clone()) for weight in initial]
    alone = [[nn.Parameter(weight[r].clone()) for weight in initial] for r in range(len(runs))]
    optimizers = [kind(weights, **run) for weights, run in zip(alone, runs, strict=True)]
    columns = {f"optimizer.{key}": [run[key] for run in runs] for key in runs[0]}
    optimizer = StackedOptimizer(stacked, kind, hyperparameters(optimizers[0].defaults, columns))
    for step in range(num_steps):
        for i, weight in enumerate(stacked):
            weight.grad = torch.randn(weight.shape, generator=generator) * 10.0 ** (step % 7 - 3)
            weight.grad[:, ..., 0] *= step % 2  # a dead unit has gradients of exactly 0
            for r in range(len(runs)):
                alone[r][i].grad = weight.grad[r].clone()
        optimizer.step()
        for one in optimizers:
            one.step()
    for r, (weights, one) in enumerate(zip(alone, optimizers, strict=True)):
        for i, weight in enumerate(weights):
            assert_equal_bits(stacked[i][r].detach(), weight.detach(), f"weight {i} of {runs[r]}")
            slots = {slot: value for slot, value in one.state[weight].items() if slot != "step" and value is not None}
            absent = {slot for slot, runs_without in optimizer.rule.absent.items() if runs_without[r]}
            assert set(slots) == set(optimizer.slots) - absent
            for slot, value in slots.items():
                assert_equal_bits(optimizer.slots[slot][i][r], value, f"{slot} {i} of {runs[r]}")


@pytest.mark.parametrize(("kind", "numbers", "switches"), CASES, ids=IDS)
def test_rule_equals_torch_at_every_learning_rate(
    kind: type, numbers: dict[str, list[Any]], switches: dict[str, bool]
) -> None:
    """With learning rates of their own and all else alike, each run has bit for bit what torch.optim gives it."""
    for place in (0, -1):
        compare(kind, [{"lr": lr, **{key: values[place] for key, values in numbers.items()}, **switches} for lr in LRS])


@pytest.mark.parametrize(("kind", "numbers", "switches"), CASES, ids=IDS)
def test_rule_equals_torch_where_runs_agree(
    kind: type, numbers: dict[str, list[Any]], switches: dict[str, bool]
) -> None:
    """Runs that agree in every number, and a single run, have bit for bit what torch.optim gives them."""
    one = {"lr": 0.01, **{key: values[-1] for key, values in numbers.items()}, **switches}
    compare(kind, [one] * 3)
    compare(kind, [one])


@pytest.mark.parametrize(("kind", "numbers", "switches"), CASES, ids=IDS)
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(drawn=st.data())
def test_rule_equals_torch_with_numbers_mixed(
    kind: type, numbers: dict[str, list[Any]], switches: dict[str, bool], drawn: st.DataObject
) -> None:
    """Whatever the runs' numbers, 0 beside others included, each run has bit for bit what torch.optim gives it."""
    rate = st.floats(1e-6, 10.0) if drawn.draw(st.booleans()) else st.just(0.1)
    run = st.fixed_dictionaries({"lr": rate, **{key: st.sampled_from(values) for key, values in numbers.items()}})
    compare(kind, [one | switches for one in drawn.draw(st.lists(run, min_size=2, max_size=6))])
