"""Many runs of one configuration, trained at once along a leading axis. Knows torch and Lightning; must not know
Hydra or files.

`prove` tells whether the runs of a group can be stacked; `train_in_stacks` trains any number of runs, `train_stack`
those of one stack.

May import: compiler, signals, metric, network, data, regressor, config, setup, groups, training.
"""

from simplenn.groups.outcome import Outcome, Snapshot
from simplenn.stacking.agreement import NOT_AS_SINGLE, TOLERANCE, Difference, SingleRun, first_difference, is_exact
from simplenn.stacking.engine import with_compiler
from simplenn.stacking.memory import default_max_stack
from simplenn.stacking.proof import Proof, prove
from simplenn.stacking.stacks import train_in_stacks
from simplenn.stacking.training import train_stack

__all__ = [
    "NOT_AS_SINGLE",
    "TOLERANCE",
    "Difference",
    "Outcome",
    "Proof",
    "SingleRun",
    "Snapshot",
    "default_max_stack",
    "first_difference",
    "is_exact",
    "prove",
    "train_in_stacks",
    "train_stack",
    "with_compiler",
]
