"""Some runs of a sweep as data: what they share, what differs and how they ended. Must not know how runs are planned
or trained, or what files they leave.

`RunGroup` is here at once, and what its columns are in `columns`; what takes torch lies in `outcome` (how the runs of
a stack ended), `metrics` (what its curves say of each run) and `joining` (outcomes of several stacks made one).

May import: signals, metric, config, rundir.
"""

from simplenn.groups.run_group import RunGroup

__all__ = [
    "RunGroup",
]
