"""A command's directory for its workers' own files, in the system's place for temporary ones."""

import shutil
import tempfile
from pathlib import Path

from simplenn.rundir.lock import NAME, Lock, at_work_in

PREFIX = "simplenn-dask-"


class Scratch:
    """A new directory, at `path`, until `remove`. Those of commands that were killed are removed first."""

    def __init__(self) -> None:
        for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{NAME}"):
            if at_work_in(lock.parent) is None:
                shutil.rmtree(lock.parent, ignore_errors=True)
        self.path = tempfile.mkdtemp(prefix=PREFIX)
        self._lock = Lock(Path(self.path))

    def remove(self) -> None:
        self._lock.release()
        shutil.rmtree(self.path, ignore_errors=True)
