"""What each metric is: its name, how batches add up to an epoch, which way is better, whether it may be undefined.

To add a metric, add it to `DECLARATIONS`: it then appears in metrics.csv, TensorBoard, results, sweeps and the table of
`evaluate.py`. A metric's tag is its name behind the set that it is taken over: `val/loss`. Imports no torch: whoever
reads a run back asks here too.
"""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

Mean = Callable[["Tensor", "Tensor"], "Tensor"]  # (prediction, target), [B, 1] each -> the mean over the B samples

PART = "#"  # between a metric's name and the name of one of the means that it is computed from: r2#target
ROUNDING = 256  # so many roundings may add up in a mean over an epoch


@dataclass(frozen=True)
class Metric:
    """A function of means over all of an epoch's samples.

    `of_batch` is such a mean over one batch, or several by name; without it, `Regressor.metrics` computes the metric.
    `of_epoch` takes the means over the epoch, in their order, and gives the metric: by default it is the mean itself.
    Where `may_be_nan`, a value that is not finite is no divergence: the epoch has none of this metric.
    """

    name: str
    of_batch: Mean | Mapping[str, Mean] | None = None
    of_epoch: Callable[..., Any] | None = None
    less_is_better: bool = True
    may_be_nan: bool = False

    @property
    def worst(self) -> float:
        """What a run that has diverged counts as."""
        return float("inf") if self.less_is_better else float("-inf")

    @property
    def means(self) -> dict[str, Mean]:
        """By the metric's own name where it is the mean itself, else by those of its parts, which are never shown."""
        if self.of_batch is None:
            return {}
        parts = self.of_batch if isinstance(self.of_batch, Mapping) else {"mean": self.of_batch}
        if self.of_epoch is None:
            (mean,) = parts.values()
            return {self.name: mean}
        return {f"{self.name}{PART}{part}": mean for part, mean in parts.items()}


def mean_squared_error(prediction: "Tensor", target: "Tensor") -> "Tensor":
    from torch.nn import functional

    return functional.mse_loss(prediction, target)


def mean_absolute_error(prediction: "Tensor", target: "Tensor") -> "Tensor":
    from torch.nn import functional

    return functional.l1_loss(prediction, target)


def mean_target(prediction: "Tensor", target: "Tensor") -> "Tensor":
    return wide(target).mean()


def mean_squared_target(prediction: "Tensor", target: "Tensor") -> "Tensor":
    return wide(target).square().mean()


def coefficient_of_determination(squared_error: "Tensor", target: "Tensor", squared_target: "Tensor") -> "Tensor":
    """R2: the share of the targets' variance that the predictions explain. NaN where the targets don't vary, as far as
    rounding lets one tell.
    """
    import torch

    variance = squared_target - target * target
    varies = variance > ROUNDING * torch.finfo(variance.dtype).eps * squared_target
    return torch.where(varies, 1 - squared_error / variance, torch.nan)


def wide(values: "Tensor") -> "Tensor":
    """In double precision, or in single on Apple's GPUs, which have no doubles."""
    import torch

    return values.to(torch.float32 if values.device.type == "mps" else torch.float64)


DECLARATIONS = (
    Metric("loss", mean_squared_error),  # what training descends
    Metric("mae", mean_absolute_error),
    Metric(
        "r2",
        {"squared_error": mean_squared_error, "target": mean_target, "squared_target": mean_squared_target},
        coefficient_of_determination,
        less_is_better=False,
        may_be_nan=True,
    ),
)
METRICS = {metric.name: metric for metric in DECLARATIONS}
OBJECTIVE = "loss"  # by which epochs, runs and settings are compared
LEARNING_RATE = "train/lr"  # stands beside the metrics in each row, and is none
OLD_LEARNING_RATE = "lr"  # what earlier releases wrote


def is_part(name: str) -> bool:
    """Whether a mean of this name is only a part of a metric."""
    return PART in name


def means_of_batch(prediction: "Tensor", target: "Tensor") -> dict[str, "Tensor"]:
    """The means over a batch that all declared metrics are computed from, each computed once."""
    named = {name: mean for metric in METRICS.values() for name, mean in metric.means.items()}
    values = {mean: mean(prediction, target) for mean in dict.fromkeys(named.values())}
    return {name: values[mean] for name, mean in named.items()}


class Means:
    """Means over an epoch's samples, from those over its batches: sum(mean * B) / sum(B), B samples a batch.

    Of one run [] or of many [R], in the precision of what is added, as Lightning adds up what is logged.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._weights: dict[str, int] = {}

    def add(self, means: Mapping[str, "Tensor"], weight: int) -> None:
        """Adds a batch's means, by name; `weight` is its number of samples."""
        for name, mean in means.items():
            weighted = mean.detach() * weight
            self._sums[name] = self._sums[name].add_(weighted) if name in self._sums else weighted
            self._weights[name] = self._weights.get(name, 0) + weight

    def values(self) -> dict[str, "Tensor"]:
        """The means over all that was added, by name."""
        return {name: total / self._weights[name] for name, total in self._sums.items()}

    def values_over_processes(self, add_up: Callable[["Tensor"], "Tensor"]) -> dict[str, "Tensor"]:
        """The same over what all processes of a run have added; `add_up` gives a tensor's sum over them, and may write
        to the tensor."""
        return {
            name: add_up(total.clone()) / add_up(total.new_tensor(self._weights[name]))
            for name, total in self._sums.items()
        }


def metrics_of_epoch(means: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics by tag, from means over an epoch by tag: tensors in double precision, of one run [] or of many [R].

    A mean that is no part of a declared metric is a metric by itself.
    """
    metrics: dict[str, Any] = {}
    parts: set[str] = set()
    composite = [metric for metric in METRICS.values() if metric.of_epoch is not None]
    for stage in dict.fromkeys(map(set_of, means)):
        for metric in composite:
            tags = [f"{stage}/{name}" for name in metric.means]
            parts.update(tags)
            if metric.of_epoch is not None and all(tag in means for tag in tags):  # an edited Regressor may lack some
                metrics[f"{stage}/{metric.name}"] = metric.of_epoch(*(means[tag] for tag in tags))
    return {tag: mean for tag, mean in means.items() if tag not in parts} | metrics


def current_name(name: str) -> str:
    """A column's name in a file of this release or an earlier one, as this one has it."""
    return LEARNING_RATE if name == OLD_LEARNING_RATE else name


def set_of(tag: str) -> str:
    """The set that a metric is taken over: `val` of `val/loss`."""
    return tag.rpartition("/")[0]


def declared(tag: str) -> Metric:
    """The metric of a tag; one that is not declared has the defaults."""
    name = tag.rpartition("/")[2]
    return METRICS.get(name, Metric(name))


def objective_tags() -> tuple[str, str]:
    """The objective over the training data, and over the validation data, which counts where a run has both."""
    return f"train/{OBJECTIVE}", f"val/{OBJECTIVE}"


def objective_of(tags: Container[str]) -> str:
    """The objective's tag among those that a run has."""
    trained, validated = objective_tags()
    return validated if validated in tags else trained


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
