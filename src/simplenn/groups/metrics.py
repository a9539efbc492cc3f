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
    if "lr" not in outcome.curves:  # no epoch was ended
        return np.zeros(len(outcome.status), np.int64)
    return outcome.curves["lr"].isnan().logical_not().sum(dim=0).numpy()


def cells(outcome: Outcome) -> list[list[str]]:
    """For each of the T epochs, the metrics that its rows have, in their order."""
    has = {name: curve.isnan().logical_not().any(dim=1).tolist() for name, curve in outcome.curves.items()}
    order = in_row_order(outcome.curves)
    return [[name for name in order if has[name][epoch]] for epoch in range(len(outcome.steps))]


def kinds(outcome: Outcome) -> list[tuple[list[list[str]], list[int]]]:
    """The runs that have the same `cells`, each time these and the runs. One kind, but where a metric is undefined.

    Of epochs that a run has no row for, it counts as having what the others have.
    """
    shared, num_runs = cells(outcome), len(outcome.status)
    has_row = np.arange(len(shared))[:, None] < row_counts(outcome)
    empty = {
        name: outcome.curves[name].isnan().numpy() & has_row & np.array([[name in row] for row in shared])
        for name in columns_of(shared)
    }
    if not any(blank.any() for blank in empty.values()):
        return [(shared, list(range(num_runs)))]
    patterns = np.packbits(np.concatenate(list(empty.values())), axis=0).T
    members: dict[bytes, list[int]] = {}
    for run, pattern in enumerate(patterns):
        members.setdefault(pattern.tobytes(), []).append(run)
    return [
        ([[name for name in row if not empty[name][epoch, runs[0]]] for epoch, row in enumerate(shared)], runs)
        for runs in members.values()
    ]


def columns_of(rows: Sequence[Sequence[str]]) -> list[str]:
    """The columns of a `metrics.csv` with these cells: in the order of their first appearance."""
    return list(dict.fromkeys(name for row in rows for name in row))


def final_values(outcome: Outcome) -> dict[str, np.ndarray]:
    """Each metric's last value, [R]; NaN where a run has none. Validation may not have come with the last epoch."""
    finals = {}
    for name in columns_of(cells(outcome)):
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
        for name in columns_of(cells(outcome))
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
