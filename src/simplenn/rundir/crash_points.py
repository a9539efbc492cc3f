"""The moments before and after each write, fsync, rename and removal of ours, so that tests can stop a process at each.

Without the variables below in the environment, a crash point does nothing.
"""

import os
from itertools import count
from pathlib import Path

CRASH_AT = "SIMPLENN_CRASH_AT"  # the number of the crash point, from 1, at which the process ends as by SIGKILL
CRASH_LOG = "SIMPLENN_CRASH_LOG"  # a file that each crash point appends its name to
KILLED = 137  # 128 + SIGKILL

_at = int(os.environ.get(CRASH_AT, "0"))
_log = os.environ.get(CRASH_LOG, "")
_numbers = count(1)


def crash_point(moment: str, path: Path | str) -> None:
    """`moment` is `before write`, `after rename` and the like; `path` what it is done to."""
    if not _at and not _log:
        return
    number = next(_numbers)
    if _log:
        with open(_log, "a") as stream:
            stream.write(f"{number} {moment} {path}\n")
    if number == _at:
        os._exit(KILLED)
