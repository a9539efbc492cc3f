"""Some runs of a sweep as data: what they share, what differs and how they ended. Must not know how runs are planned
or trained, or what files they leave.

May import: signals, metric, rundir.
"""
