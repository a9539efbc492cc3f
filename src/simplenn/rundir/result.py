"""How a run ended: the content of its `result.json`."""

import json
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from simplenn.metric import cost, objective_of

STATUSES = ("done", "diverged", "failed", "interrupted")
PACKAGES = ("simplenn", "torch", "lightning", "hydra-core", "tensorboard")


def package_versions() -> dict[str, str]:
    return {name: version(name) for name in PACKAGES}


@dataclass(frozen=True)
class Result:
    """How a run ended. `epoch` counts completed epochs from 1; for a diverged run, the epoch that diverged.

    `best` are all metrics of the epoch with the best objective.
    """

    status: str
    epoch: int
    metrics: dict[str, float]
    best: dict[str, float]
    seed: int
    seconds: float
    versions: dict[str, str]
    message: str = ""

    def reaches(self, epochs: int) -> bool:
        """Whether the run is finished, and has so many epochs."""
        return self.status == "done" and self.epoch >= epochs

    @property
    def objective(self) -> float:
        """What a search minimises: the final validation loss, else the training loss; infinite unless done."""
        if self.status != "done":
            return float("inf")
        tag = objective_of(self.metrics)
        return cost(tag, self.metrics.get(tag, float("nan")))

    @property
    def text(self) -> str:
        """The content of `result.json`. (Python's own indentation takes ten times as long, for 10,000 of them.)"""
        return "{\n" + ",\n".join(f'  "{key}": {_indented(value)}' for key, value in vars(self).items()) + "\n}\n"


def _indented(value: Any) -> str:
    if not isinstance(value, dict) or not value:
        return json.dumps(value)
    return "{\n    " + json.dumps(value, separators=(",\n    ", ": "))[1:-1] + "\n  }"
