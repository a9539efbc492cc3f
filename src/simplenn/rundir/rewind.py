"""Takes a run's record back to its last sound checkpoint, so that training goes on from there."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from simplenn.errors import ConfigError
from simplenn.metric import is_measured_before_training
from simplenn.rundir import checkpoint, events
from simplenn.rundir.atomic import remove, set_aside, write_atomically
from simplenn.rundir.metrics import Best, final_metrics, read_rows, write_rows
from simplenn.rundir.result import Result
from simplenn.rundir.run import Run

log = logging.getLogger(__name__)

Rows = Sequence[Mapping[str, float]]


def rewind(run: Run, own: str, before: Result | None = None) -> None:
    """Leaves `last`, `best`, the rows and the curves of the run of this identity at one and the same epoch, and no
    result.

    `metrics.csv` is the record: curves that a damaged event file has lost are drawn anew from it, and a row that it
    lacks itself, or that can't be read, is refused, and so are rows that end otherwise than the result `before` says.
    Raises `ConfigError` then, before anything is written.
    """
    _finish_saving(run, own)
    found = checkpoint.latest(run, own)
    epoch = checkpoint.epochs_completed(found[1]) if found else 0
    rows = [row for row in read_rows(run.metrics_file, most=epoch) if row["epoch"] <= epoch]
    _refuse_gaps(run, rows, epoch)
    if before is not None and before.epoch == epoch:
        _refuse_other_rows(run, rows, before)
    if rows:
        write_rows(run.metrics_file, rows)
    else:
        remove(run.metrics_file)
    events.rewind(run.directory, epoch, rows)
    remove(run.result_file)
    if found and found[0] != run.checkpoint("last"):
        write_atomically(run.checkpoint("last"), found[0].read_bytes())
    _mend_best(run, own, rows, epoch)


def best_state(rows: Rows) -> int | None:
    """After how many epochs the weights were those that `best` must have; `None` where no row has an objective."""
    best = Best(rows)
    return int(best.row["epoch"]) - is_measured_before_training(best.tag) if best.row else None


def stale_best(run: Run, own: str, best: Mapping[str, Any]) -> str | None:
    """What is wrong with a `best` checkpoint that a kill has kept from being written, or to which the rows have not
    come: a line. `None` where it is that of the rows up to the last checkpoint, or that can't be told."""
    epoch = _epoch_of(run, own, "last")
    wanted = None if epoch is None else best_state(read_rows(run.metrics_file, most=epoch))
    found = checkpoint.epochs_completed(best)
    if wanted is None or found == wanted:
        return None
    return f"it is of epoch {found}, and the best of metrics.csv is epoch {wanted}, as the run was ended while it saved"


def _finish_saving(run: Run, own: str) -> None:
    """Of what a kill has cut short between two files."""
    if run.checkpoint("next").exists():
        following, last = _epoch_of(run, own, "next"), _epoch_of(run, own, "last")
        if following is not None and last is not None and following == last + 1:
            run.take_next()
        else:
            remove(run.checkpoint("next"))


def _mend_best(run: Run, own: str, rows: Rows, epoch: int) -> None:
    """`last` is written before `best`: where that was not any more, it is made from it."""
    wanted = best_state(rows)
    path = run.checkpoint("best")
    if wanted is None or _epoch_of(run, own, "best") == wanted:
        return
    if wanted == epoch:
        write_atomically(path, run.checkpoint("last").read_bytes())
    elif path.exists() and _epoch_of(run, own, "best") is None:
        aside = set_aside(path)
        log.warning(
            "%s is damaged or another run's: set aside as %s; there is no best one until an epoch is better than %d",
            path, aside.name, int(Best(rows).row["epoch"]),
        )  # fmt: skip


def _epoch_of(run: Run, own: str, which: str) -> int | None:
    """The epochs of a checkpoint; `None` where there is none, or a damaged one."""
    with suppress(FileNotFoundError, checkpoint.DamagedCheckpoint):
        return checkpoint.epochs_completed(checkpoint.load(run.checkpoint(which), of=own))
    return None


def _refuse_other_rows(run: Run, rows: Rows, before: Result) -> None:
    # earlier releases took the last value of a metric that was no longer declared for its final one
    if not final_metrics(rows).items() <= before.metrics.items():
        raise ConfigError(
            f"{run.metrics_file} must end with the metrics that {run.result_file.name} has, but is another run's; "
            "restore the file, or train the run anew by another name"
        )


def _refuse_gaps(run: Run, rows: list[dict[str, float]], epoch: int) -> None:
    epochs = [row["epoch"] for row in rows]
    wrong = [e for e in range(1, epoch + 1) if epochs.count(e) != 1]
    if wrong or epochs != sorted(epochs):
        where = f"epoch {wrong[0]} has {epochs.count(wrong[0])}" if wrong else "they are in another order"
        raise ConfigError(
            f"{run.metrics_file} must have a row for each of the {epoch} epochs of the checkpoint, but {where}; "
            f"restore the file, or train the run anew by another name"
        )
