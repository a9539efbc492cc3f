"""Errors that cost no more than what they happened in: each is told in one line, and the rest goes on."""

import errno
import logging
from collections.abc import Callable
from typing import Any

from simplenn.rundir import Unwritable

log = logging.getLogger(__name__)

FULL = (errno.ENOSPC, errno.EDQUOT)  # after one of these nothing more can be written


class Attempts:
    """`attempt(what, do, *arguments)` calls `do`; `failed` once that has raised."""

    def __init__(self) -> None:
        self.failed = False
        self._disk_full = False

    def __call__(self, what: str, do: Callable[..., Any], *arguments: Any) -> bool:
        """Whether it came to its end; `what` it was to do, for the line that tells the error.

        Nothing is attempted, and nothing told, after the disk has turned out to be full.
        """
        if self._disk_full:
            return False
        try:
            do(*arguments)
        except Exception as error:
            self.failed = True
            self._disk_full = getattr(error, "errno", None) in FULL
            reason = "" if isinstance(error, Unwritable) else f"{type(error).__name__}: "
            log.error("can't %s: %s", what, reason + " ".join(str(error).split()))
            return False
        return True
