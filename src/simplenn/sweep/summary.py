"""The last lines of a sweep: how its runs ended, the best of them, where it is, how to review it."""

import logging
import shlex

from simplenn.rundir import STATUSES, logdir, shown
from simplenn.sweep.record import SweepRecord

log = logging.getLogger(__name__)


def say_sweep(record: SweepRecord) -> None:
    """How the runs ended, the best of them with the command that trains it alone, where to look."""
    counts = ", ".join(f"{record.counts[status]:,} {status}" for status in STATUSES if record.counts[status])
    log.info("%s runs: %s", f"{sum(record.counts.values()):,}", counts or "none has ended")
    best = record.best()
    if best is not None:
        log.info("best:   %s (%s %.4g)", best.name, best.metric, best.value)
        log.info("alone:  python scripts/train.py %s", shlex.join(best.arguments))
    log.info("sweep:  %s", shown(record.directory))
    log.info("review: tensorboard --logdir %s", shown(logdir(record.directory)))
