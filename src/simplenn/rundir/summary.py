"""The last lines of a command: how it ended, where it is, how to review it. Imports no torch."""

import logging
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simplenn.rundir.run import STATUSES, Result

if TYPE_CHECKING:
    from simplenn.sweep.record import SweepRecord

log = logging.getLogger(__name__)


def say_run(result: Result, directory: Path, alone: bool = True) -> None:
    """One line of final metrics and, for a run `alone`, its directory and the command that opens the review."""
    log.info(run_line(result))
    if alone:
        log.info("run:    %s", _shown(directory))
        log.info("review: tensorboard --logdir %s", _shown(_logdir(directory)))


def run_line(result: Result) -> str:
    """How a run ended."""
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in result.metrics.items() if name != "lr")
    epochs = "epoch" if result.epoch == 1 else "epochs"
    how = result.message if result.status == "diverged" else f"{result.status} after {result.epoch} {epochs}"
    return f"{how}, {result.seconds:.1f} s: {metrics or 'no metrics'}"


def say_sweep(record: "SweepRecord") -> None:
    """How the runs ended, the best of them with the command that trains it alone, where to look."""
    counts = ", ".join(f"{record.counts[status]:,} {status}" for status in STATUSES if record.counts[status])
    log.info("%s runs: %s", f"{sum(record.counts.values()):,}", counts or "none has ended")
    best = record.best()
    if best is not None:
        log.info("best:   %s (%s %.4g)", best.name, best.metric, best.value)
        log.info("alone:  python scripts/train.py %s", shlex.join(best.alone))
    log.info("sweep:  %s", _shown(record.directory))
    log.info("review: tensorboard --logdir %s", _shown(_logdir(record.directory)))


def output_lines(inputs: Sequence[Sequence[float]], outputs: Sequence[float], targets: Sequence[float]) -> list[str]:
    """The network's output for each sample, beside the target."""
    rows = zip(inputs, outputs, targets, strict=True)
    return ["Model output:"] + [f"  {[round(v, 4) for v in x]} -> {y:.4f} (target {t:g})" for x, y, t in rows]


def _logdir(directory: Path) -> Path:
    """The folder that holds runs and sweeps, so that a review shows all of them."""
    return next(
        (p.parent for p in directory.parents if p.name in ("runs", "sweeps") and p.parent.name == "outputs"),
        directory,
    )


def _shown(path: Path) -> str:
    return os.path.relpath(path)
