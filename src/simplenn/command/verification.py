"""Trains a few runs of a sweep's stacks once more, each by itself and at full length, and compares."""

import logging
import tempfile
from collections.abc import Container, Sequence
from pathlib import Path

from simplenn.groups import RunGroup
from simplenn.groups.columns import config_of
from simplenn.rundir import Run, checkpoint, read_rows
from simplenn.setup import build_run
from simplenn.stacking import (
    NOT_AS_SINGLE,
    TOLERANCE,
    Difference,
    SingleRun,
    first_difference,
    is_exact,
)
from simplenn.sweep.parts import Part, read_group
from simplenn.training import train

log = logging.getLogger(__name__)


def verify(groups: Sequence[RunGroup], count: int) -> bool:
    """Trains `count` runs of the groups by themselves and logs how they compare; whether all keep what is promised."""
    places = [(group, run) for group in groups for run in range(len(group))]
    if not places:
        log.info("verify: nothing to verify, as no runs have trained together")
        return True
    runs = [places[i] for i in chosen([_learning_rate(group, run) for group, run in places], count)]
    are_good, are_equal = True, True
    for group, run in runs:
        beyond, bits = compare(group, run)
        are_good, are_equal = are_good and beyond is None, are_equal and bits
        if beyond is not None:
            log.error("verify: %s %s: %s", group.names[run], NOT_AS_SINGLE, beyond)
    if are_good:
        how = "equal bit for bit" if are_equal else f"within {TOLERANCE:g} of their way"
        log.info("verified %d runs by themselves: status, metrics and weights %s", len(runs), how)
    return are_good


def verify_parts(parts: Sequence[Part], count: int, trained: Container[str] | None = None) -> bool:
    """As `verify`, of runs in the parts of a sweep, of which only those are read that are trained again: those of the
    identities in `trained`, where it is given, as what was there before may have been trained by other code."""
    places, rates = [], []
    for part in parts:
        for row, (own, rate) in enumerate(zip(part.runs()["identity"], _learning_rates(part), strict=True)):
            if trained is None or own in trained:
                places.append((part, row))
                rates.append(rate)
    runs = [places[place] for place in chosen(rates, count)]
    return verify([read_group(part, [row]) for part, row in runs], len(runs))


def _learning_rates(part: Part) -> list[float]:
    runs = part.runs()
    if "column/optimizer.lr" in runs.columns:
        return [float(rate) for rate in runs["column/optimizer.lr"].to_list()]
    return [float(part.cfg.optimizer.get("lr", 0.0))] * len(runs)


def compare(group: RunGroup, run: int) -> tuple[Difference | None, bool]:
    """The first difference beyond what is promised of this run, and whether it is equal bit for bit."""
    one = config_of(group.cfg, group.columns, run)
    one.quiet, one.progress, one.show_outputs = True, "none", False
    with tempfile.TemporaryDirectory() as folder:
        directory = Run(Path(folder))
        result = train(one, directory.directory)
        rows = read_rows(directory.metrics_file)
        weights = checkpoint.load(directory.checkpoint("last"))["state_dict"]
    single = SingleRun(result.status, result.message, result.epoch, rows, weights)
    regressor, _ = build_run(one)
    exact = is_exact(one, regressor.network)
    initial = regressor.state_dict()
    different = first_difference(group.ended, run, single, initial, exact=True)
    beyond = different if exact else first_difference(group.ended, run, single, initial, exact=False)
    return beyond, different is None


def chosen(learning_rates: Sequence[float], count: int) -> list[int]:
    """The numbers of `count` runs: those with the lowest and the highest learning rate, the others evenly between."""
    order = sorted(range(len(learning_rates)), key=lambda run: learning_rates[run])
    count = min(count, len(order))
    if count < 2:
        return order[-count:] if count else []
    return [order[round(i * (len(order) - 1) / (count - 1))] for i in range(count)]


def _learning_rate(group: RunGroup, run: int) -> float:
    values = group.columns.get("optimizer.lr")
    return float(values[run] if values else group.cfg.optimizer.get("lr", 0.0))
