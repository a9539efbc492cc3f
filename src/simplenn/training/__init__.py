"""One run, from its configuration to its result, by Lightning's Trainer. Must not know that there are sweeps.

May import: errors, signals, rank, metric, data, regressor, config, setup, rundir, planning.
"""
