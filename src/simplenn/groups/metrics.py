"""What the curves of an outcome say of each run: its rows, its final and its best values, its objective.

Shapes: R runs, T epochs.
"""

from collections.abc import Sequence

import numpy as np

from simplenn.groups.outcome import Outcome
from simplenn.metric import LEARNING_RATE, cost, is_best_so_far, objective_tags, set_of
from simplenn.rundir import in_row_order


def row_counts(outcome: Outcome) -> np.ndarray:
    """[R]: how many rows of metrics each run has. They are those of its first epochs."""
    if LEARNING_RATE not in outcome.curves:  # no epoch was completed
        return np.zeros(len(outcome.status), np.int64)
    return outcome.curves[LEARNING_RATE].isnan().logical_not().sum(dim=0).numpy()


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
    """Each metric's final value, [R], as `final_metrics` has it for one run; NaN where a run has none."""
    if outcome.finals is not None:
        return outcome.finals
    curves = {name: outcome.curves[name].numpy() for name in columns_of(metrics_per_epoch(outcome))}
    num_epochs, runs = len(outcome.steps), np.arange(len(outcome.status))
    last: dict[str, np.ndarray] = {}  # by set, [R]: the last row in which it was measured
    for name, curve in curves.items():
        own, of_set = np.where(np.isnan(curve), -1, np.arange(num_epochs)[:, None]).max(axis=0), set_of(name)
        last[of_set] = np.maximum(own, last[of_set]) if of_set in last else own
    return {name: curve[last[set_of(name)], runs] for name, curve in curves.items()}


def best_rows(outcome: Outcome) -> np.ndarray:
    """[R]: the row of each run's best epoch, from 0; -1 where there is none."""
    num_epochs, num_runs = len(outcome.steps), len(outcome.status)
    nothing = np.full((num_epochs, num_runs), np.nan)
    curves = {name: curve.numpy() for name, curve in outcome.curves.items()}
    trained, validated = (cost(tag, curves.get(tag, nothing)) for tag in objective_tags())
    is_validated = ~np.isnan(validated)
    costs = np.where(is_validated, validated, trained)
    best = np.full(num_runs, -1)
    best_validated, best_cost = np.zeros(num_runs, bool), np.full(num_runs, np.inf)
    for epoch in range(num_epochs):
        improved = is_best_so_far(is_validated[epoch], costs[epoch], best_validated, best_cost)
        best = np.where(improved, epoch, best)
        best_validated = np.where(improved, is_validated[epoch], best_validated)
        best_cost = np.where(improved, costs[epoch], best_cost)
    return best


def best_values(outcome: Outcome) -> dict[str, np.ndarray]:
    """Each metric in the run's best epoch, [R]; NaN where a run has none. The learning rate is no metric."""
    if outcome.bests is not None:
        return outcome.bests
    rows, runs = best_rows(outcome), np.arange(len(outcome.status))
    return {
        name: np.where(rows >= 0, outcome.curves[name].numpy()[rows, runs], np.nan)
        for name in columns_of(metrics_per_epoch(outcome))
        if name != LEARNING_RATE
    }


def objectives(outcome: Outcome) -> np.ndarray:
    """[R]: what a search makes small, as `Result.objective` has it for one run; infinite for a run that isn't done."""
    finals = final_values(outcome)
    nothing = np.full(len(outcome.status), np.nan)
    trained, validated = (cost(tag, finals.get(tag, nothing)) for tag in objective_tags())
    done = np.array([status == "done" for status in outcome.status])
    return np.where(done, np.where(np.isnan(validated), trained, validated), np.inf)
