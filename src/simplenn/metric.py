"""What is known of each metric: which way is better, whether it may be undefined. `Regressor.metrics` computes them.

A metric's tag is its name behind the set that it is taken over: `val/loss`. Imports no torch: whoever reads a run back
asks here too.
"""

from collections.abc import Container
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Metric:
    """Where `may_be_nan`, a value that is not finite is no divergence: the epoch has none of this metric."""

    less_is_better: bool = True
    may_be_nan: bool = False


METRICS = {"loss": Metric(), "mae": Metric()}  # a name that is not declared here has the defaults
OBJECTIVE = "loss"  # by which epochs, runs and settings are compared


def declared(tag: str) -> Metric:
    return METRICS.get(tag.rpartition("/")[2], Metric())


def objective_of(tags: Container[str]) -> str:
    """The objective's tag among those that a run has: over the validation data, else over the training data."""
    validated = f"val/{OBJECTIVE}"
    return validated if validated in tags else f"train/{OBJECTIVE}"


def is_measured_before_training(tag: str) -> bool:
    """Whether an epoch's value belongs to the weights that the epoch began with, not to those that it ended with."""
    return tag.startswith("train/")


def cost(tag: str, value: Any) -> Any:
    """The value, or a tensor or array of them, as something to make small."""
    return value if declared(tag).less_is_better else -value


def is_best_so_far(validated: Any, cost: Any, best_validated: Any, best_cost: Any) -> Any:
    """Whether an epoch takes the place of the best one before it, by the objective.

    One whose objective is over validation data beats any whose isn't; of two alike, the one with the lower cost does,
    and of equal ones the later. Of booleans and numbers, or elementwise of arrays or tensors [R].
    """
    return (validated > best_validated) | ((validated == best_validated) & (cost <= best_cost))
