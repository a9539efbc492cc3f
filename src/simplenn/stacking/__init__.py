"""Many runs of one configuration, trained at once along a leading axis. Knows torch and Lightning, not Hydra or files.

`train_in_chunks` trains any number of runs, `train_stack` those of one stack; `why_not` tells what can't be stacked.
"""

from simplenn.stacking.chunks import default_max_stack, train_in_chunks
from simplenn.stacking.outcome import Outcome, Snapshot
from simplenn.stacking.stackable import why_not
from simplenn.stacking.training import train_stack

__all__ = ["Outcome", "Snapshot", "default_max_stack", "train_in_chunks", "train_stack", "why_not"]
