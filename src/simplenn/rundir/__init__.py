"""A run on disk: its directory, rows, result, last lines. Must not know how a run is trained.

What takes torch or TensorBoard is imported by its module: `checkpoint`, `events` (the TensorBoard file), `review` (what
TensorBoard shows beside the curves), `predictions` (the figure), `rewind` (back to the last sound checkpoint).

May import: errors, metric, data, regressor, config, scripts.
"""

from simplenn.rundir.atomic import (
    Unwritable,
    remove_left_overs,
    replacing,
    replacing_directory,
    restore_directory,
    set_aside,
    write_atomically,
    writing,
)
from simplenn.rundir.code import changed_code, code_of, code_of_both, going_on_with_other_code, other_code
from simplenn.rundir.hydra_folder import with_sums
from simplenn.rundir.lock import lock, locked
from simplenn.rundir.metrics import Best, append_row, final_metrics, in_row_order, read_rows
from simplenn.rundir.result import STATUSES, Result, package_versions
from simplenn.rundir.run import Run, find_run, is_unused
from simplenn.rundir.summary import closing_lines, log_lines, output_lines, review_command, shown

__all__ = [
    "STATUSES",
    "Best",
    "Result",
    "Run",
    "Unwritable",
    "append_row",
    "changed_code",
    "closing_lines",
    "code_of",
    "code_of_both",
    "final_metrics",
    "find_run",
    "going_on_with_other_code",
    "in_row_order",
    "is_unused",
    "lock",
    "locked",
    "log_lines",
    "other_code",
    "output_lines",
    "package_versions",
    "read_rows",
    "remove_left_overs",
    "replacing",
    "replacing_directory",
    "restore_directory",
    "review_command",
    "set_aside",
    "shown",
    "with_sums",
    "write_atomically",
    "writing",
]
