"""The last lines of a run: how it ended, where it is, how to review it. Imports no torch."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from simplenn.rundir.run import Result

log = logging.getLogger(__name__)


def say_run(result: Result, directory: Path, alone: bool = True) -> None:
    """One line of final metrics and, for a run `alone`, its directory and the command that opens the review."""
    log.info(run_line(result))
    if alone:
        log.info("run:    %s", shown(directory))
        log.info("review: tensorboard --logdir %s", shown(logdir(directory)))


def run_line(result: Result) -> str:
    """How a run ended."""
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in result.metrics.items() if name != "lr")
    epochs = "epoch" if result.epoch == 1 else "epochs"
    how = result.message if result.status == "diverged" else f"{result.status} after {result.epoch} {epochs}"
    return f"{how}, {result.seconds:.1f} s: {metrics or 'no metrics'}"


def output_lines(inputs: Sequence[Sequence[float]], outputs: Sequence[float], targets: Sequence[float]) -> list[str]:
    """The network's output for each sample, beside the target."""
    rows = zip(inputs, outputs, targets, strict=True)
    return ["Model output:"] + [f"  {[round(v, 4) for v in x]} -> {y:.4f} (target {t:g})" for x, y, t in rows]


def logdir(directory: Path) -> Path:
    """The folder that holds runs and sweeps, so that a review shows all of them."""
    return next(
        (p.parent for p in directory.parents if p.name in ("runs", "sweeps") and p.parent.name == "outputs"),
        directory,
    )


def shown(path: Path) -> str:
    return os.path.relpath(path)
