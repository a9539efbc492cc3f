"""Trains a few runs of a stack once more, alone, and says how far the numbers differ. The stack's promise, tried.

Shapes: R runs, T epochs.
"""

import tempfile
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from simplenn import checkpoint
from simplenn.metrics import read_rows
from simplenn.run import Run
from simplenn.stacking import Outcome
from simplenn.sweep.batch import Batch
from simplenn.training import build_run, train


@dataclass(frozen=True)
class Difference:
    """The largest over some runs: of a metric, in itself; of a weight, as a share of how far training moved it."""

    metric: float = 0.0
    weight: float = 0.0

    def __or__(self, other: "Difference") -> "Difference":
        return Difference(max(self.metric, other.metric), max(self.weight, other.weight))


def chosen(learning_rates: Sequence[float], count: int) -> list[int]:
    """The numbers of `count` runs: the lowest and the highest learning rate first, then evenly from between."""
    order = sorted(range(len(learning_rates)), key=lambda run: learning_rates[run])
    count = min(count, len(order))
    if count < 2:
        return order[-count:] if count else []
    return [order[round(i * (len(order) - 1) / (count - 1))] for i in range(count)]


def config_of(cfg: DictConfig, columns: dict[str, list[Any]], run: int) -> DictConfig:
    """The configuration of one run of a stack."""
    one = deepcopy(cfg)
    for key, values in columns.items():
        OmegaConf.update(one, key, values[run])
    return one


def compare(cfg: DictConfig, columns: dict[str, list[Any]], outcome: Outcome, run: int) -> Difference:
    """Trains run number `run` alone and compares every epoch's metrics and the final weights."""
    one = config_of(cfg, columns, run)
    one.quiet, one.progress = True, "none"
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        train(one, directory)
        rows = {int(row["epoch"]): row for row in read_rows(Run(directory).metrics_file)}
        alone = checkpoint.load(Run(directory).checkpoint("last"))["state_dict"]
    metric = 0.0
    for name, curve in outcome.curves.items():
        for epoch, value in enumerate(curve[:, run].tolist(), 1):
            expected = rows.get(epoch, {}).get(name, float("nan"))
            if value == value or expected == expected:  # a cell that neither has is no difference
                metric = max(metric, _distance(value, expected))
    initial = build_run(one)[0].state_dict()
    weight = 0.0
    for name, values in outcome.last.weights.items():
        moved = float((alone[name].cpu() - initial[name].cpu()).abs().max())
        apart = float((values[run] - alone[name].cpu()).abs().max())
        weight = max(weight, apart / moved if moved else apart)
    return Difference(metric, weight)


def _distance(value: float, expected: float) -> float:
    return abs(value - expected) if value == value and expected == expected else float("inf")


def verified(batches: Sequence[Batch], count: int) -> str:
    """Trains `count` runs of the batches alone; a line that says how far they differ."""
    places = [(batch, run) for batch in batches for run in range(len(batch))]
    if not places:
        return "nothing to verify: no runs have trained together"
    rates = [_learning_rate(batch, run) for batch, run in places]
    runs = [places[i] for i in chosen(rates, count)]
    difference = Difference()
    for batch, run in runs:
        difference |= compare(batch.cfg, batch.columns, batch.outcome, run)
    if difference == Difference():
        return f"verified {len(runs)} runs alone: metrics and weights equal bit for bit"
    return (
        f"verified {len(runs)} runs alone: metrics differ by at most {difference.metric:.2g}, "
        f"weights by {difference.weight:.2g} of their way from the initial ones"
    )


def _learning_rate(batch: Batch, run: int) -> float:
    values = batch.columns.get("optimizer.lr")
    return float(values[run] if values else batch.cfg.optimizer.get("lr", 0.0))
