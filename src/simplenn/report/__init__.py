"""What a sweep says to people: its settings side by side (`study`), how sure the best of them is (`comparison`), what
happened in the odd ones (`odd`), the lines of the terminal (`lines`), `summary.csv`. Reads what a sweep leaves, and
must not know how runs are trained. Imports no torch, and matplotlib only to draw.

May import: errors, metric, config, scripts, rundir, planning, sweep.
"""

from simplenn.report.runs import runs_in
from simplenn.report.study import Study, study_of, study_of_runs

__all__ = [
    "Study",
    "runs_in",
    "study_of",
    "study_of_runs",
]
