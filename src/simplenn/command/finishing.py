"""The end of a sweep's command: what it still writes, the last lines, the exit status."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from simplenn.command.going_on import GoingOn
from simplenn.rundir import shown
from simplenn.sweep.attempts import Attempts

if TYPE_CHECKING:
    from simplenn.sweep.record import SweepRecord

log = logging.getLogger(__name__)

MOST_FAILURES = 20  # that are listed


def finish(sweep: DictConfig, going_on: GoingOn | None, stopped: str) -> int:
    """Writes the sweep's table and the directories that are missing, and says how its runs ended.

    The exit status: 1 where a run of this command isn't done, or something couldn't be written.
    """
    from simplenn.sweep import summary
    from simplenn.sweep.record import SweepRecord

    attempt = Attempts()
    record = SweepRecord(Path(sweep.hydra.sweep.dir), sweep, attempt)
    try:
        record.write_table()
        record.write_directories(sweep.run_dirs)
        summary.say_sweep(record)
        if stopped:
            log.error("stopped: %s", stopped)
        if sweep.verify and not record.interrupted and going_on is not None:
            attempt("verify", _verify, record, sweep.verify)
    finally:
        if going_on is not None:
            going_on.end()
    return 1 if set(record.counts) - {"done"} or stopped or attempt.failed else 0


def _verify(record: "SweepRecord", count: int) -> Any:
    from simplenn.command.verification import verify

    if not verify(record, count):
        record.attempt.failed = True
