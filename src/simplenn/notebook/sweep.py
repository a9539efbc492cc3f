"""A sweep in Python: its runs, settings and curves as polars frames, its weights as tensors, its networks. Imports
torch for weights and networks only.

Shapes: R runs.
"""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simplenn.errors import ConfigError
from simplenn.notebook.arguments import packages
from simplenn.report import Study, runs_in, study_of, study_of_runs
from simplenn.sweep.choosing import find
from simplenn.sweep.left import Left, counted, what_is_left
from simplenn.sweep.results import refuse_no_sweep, table_of

if TYPE_CHECKING:
    import polars
    from torch import Tensor

    from simplenn.notebook.network import TrainedNetwork


@dataclass(frozen=True)
class Setting:
    """Runs that differ in their seeds alone: the swept values that they share, the `median` of their objectives with
    its 10 % and 90 % quantiles over the `n` that are done or diverged, and their rows of `Sweep.results`.

    `overrides` train the run that has the median alone: `simplenn.train(setting.overrides)`; they are empty where the
    sweep doesn't say how it was told.
    """

    name: str
    values: dict[str, Any]
    objective: str
    median: float
    q10: float
    q90: float
    n: int
    diverged: int
    runs: "polars.DataFrame" = field(repr=False)
    overrides: list[str] = field(repr=False)


class Sweep:
    """What a sweep's directory holds, read when it is first asked for, and then kept: for a sweep that has grown
    meanwhile, make another.

    Everything comes from the parts and the directories of runs, each file held against its checksum: what is damaged
    raises `ConfigError`, as does a directory that isn't a sweep's. `allow` names packages whose code its networks may
    use beside torch's and simplenn's.
    """

    def __init__(self, path: str | os.PathLike, allow: Sequence[str] = ()) -> None:
        self.path = Path(path)
        self.allow = packages(allow)
        refuse_no_sweep(self.path)

    @cached_property
    def results(self) -> "polars.DataFrame":
        """[R rows]: the columns of results.csv: `run` (its name), what was swept, `status`, `epoch`, the final metrics
        by name, and those of the best epoch as `best/<name>`."""
        return table_of(self._runs)

    @property
    def summary(self) -> "polars.DataFrame":
        """A row per setting, best first: its name, what was swept except the seed, `n`, and over the seeds `median`,
        `q10`, `q90`, `mean` and `sd` of the `objective`, and how many runs diverged, failed or aren't finished. A
        diverged run counts as worst, so that these numbers may be infinite."""
        return self._study.settings

    @property
    def objective(self) -> str:
        """The metric that settings are compared by, `val/loss` or `train/loss`."""
        return self._study.objective

    @cached_property
    def curves(self) -> "polars.DataFrame":
        """A row per run and epoch: `run`, what was swept, `epoch`, then each metric; in the order of `results`."""
        from simplenn.notebook.curves import curves_of

        return curves_of(self.path, self._runs)

    @cached_property
    def weights(self) -> "dict[str, Tensor]":
        """The runs' final weights, [R, ...] in the order of `results`, by the names of the network's parameters: see
        `weights_of`."""
        return self.weights_of()

    def weights_of(
        self, runs: "polars.DataFrame | Sequence[str] | None" = None, checkpoint: str = "last"
    ) -> "dict[str, Tensor]":
        """The weights of these runs, rows of `results` or names, [R, ...] in their order; NaN for a run that has none,
        as one that failed in its first epoch.

        `checkpoint` is `last` or `best`. Raises `ConfigError` where the runs' networks are of several shapes.
        """
        from simplenn.notebook.weights import weights_of

        if runs is None:
            names = self.results["run"].to_list()
        else:
            names = [runs] if isinstance(runs, str) else list(runs if isinstance(runs, Sequence) else runs["run"])
        return weights_of(self.path, self._rows_of(names), checkpoint)

    def best(self) -> Setting:
        """The setting whose runs have the best median. Raises `ConfigError` where no run has come to an end."""
        from simplenn.report.commands import Commands
        from simplenn.report.comparison import median_of, ranked_runs

        rows = self.summary.head(1).rows(named=True)
        if not rows or not rows[0]["n"]:
            raise ConfigError(f"{self.path} must have a run that is done for a best setting, and has none")
        study, row = self._study, rows[0]
        is_own = study.runs["setting"] == row["setting"]
        statistics = {name: row[name] for name in ("median", "q10", "q90", "n", "diverged")}
        values = {key: row[key] for key in study.keys}
        command = Commands(study).alone(*median_of(ranked_runs(study, row["setting"])))
        overrides = shlex.split(command)[2:] if command is not None else []
        own = self.results.filter(is_own)
        return Setting(row["setting"], values, study.objective, **statistics, runs=own, overrides=overrides)

    def run(self, name: str, checkpoint: str = "best") -> "TrainedNetwork":
        """The trained network of this run, ready to call, read without a directory being written for it.

        The values in `name` may stand in any order and form: "seed=3,optimizer.lr=1e-2". Raises `ConfigError`, naming
        the nearest, where it isn't a run of the sweep.
        """
        from simplenn.notebook.stored import load_stored

        return load_stored(self.path, self._rows_of([name]).row(0, named=True), checkpoint, self.allow)

    @property
    def notes(self) -> list[str]:
        """What to know before comparing the settings: runs of other lengths or other data, or how many are left."""
        return list(self._study.notes)

    @property
    def num_left(self) -> int:
        """How many runs its last command asks for that have not begun, or are done after fewer epochs, as where it was
        cut off, or is at work."""
        return self._left.num_runs

    def __len__(self) -> int:
        return len(self.results)

    def __repr__(self) -> str:
        said = counted(self.results["status"], self._left)
        return f"Sweep({str(self.path)!r}: {len(self):,} runs{f', {said}' if said else ''})"

    @cached_property
    def _left(self) -> Left:
        return what_is_left(self.path, self._runs)

    @cached_property
    def _runs(self) -> "polars.DataFrame":
        return runs_in([self.path]).drop("sweep")

    @cached_property
    def _study(self) -> Study:
        return study_of_runs([self.path], self._runs) if len(self._runs) else study_of([self.path])

    def _rows_of(self, names: Sequence[str]) -> "polars.DataFrame":
        """The rows of `_runs` that these names have, in their order."""
        import polars

        for name in names:
            if not isinstance(name, str):
                raise ConfigError(f"a run must be given by its name, got {name!r}; the names are in results['run']")
        known = dict(zip(self._runs["run"].to_list(), range(len(self._runs)), strict=True))
        places = [known[name] if name in known else known[find(name, self.results, self.path)] for name in names]
        return self._runs[polars.Series(places, dtype=polars.UInt32)]
