"""What the runs of a stack leave: how each ended, its metrics by epoch, its last and its best state. Data only.

Shapes: R runs, T epochs.
"""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from simplenn.signals import Interrupted


@dataclass
class Snapshot:
    """What a checkpoint keeps of each run, stacked along R, on the CPU.

    `epoch` is [R], the completed epochs at which each run's state was taken; 0 are the initial weights, and -1 says
    that the run has no such state.
    `weights` go by the names of `Regressor.state_dict`. `optimizer` goes by torch.optim's own slot names, then by
    the same names as `weights`; a run's `step` is a number, so its slot is [R]. A slot that a run alone doesn't
    have (the momentum buffer where its momentum is 0) is named in `absent` as slot -> [R] bool.
    """

    epoch: Tensor
    weights: dict[str, Tensor]
    optimizer: dict[str, dict[str, Tensor]]
    absent: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class Outcome:
    """How the R runs ended, in the order of their columns.

    `status` is done, diverged or interrupted; `message` and `epoch` are those of the run's `result.json`.
    `steps` holds the global step at the end of each of the T epochs that were trained. `curves` are [T, R] in
    double precision, NaN where the run alone has no row or an empty cell. `skeletons` holds, by completed epochs,
    Lightning's checkpoint with empty `state_dict` and `optimizer_states`. `interruption` is the signal that ended
    the training, for the caller to raise again.
    """

    status: list[str]
    message: list[str]
    epoch: list[int]
    steps: list[int]
    curves: dict[str, Tensor]
    last: Snapshot
    best: Snapshot
    skeletons: dict[int, dict[str, Any]]
    seconds: float
    interruption: Interrupted | None = None
