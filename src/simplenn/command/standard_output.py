"""Standard output that can fail without ending the command. Knows nothing of what is printed."""

import io
import os
import sys


class Outlet(io.TextIOWrapper):
    """After a write fails (closed pipe, full disk), discards further output silently."""

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
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())  # what is buffered still gets written, to no one
        os.close(null)


def install() -> None:
    """Makes `sys.stdout` an `Outlet`."""
    if sys.stdout is not None:
        sys.stdout.flush()
        stream = io.BufferedWriter(io.FileIO(sys.stdout.fileno(), "wb", closefd=False))
        lines = bool(sys.stdout.line_buffering)
        sys.stdout = Outlet(stream, sys.stdout.encoding, sys.stdout.errors, line_buffering=lines)
