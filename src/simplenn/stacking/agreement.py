"""Whether a run of a stack has the numbers that it has when it trains by itself: bit for bit where that is promised,
elsewhere closely.

Closely means: a weight is off by less than `TOLERANCE` of the way that training moved it, a metric by less than this
share of its largest value, the optimizer's state by less than this share of itself.

Shapes: R runs, T epochs; a weight of one run is [...].
"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from simplenn.groups.outcome import Outcome
from simplenn.network import SimpleNN
from simplenn.stacking.engine import must_compile

TOLERANCE = 1e-3
NOT_AS_SINGLE = "differs from the same run trained by itself"  # what is said of a run, before the `Difference`
ROUNDING = 1e-6  # of a weight itself: in single precision, smaller differences can't be told from rounding
WIDEST = 4  # matrix products of up to this size round alike for one run and for many, except 4 by 4

Named = Mapping[str, Tensor]


@dataclass(frozen=True)
class SingleRun:
    """What a run left that trained by itself; fields as in a run's `result.json`."""

    status: str
    message: str
    epoch: int
    rows: Sequence[Mapping[str, float]]  # an epoch's metrics each
    weights: Named
    optimizer: Mapping[str, Named] | None = None  # slot -> state by the weight's name; `None` where it isn't known


@dataclass(frozen=True)
class Difference:
    """The first thing in which two runs differ; epochs count from 1."""

    epoch: int
    what: str
    size: str

    def __str__(self) -> str:
        return f"{self.what} differs by {self.size} in epoch {self.epoch}"


def is_exact(cfg: DictConfig, network: nn.Module) -> bool:
    """Whether equality bit for bit is promised: for the shipped network, in shapes whose products round alike."""
    on_cpu = cfg.trainer.get("accelerator", "auto") == "cpu" or not torch.accelerator.is_available()
    rounds_alike = torch.backends.mkl.is_available() and os.environ.get("MKL_CBWR") == "COMPATIBLE"
    is_single_precision = str(cfg.trainer.get("precision", "32-true")) in ("32", "32-true")
    is_asked = not must_compile(cfg)  # which also takes compiled code that is only close
    is_shipped = type(network) is SimpleNN and isinstance(network.activation, nn.ReLU | nn.Tanh)
    shapes = [weight.shape for weight in network.parameters()]
    is_narrow = all(max(shape, default=1) <= WIDEST and tuple(shape) != (WIDEST, WIDEST) for shape in shapes)
    return on_cpu and rounds_alike and is_single_precision and is_asked and is_shipped and is_narrow


def single_run(outcome: Outcome, run: int) -> SingleRun:
    """Run number `run` of a stack's outcome, as if it had trained by itself."""
    rows = [
        {name: float(values[epoch, run]) for name, values in outcome.curves.items()}
        for epoch in range(len(outcome.steps))
    ]
    weights = {name: weight[run] for name, weight in outcome.last.weights.items()}
    optimizer = {
        slot: {name: state[run] for name, state in states.items()} for slot, states in outcome.last.optimizer.items()
    }
    return SingleRun(outcome.status[run], outcome.message[run], outcome.epoch[run], rows, weights, optimizer)


def first_difference(
    outcome: Outcome, run: int, single: SingleRun, initial: Named, *, exact: bool
) -> Difference | None:
    """Where run number `run` of a stack's outcome first differs from the same run by itself, if it does.

    Both began with the weights `initial`. With `exact`, every bit must be the same.
    """
    return next(_differences(outcome, run, single, initial, exact), None)


def _differences(outcome: Outcome, run: int, single: SingleRun, initial: Named, exact: bool) -> Iterator[Difference]:
    yield from _of_metrics(outcome, run, single, exact)
    ours = (outcome.status[run], outcome.epoch[run], outcome.message[run])
    theirs = (single.status, single.epoch, single.message)
    num_compared = 3 if exact else 2  # a message has the value of a loss, and the step
    if ours[:num_compared] != theirs[:num_compared]:
        yield Difference(single.epoch, "its end", f"{' '.join(map(str, ours))!r} against {single.status!r}")
    for name, weight in single.weights.items():
        stacked, start = outcome.last.weights[name][run], initial[name]
        way = _norm(weight - start)
        if not _is_near(stacked, weight, 0.0 if exact else TOLERANCE * way + ROUNDING * _norm(start)):
            yield Difference(len(single.rows), name, f"{_norm(stacked - weight) / (way or 1.0):.2g} of its way")
    for slot, states in (single.optimizer or {}).items():
        ours_by_name = outcome.last.optimizer.get(slot)
        for name, state in states.items():
            stacked = torch.tensor(math.nan) if ours_by_name is None else ours_by_name[name][run]
            if not _is_near(stacked, state, 0.0 if exact else TOLERANCE * _norm(state)):
                size = f"{_norm(stacked - state) / (_norm(state) or 1.0):.2g} of itself"
                yield Difference(len(single.rows), f"the optimizer's {slot} of {name}", size)


def _of_metrics(outcome: Outcome, run: int, single: SingleRun, exact: bool) -> Iterator[Difference]:
    """Epoch by epoch; a metric that one of the two doesn't have counts as NaN."""
    names = [name for row in single.rows for name in row if name not in ("epoch", "step")]
    names = list(dict.fromkeys([*names, *outcome.curves]))
    num_epochs = max(len(outcome.steps), len(single.rows))
    stacked, expected = {}, {}
    for name in names:
        stacked[name] = _filled(outcome.curves[name][:, run].tolist() if name in outcome.curves else [], num_epochs)
        expected[name] = _filled([row.get(name, math.nan) for row in single.rows], num_epochs)
    scale = {name: _largest(values) for name, values in expected.items()}
    for epoch in range(1, num_epochs + 1):
        for name in names:
            a, b = stacked[name][epoch - 1], expected[name][epoch - 1]
            is_near = a == b if exact else abs(a - b) <= TOLERANCE * scale[name]
            if not is_near and not (math.isnan(a) and math.isnan(b)):
                yield Difference(epoch, name, f"{abs(a - b):.2g}")


def _filled(values: list[float], num_epochs: int) -> list[float]:
    return values + [math.nan] * (num_epochs - len(values))


def _largest(values: Sequence[float]) -> float:
    return max((abs(value) for value in values if math.isfinite(value)), default=0.0)


def _is_near(a: Tensor, b: Tensor, distance: float) -> bool:
    """NaNs count as equal, wherever both have them."""
    if a.shape != b.shape or not torch.equal(a.isnan(), b.isnan()):
        return False
    return torch.equal(a.nan_to_num(), b.nan_to_num()) if distance == 0.0 else _norm(a - b) <= distance


def _norm(tensor: Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor.double()))
