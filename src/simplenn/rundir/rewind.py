"""Takes a run's record back to its last sound checkpoint, so that training goes on from there."""

from simplenn.errors import ConfigError
from simplenn.rundir import checkpoint, events
from simplenn.rundir.atomic import remove, write_atomically
from simplenn.rundir.metrics import read_rows, write_rows
from simplenn.rundir.run import Run


def rewind(run: Run) -> None:
    """Leaves `last`, the rows and the curves at one and the same epoch, and no result.

    `metrics.csv` is the record: curves that a damaged event file has lost are drawn anew from it, and a row that it
    lacks itself, or that can't be read, is refused. Raises `ConfigError` then, before anything is written.
    """
    found = checkpoint.latest(run)
    epoch = checkpoint.epochs_completed(found[1]) if found else 0
    rows = [row for row in read_rows(run.metrics_file) if row["epoch"] <= epoch]
    _refuse_gaps(run, rows, epoch)
    if rows:
        write_rows(run.metrics_file, rows)
    else:
        remove(run.metrics_file)
    events.rewind(run.directory, epoch, rows)
    remove(run.result_file)
    if found and found[0] != run.checkpoint("last"):
        write_atomically(run.checkpoint("last"), found[0].read_bytes())


def _refuse_gaps(run: Run, rows: list[dict[str, float]], epoch: int) -> None:
    epochs = [row["epoch"] for row in rows]
    wrong = [e for e in range(1, epoch + 1) if epochs.count(e) != 1]
    if wrong or epochs != sorted(epochs):
        where = f"epoch {wrong[0]} has {epochs.count(wrong[0])}" if wrong else "they are in another order"
        raise ConfigError(
            f"{run.metrics_file} must have a row for each of the {epoch} epochs of the checkpoint, but {where}; "
            f"restore the file, or train the run anew by another name"
        )
