"""A command's directory for its workers' own files, in the system's place for temporary ones."""

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

PREFIX = "simplenn-dask-"
LOCK = "owner.lock"


class Scratch:
    """A new directory, at `path`, until `remove`. Those of commands that were killed are removed first: a command holds
    the lock in its own, and with the command's end the system gives it back."""

    def __init__(self) -> None:
        for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}"):
            with suppress(OSError):  # of another user's, say; a lock that is held raises `Timeout`, which is one
                lock = _locked(left)
                shutil.rmtree(left.parent, ignore_errors=True)
                lock.release()
        new = Path(tempfile.mkdtemp(prefix=f"new-{PREFIX}"))
        self._lock = _locked(new / LOCK)
        self.path = str(new.rename(new.with_name(new.name.removeprefix("new-"))))  # never there without its owner

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()


def _locked(path: Path) -> Any:
    """Raises `filelock.Timeout` where another process has it."""
    from filelock import FileLock

    lock = FileLock(path, timeout=0)
    lock.acquire()
    return lock
