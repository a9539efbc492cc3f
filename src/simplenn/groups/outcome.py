"""What the runs of a stack leave: how each ended, its metrics by epoch, its last and its best state. Only data.

Shapes: R runs, T epochs.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from simplenn.signals import Interrupted


@dataclass
class Snapshot:
    """What a checkpoint of each run has, stacked along R, on the CPU."""

    # [R]: the completed epochs at which each run's state was taken. At 0 these are the initial weights; -1 says that
    # the run has no such state.
    epoch: Tensor
    # [R, ...] by the names of `Regressor.state_dict`.
    weights: dict[str, Tensor]
    # torch.optim's name of a slot -> [R, ...] by the names of the weights; `step` is one number a run, [R].
    optimizer: dict[str, dict[str, Tensor]]
    # slot -> [R]: whether the run's own checkpoint doesn't have it, as the momentum buffer where its momentum is 0.
    absent: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class Outcome:
    """How the R runs ended, in the order of their columns."""

    # For each run, as its `result.json` has them; the status is done, diverged or interrupted.
    status: list[str]
    message: list[str]
    epoch: list[int]
    # The global step at the end of each of the T epochs that were trained.
    steps: list[int]
    # [T, R] by metric, in double precision; NaN where the run's `metrics.csv` has no row, or an empty cell.
    curves: dict[str, Tensor]
    last: Snapshot
    best: Snapshot
    # By completed epochs: Lightning's checkpoint, with `state_dict` and `optimizer_states` empty.
    skeletons: dict[int, dict[str, Any]]
    # What the training took, in seconds.
    seconds: float
    # [R] by metric: final and best values as the runs' own results have them; `None` where the curves say.
    finals: dict[str, np.ndarray] | None = None
    bests: dict[str, np.ndarray] | None = None
    # The signal that ended the training, for the caller to raise again.
    interruption: Interrupted | None = None
