"""What a sweep says to people: its settings side by side (`study`). Reads what a sweep leaves, and must not know how
runs are trained. Imports no torch, and matplotlib only to draw.

May import: errors, metric, config, rundir, sweep.
"""

from simplenn.report.study import Study, study_of

__all__ = [
    "Study",
    "study_of",
]
