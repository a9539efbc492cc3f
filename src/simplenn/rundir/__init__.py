"""A run on disk: its directory, rows, checkpoints, event file, figure and last lines. Must not know how a run is
trained.

May import: errors, metric, data, regressor, config.
"""
