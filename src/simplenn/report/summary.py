"""`summary.csv`, a row per setting: what `Study.settings` has. Derived, as results.csv is."""

from pathlib import Path

from simplenn.report.study import Study
from simplenn.rundir import replacing
from simplenn.sweep.results import without_formulas

SUMMARY = "summary.csv"


def write_summary(sweep: Path, study: Study) -> None:
    """Raises `Unwritable`."""
    with replacing(sweep / SUMMARY) as temporary:
        without_formulas(study.settings).write_csv(temporary)
