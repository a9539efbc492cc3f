"""A sweep on disk: its tables and arrays, its runs' directories. Knows no training."""
