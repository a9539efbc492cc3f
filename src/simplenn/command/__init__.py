"""What the scripts share: exit statuses, checks before any work, a directory of one's own, resume, and a sweep from its
jobs to its files (`sweeping`). Must not know any update rule, nor any file's format.

May import: compiler, errors, scripts, signals, rank, config, rundir, groups, planning, training, setup, stacking,
sweep, cluster, report.
"""

from simplenn.command.arguments import run_parser
from simplenn.command.exit_status import run_command

__all__ = [
    "run_command",
    "run_parser",
]
