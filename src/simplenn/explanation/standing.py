"""Where a run stands among the runs of its setting in a sweep: those that differ from it in the seed alone. Imports no
torch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from simplenn.config import identities, without_length
from simplenn.errors import ConfigError
from simplenn.metric import cost, objective_of
from simplenn.report.settings import quantiles
from simplenn.rundir import Result
from simplenn.sweep.results import refuse_no_sweep

FEWEST = 10  # runs, below which a share says nothing


@dataclass
class Standing:
    """Among how many runs, of which sweep; `median` and `quartiles` of their values of the objective `tag`."""

    sweep: Path
    num_runs: int
    tag: str
    value: float
    costs: np.ndarray  # [R], sorted; infinite for a run that diverged

    def better_than(self, value: float) -> float:
        """The share of the runs that have a worse value; equal ones count half."""
        own = cost(self.tag, value)
        return float(((self.costs > own).mean() + (self.costs >= own).mean()) / 2)

    def quantile(self, share: float) -> float:
        own = quantiles(self.costs, np.zeros(1, np.int64), np.array([len(self.costs)]), share)
        return float(cost(self.tag, own[0]))


def standing(cfg: DictConfig, result: Result, sweep: Path) -> Standing | None:
    """Among the runs of the sweep that have the run's setting and as many epochs; `None` where there are fewer than 10.

    Raises `ConfigError` where it isn't a sweep, and `Damaged`.
    """
    import polars

    from simplenn.sweep.all_runs import FINAL, KEY, all_runs

    refuse_no_sweep(sweep)
    tag = objective_of(result.metrics)
    runs = all_runs(sweep)
    if f"{FINAL}{tag}" not in runs.columns or f"{KEY}seed" not in runs.columns or tag not in result.metrics:
        return None
    seeds = runs[f"{KEY}seed"].cast(polars.Int64, strict=False).drop_nulls().unique().to_list()
    own = identities(cfg, {"seed": seeds}) if seeds else []
    identity = runs["identity"].map_elements(without_length, return_dtype=polars.String)
    same = runs.filter(identity.is_in(own))
    has_diverged = same["status"] == "diverged"
    same = same.filter(has_diverged | ((same["status"] == "done") & (same["epoch"] == result.epoch)))
    if len(same) < FEWEST:
        return None
    finals = same[f"{FINAL}{tag}"].cast(polars.Float64).fill_null(float("nan")).to_numpy()
    costs = np.where((same["status"] == "done").to_numpy() & np.isfinite(finals), cost(tag, finals), np.inf)
    return Standing(sweep, len(same), tag, result.metrics[tag], np.sort(costs))


def find_standing(cfg: DictConfig, result: Result, run: Path) -> Standing | None:
    """In the sweep near the run's directory that has most runs of its setting; `None` where none has enough."""
    beside = [parent / "sweeps" for parent in run.absolute().parents[:4]]
    folder = next((folder for folder in beside if folder.is_dir()), None)
    found = []
    for sweep in sorted(folder.iterdir()) if folder is not None else ():
        try:
            found.append(standing(cfg, result, sweep))
        except (ConfigError, OSError):  # what isn't a sweep, or a damaged one, isn't what was asked for
            continue
    found = [own for own in found if own is not None]
    return max(found, key=lambda own: own.num_runs, default=None)
