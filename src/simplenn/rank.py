"""Which of a run's processes this one is. Imports nothing of Lightning's, which sets the variable."""

import os

VARIABLE = "LOCAL_RANK"


def is_main_process() -> bool:
    """False in a process that another has started, for its own run."""
    return os.environ.get(VARIABLE, "0") == "0"
