"""Work of which a part may fail without the rest: each error is logged in one line, and what follows goes on."""

import errno
import logging
from collections.abc import Callable
from typing import Any

from simplenn.rundir import Unwritable

log = logging.getLogger(__name__)

FULL = (errno.ENOSPC, errno.EDQUOT)  # after one of these nothing more can be written


class Attempts:
    """`attempt(what, do, *arguments)` calls `do`; `failed` once that has raised, `unwritable` if it just did so as the
    system doesn't write."""

    def __init__(self) -> None:
        self.failed = False
        self.unwritable = ""  # what the system said when it didn't write something
        self._disk_full = False

    def __call__(self, what: str, do: Callable[..., Any], *arguments: Any) -> bool:
        """Whether `do` returned. `what` says in a few words what it does, for the line that its error gets.

        Once the disk has turned out to be full, nothing more is attempted or logged.
        """
        if self._disk_full:
            return False
        try:
            do(*arguments)
        except Exception as error:
            self.failed = True
            self.unwritable = str(error) if isinstance(error, Unwritable) else ""
            self._disk_full = getattr(error, "errno", None) in FULL
            reason = "" if isinstance(error, Unwritable) else f"{type(error).__name__}: "
            log.error("can't %s: %s", what, reason + " ".join(str(error).split()))
            return False
        return True
