"""Whether a run of a stack has the numbers that it has alone: bit for bit where that is promised, else closely.

Closely: a weight is apart by less than `TOLERANCE` of the way that training moved it, a metric by less than this share
of its largest value, the optimizer's state by less than this share of itself.

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
from simplenn.stacking.engine import wants_compiler

TOLERANCE = 1e-3
ROUNDING = 1e-6  # of a weight itself: single precision can't tell less
WIDEST = 4  # products of this size at most are the same alone and in a batch, but for 4 by 4

Named = Mapping[str, Tensor]


@dataclass(frozen=True)
class Alone:
    """What a run left that trained by itself; `optimizer` is slot -> state by weight's name, `None` where unknown."""

    status: str
    message: str
    epoch: int
    rows: Sequence[Mapping[str, float]]
    weights: Named
    optimizer: Mapping[str, Named] | None = None


@dataclass(frozen=True)
class Difference:
    """The first by which two runs are apart; epochs count from 1."""

    epoch: int
    what: str
    size: str

    def __str__(self) -> str:
        return f"{self.what} differs by {self.size} in epoch {self.epoch}"


def is_exact(cfg: DictConfig, network: nn.Module) -> bool:
    """Whether equality bit for bit is promised: the shipped network in a shape whose products always round alike."""
    on_cpu = cfg.trainer.get("accelerator", "auto") == "cpu" or not torch.accelerator.is_available()
    rounds_alike = torch.backends.mkl.is_available() and os.environ.get("MKL_CBWR") == "COMPATIBLE"
    eager = str(cfg.trainer.get("precision", "32-true")) in ("32", "32-true") and not wants_compiler(cfg)
    shipped = type(network) is SimpleNN and isinstance(network.activation, nn.ReLU | nn.Tanh)
    shapes = [weight.shape for weight in network.parameters()]
    narrow = all(max(shape, default=1) <= WIDEST and tuple(shape) != (WIDEST, WIDEST) for shape in shapes)
    return on_cpu and rounds_alike and eager and shipped and narrow


def first_difference(outcome: Outcome, run: int, alone: Alone, initial: Named, *, exact: bool) -> Difference | None:
    """Where run number `run` of the outcome isn't as it is alone, having begun with the weights `initial`."""
    return next(_differences(outcome, run, alone, initial, exact), None)


def _differences(outcome: Outcome, run: int, alone: Alone, initial: Named, exact: bool) -> Iterator[Difference]:
    yield from _of_metrics(outcome, run, alone, exact)
    ends = [(outcome.status[run], outcome.epoch[run], outcome.message[run]), (alone.status, alone.epoch, alone.message)]
    if ends[0][: 3 if exact else 2] != ends[1][: 3 if exact else 2]:
        yield Difference(alone.epoch, "its end", f"{' '.join(map(str, ends[0]))!r} against {ends[1][0]!r}")
    for name, weight in alone.weights.items():
        ours, start = outcome.last.weights[name][run], initial[name]
        near = TOLERANCE * _norm(weight - start) + ROUNDING * _norm(start)
        if not _agree(ours, weight, 0.0 if exact else near):
            way = _norm(weight - start) or 1.0
            yield Difference(len(alone.rows), name, f"{_norm(ours - weight) / way:.2g} of its way")
    for slot, states in (alone.optimizer or {}).items():
        for name, state in states.items():
            ours = outcome.last.optimizer[slot][name][run] if slot in outcome.last.optimizer else torch.tensor(math.nan)
            if not _agree(ours, state, 0.0 if exact else TOLERANCE * _norm(state)):
                size = f"{_norm(ours - state) / (_norm(state) or 1.0):.2g} of itself"
                yield Difference(len(alone.rows), f"the optimizer's {slot} of {name}", size)


def _of_metrics(outcome: Outcome, run: int, alone: Alone, exact: bool) -> Iterator[Difference]:
    names = dict.fromkeys([*(name for row in alone.rows for name in row), *outcome.curves])
    curves = {name: outcome.curves[name][:, run].tolist() if name in outcome.curves else [] for name in names}
    expected = {name: [row.get(name, math.nan) for row in alone.rows] for name in names}
    scale = {name: max((abs(v) for v in values if math.isfinite(v)), default=0.0) for name, values in expected.items()}
    for epoch in range(1, max(len(outcome.steps), len(alone.rows)) + 1):
        for name in names:
            if name in ("epoch", "step"):
                continue
            a, b = (
                values[epoch - 1] if epoch <= len(values) else math.nan for values in (curves[name], expected[name])
            )
            near = a == b if exact else abs(a - b) <= TOLERANCE * scale[name]
            if not near and not (math.isnan(a) and math.isnan(b)):
                yield Difference(epoch, name, f"{abs(a - b):.2g}")


def _agree(a: Tensor, b: Tensor, near: float) -> bool:
    same = a.shape == b.shape and torch.equal(a.isnan(), b.isnan())
    return same and (torch.equal(a.nan_to_num(), b.nan_to_num()) if near == 0.0 else _norm(a - b) <= near)


def _norm(tensor: Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor.double()))
