"""A run on disk: its directory, rows, checkpoints, event file, figure and last lines. Knows nothing of training."""
