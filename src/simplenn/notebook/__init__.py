"""Runs and sweeps in Python: what `simplenn.Sweep`, `simplenn.load_run` and `simplenn.train` are. Must not know how
runs are trained: `train` starts the command. Nothing is imported here, as `simplenn` imports each name when it is asked
for.

May import: errors, metric, data, regressor, config, setup, rundir, groups, sweep, evaluation, report, command.
"""
