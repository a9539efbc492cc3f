"""A run that was trained from Python: how it ended, what it left. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from simplenn.rundir import Result, Run, read_rows

if TYPE_CHECKING:
    import polars

    from simplenn.notebook.network import TrainedNetwork


@dataclass(frozen=True)
class TrainedRun:
    """A run's directory and its result. It may stand wherever a run's path may: `simplenn.load_run(run)`."""

    directory: Path
    result: Result = field(repr=False)

    @property
    def status(self) -> str:
        """`done` or `diverged`."""
        return self.result.status

    @property
    def epoch(self) -> int:
        """Completed epochs, or that in which the run diverged."""
        return self.result.epoch

    @property
    def metrics(self) -> dict[str, float]:
        """After the last epoch, by name."""
        return self.result.metrics

    @property
    def best(self) -> dict[str, float]:
        """All metrics of the epoch with the best objective."""
        return self.result.best

    @property
    def curves(self) -> "polars.DataFrame":
        """A row per epoch, as metrics.csv has them."""
        import polars

        return polars.DataFrame(read_rows(Run(self.directory).metrics_file), infer_schema_length=None)

    def load(self, checkpoint: str = "best", allow: Sequence[str] = ()) -> "TrainedNetwork":
        """The trained network; see `load_run`."""
        from simplenn.notebook.network import load_run

        return load_run(self.directory, checkpoint, allow)

    def __fspath__(self) -> str:
        return str(self.directory)

    def __repr__(self) -> str:
        metrics = "".join(f", {name} {value:.4g}" for name, value in self.metrics.items() if name.endswith("/loss"))
        return f"TrainedRun({str(self.directory)!r}: {self.status} after epoch {self.epoch}{metrics})"
