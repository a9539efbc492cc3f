"""How a run ended: the content of its `result.json`."""

import json
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.metadata import version
from typing import Any

from simplenn.metric import cost, current_name, objective_of

STATUSES = ("done", "diverged", "failed", "interrupted")
SUM = "sha256"
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
    identity: str = ""  # as `config.identity` has it
    code: dict[str, str] = field(default_factory=dict)  # as `code_of` has it, or `code_of_both`

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
        """The content of `result.json`: its last key is the SHA-256 of all that stands before it. (Python's own
        indentation takes ten times as long, for 10,000 of them.)"""
        body = "{\n" + "".join(f'  "{key}": {_indented(value)},\n' for key, value in vars(self).items())
        return f'{body}  "{SUM}": "{sha256(body.encode()).hexdigest()}"\n}}\n'


def parsed(text: str) -> Result:
    """The result that a `result.json` holds; one of an earlier release has no checksum. Raises `ValueError` where it is
    not what was written."""
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("it holds no result")
    found = content.pop(SUM, None)
    body = text.rpartition(f'  "{SUM}"')[0]
    if found is not None and found != sha256(body.encode()).hexdigest():
        raise ValueError("its checksum doesn't match")
    try:
        for values in (content["metrics"], content["best"]):
            values |= {current_name(name): values.pop(name) for name in list(values)}
        result = Result(**content)
        if not all(isinstance(digest, str) for digest in result.code.values()):
            raise TypeError("its code has no digests")
        return result
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"it holds no result: {error}") from error


def _indented(value: Any) -> str:
    if not isinstance(value, dict) or not value:
        return json.dumps(value)
    return "{\n    " + json.dumps(value, separators=(",\n    ", ": "))[1:-1] + "\n  }"
