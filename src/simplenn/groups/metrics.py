"""What the curves of an outcome say of each run: its rows, its final and its best values, its objective.

Shapes: R runs, T epochs.
"""

from collections.abc import Sequence

import numpy as np

from simplenn.groups.outcome import Outcome
from simplenn.metric import OBJECTIVE, cost
from simplenn.rundir.metrics import in_row_order


def row_counts(outcome: Outcome) -> np.ndarray:
    """[R]: how many rows of metrics each run has. They are those of its first epochs."""
    if "lr" not in outcome.curves:  # no epoch was completed
        return np.zeros(len(outcome.status), np.int64)
    return outcome.curves["lr"].isnan().logical_not().sum(dim=0).numpy()


def metrics_per_epoch(outcome: Outcome) -> list[list[str]]:
    """For each of the T epochs, the names of the metrics that its rows have, in their order.

    Validation may come every few epochs, so rows differ. A metric that is undefined for some runs counts as there.
    """
    has = {name: curve.isnan().logical_not().any(dim=1).tolist() for name, curve in outcome.curves.items()}
    order = in_row_order(outcome.curves)
    return [[name for name in order if has[name][epoch]] for epoch in range(len(outcome.steps))]


def runs_by_metrics(outcome: Outcome) -> list[tuple[list[list[str]], list[int]]]:
    """The runs whose rows have the same metrics: pairs of `metrics_per_epoch` of these runs, and the runs.

    One pair, but where a metric is undefined for some runs. Of epochs that a run has no row for, it counts as having
    what the others have.
    """
    shared, num_runs = metrics_per_epoch(outcome), len(outcome.status)
    has_row = np.arange(len(shared))[:, None] < row_counts(outcome)
    undefined: dict[str, np.ndarray] = {}  # by metric, [T, R]
    for name in columns_of(shared):
        is_in_epoch = np.array([[name in names] for names in shared])
        undefined[name] = outcome.curves[name].isnan().numpy() & has_row & is_in_epoch
    if not any(cells.any() for cells in undefined.values()):
        return [(shared, list(range(num_runs)))]
    # runs of one pattern of undefined cells belong together; packed into bytes it is a dictionary's key
    patterns = np.packbits(np.concatenate(list(undefined.values())), axis=0).T
    members: dict[bytes, list[int]] = {}
    for run, pattern in enumerate(patterns):
        members.setdefault(pattern.tobytes(), []).append(run)
    return [(_without(shared, undefined, runs[0]), runs) for runs in members.values()]


def _without(shared: list[list[str]], undefined: dict[str, np.ndarray], run: int) -> list[list[str]]:
    """The metrics of each epoch, but for those that are undefined for this run."""
    return [[name for name in names if not undefined[name][epoch, run]] for epoch, names in enumerate(shared)]


def columns_of(metrics_per_epoch: Sequence[Sequence[str]]) -> list[str]:
    """The columns of a `metrics.csv` whose rows have these metrics: in the order of their first appearance."""
    return list(dict.fromkeys(name for names in metrics_per_epoch for name in names))


def final_values(outcome: Outcome) -> dict[str, np.ndarray]:
    """Each metric's last value, [R]; NaN where a run has none. Validation may not have come with the last epoch."""
    finals = {}
    for name in columns_of(metrics_per_epoch(outcome)):
        last = np.full(len(outcome.status), np.nan)
        for values in outcome.curves[name].numpy():
            np.copyto(last, values, where=~np.isnan(values))
        finals[name] = last
    return finals


def best_rows(outcome: Outcome) -> np.ndarray:
    """[R]: the row of each run's best epoch, from 0, as `metrics.Best` finds it; -1 where there is none."""
    best = np.full(len(outcome.status), -1)
    for tag in sorted(name for name in outcome.curves if name.rpartition("/")[2] == OBJECTIVE):  # train, then val
        costs = cost(tag, outcome.curves[tag].numpy())
        costs = np.where(np.isnan(costs), np.inf, costs)
        if len(costs):
            last_of_equals = len(costs) - 1 - costs[::-1].argmin(axis=0)
            best = np.where(np.isfinite(costs.min(axis=0)), last_of_equals, best)
    return best


def best_values(outcome: Outcome) -> dict[str, np.ndarray]:
    """Each metric in the run's best epoch, [R]; NaN where a run has none. The learning rate is no metric."""
    rows, runs = best_rows(outcome), np.arange(len(outcome.status))
    return {
        name: np.where(rows >= 0, outcome.curves[name].numpy()[rows, runs], np.nan)
        for name in columns_of(metrics_per_epoch(outcome))
        if name != "lr"
    }


def objectives(outcome: Outcome) -> np.ndarray:
    """[R]: as `run.Result.objective`, infinite for a run that isn't done."""
    finals = final_values(outcome)
    values = np.full(len(outcome.status), np.nan)
    for tag in sorted(name for name in finals if name.rpartition("/")[2] == OBJECTIVE):
        costs = cost(tag, finals[tag])
        values = np.where(np.isnan(costs), values, costs)
    done = np.array([status == "done" for status in outcome.status])
    return np.where(done, values, np.inf)
