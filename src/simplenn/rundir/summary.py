"""The last lines of a run: how it ended, where it is, how to review it. Imports no torch."""

import logging
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from simplenn.metric import LEARNING_RATE
from simplenn.rundir.result import Result
from simplenn.scripts import script_command

log = logging.getLogger(__name__)


class LogLine(NamedTuple):
    """A line of a run's `train.log`."""

    logger: str
    level: int
    message: str


def closing_lines(result: Result, *, quiet: bool, outputs: Sequence[str] = ()) -> Iterator[LogLine]:
    """What a run logs once it has ended, beside the errors that it met; `outputs` are those of `output_lines`."""
    if result.status == "interrupted" and result.message in signal.Signals.__members__:
        yield LogLine(log.name, logging.WARNING, f"interrupted by {result.message}")
    elif not quiet:
        shown_outputs = outputs if result.status == "done" else ()
        for message in (*shown_outputs, run_line(result)):
            yield LogLine(log.name, logging.INFO, message)


def log_nothing_to_do(result: Result, *, quiet: bool) -> None:
    """Says that a finished run is as long as it is asked to be, and how it ended."""
    if not quiet:
        log.info("nothing to do: raise trainer.max_epochs above %d to train on", result.epoch)
    log_lines(closing_lines(result, quiet=quiet))


def log_lines(lines: Iterator[LogLine]) -> None:
    for line in lines:
        logging.getLogger(line.logger).log(line.level, "%s", line.message)


def log_place(directory: Path) -> None:
    """A run's directory, and the command that opens the review."""
    log.info("run:    %s", shown(directory))
    log.info("review: %s", review_command(directory))


def run_line(result: Result) -> str:
    """How a run ended."""
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in result.metrics.items() if name != LEARNING_RATE)
    epochs = "epoch" if result.epoch == 1 else "epochs"
    how = result.message if result.status == "diverged" else f"{result.status} after {result.epoch} {epochs}"
    return f"{how}, {result.seconds:.1f} s: {metrics or 'no metrics'}"


def output_lines(inputs: Sequence[Sequence[float]], outputs: Sequence[float], targets: Sequence[float]) -> list[str]:
    """The network's output for each sample, beside the target; and a line where it answers all with one number."""
    rows = zip(inputs, outputs, targets, strict=True)
    lines = ["Model output:"] + [f"  {[round(v, 4) for v in x]} -> {y:.4f} (target {t:g})" for x, y, t in rows]
    if len(set(outputs)) == 1 < len(set(targets)):
        lines.append("all outputs are equal: the network is dead for this seed; try another")
    return lines


def review_command(directory: Path) -> str:
    """What opens a run, a sweep or a folder of them in TensorBoard."""
    return script_command("review.py", shown(directory))


def shown(path: Path) -> str:
    return os.path.relpath(path)
