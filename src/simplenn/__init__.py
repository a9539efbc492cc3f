"""A network that learns to add, and everything around it: runs, sweeps, their files.

From the ground up; each module or folder imports only from those before it (tests/test_rooms.py holds that):

errors, signals, rank               what ends a command, and which of a run's processes this one is
metric, network, data, regressor    what is learned
config                              the table of keys
setup                               network, loss and data built from a configuration
rundir                              a run on disk
groups, planning                    some runs of a sweep as data; a sweep's jobs before they are trained
training                            one run
stacking                            many runs at once
sweep                               many runs on disk
report                              what a sweep says to people
evaluation, command                 a run read back; what the scripts share

Nothing of them is imported here: torch and Lightning cost seconds, and a refused configuration must answer at once.
"""

import os

# What torch's libraries read from the environment as they are first used. A user's own setting counts.
# MKL: by default some makes of CPU round a product alone otherwise than the same product within a batch.
os.environ.setdefault("MKL_CBWR", "COMPATIBLE")
# OpenMP: threads that spin while they wait make a stack's small operations many times slower beside other processes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
