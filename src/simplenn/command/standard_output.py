"""Standard output that outlives its reader. Knows nothing of what is printed."""

import io
import os
import sys


class Outlet(io.TextIOWrapper):
    """Once the system takes no more, as after `| head` or on a full disk, the rest is dropped and no one is told."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError:
            self._drop()
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            self._drop()
            super().flush()

    def _drop(self) -> None:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, self.fileno())
        os.close(nothing)


def install() -> None:
    """From now on, whatever is printed goes by an `Outlet`."""
    if sys.stdout is not None:
        sys.stdout.flush()
        stream = io.BufferedWriter(io.FileIO(sys.stdout.fileno(), "wb", closefd=False))
        lines = bool(sys.stdout.line_buffering)
        sys.stdout = Outlet(stream, sys.stdout.encoding, sys.stdout.errors, line_buffering=lines)
