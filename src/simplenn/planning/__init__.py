"""The jobs of a sweep before they are trained: points of a grid, names, groups of runs that differ in numbers alone.
Knows Hydra; must not know any model. Imports no torch.

May import: config, errors, rundir, groups.
"""

from simplenn.planning.grid import jobs_of, run_names
from simplenn.planning.hyperparameters import hyperparameters, row_names
from simplenn.planning.overrides import (
    Job,
    as_text,
    is_for_hydra,
    key_of,
    naming,
    override_dirname,
    overrides_given,
    overrides_of,
    swept_keys,
    unquoted,
    values_of,
)
from simplenn.planning.plan import Plan
from simplenn.planning.planner import Planner
from simplenn.planning.single_run import arguments
from simplenn.planning.subdirs import SUBDIR, check_subdir, literal_subdir, subdirs_of

__all__ = [
    "SUBDIR",
    "Job",
    "Plan",
    "Planner",
    "arguments",
    "as_text",
    "check_subdir",
    "hyperparameters",
    "is_for_hydra",
    "jobs_of",
    "key_of",
    "literal_subdir",
    "naming",
    "override_dirname",
    "overrides_given",
    "overrides_of",
    "row_names",
    "run_names",
    "subdirs_of",
    "swept_keys",
    "unquoted",
    "values_of",
]
