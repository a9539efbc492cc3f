"""Standard output that can fail without ending the command. Knows nothing of what is printed."""

import errno
import io
import os
import sys


class Outlet(io.TextIOWrapper):
    """After a write fails (closed pipe, full disk), discards further output; `lost` is the error of that write."""

    lost: OSError | None = None

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._drop(error)
            super().flush()

    def _drop(self, error: OSError) -> None:
        self.lost = self.lost or error
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())  # what is buffered still gets written, to no one
        os.close(null)


def install() -> None:
    """Makes `sys.stdout` an `Outlet`, and leads streams that are closed to nowhere."""
    closed = sys.stdout is None  # as by `>&-`
    _open_closed_streams()
    if closed:
        sys.stdout = Outlet(io.BufferedWriter(io.FileIO(os.open(os.devnull, os.O_WRONLY), "wb")), "utf-8", "replace")
        sys.stdout.lost = OSError(errno.EBADF, os.strerror(errno.EBADF))
        return
    sys.stdout.flush()
    stream = io.BufferedWriter(io.FileIO(sys.stdout.fileno(), "wb", closefd=False))
    lines = bool(sys.stdout.line_buffering)
    sys.stdout = Outlet(stream, sys.stdout.encoding, sys.stdout.errors, line_buffering=lines)


def lost_output() -> OSError | None:
    """Why some of the output wasn't written; `None` where all was, or the reader has gone away, as `| head` does."""
    if not isinstance(sys.stdout, Outlet):
        return None
    sys.stdout.flush()
    return None if isinstance(sys.stdout.lost, BrokenPipeError) else sys.stdout.lost


def _open_closed_streams() -> None:
    """So that no file that is opened later takes the place of standard output, and gets what libraries print."""
    for descriptor, flags in enumerate((os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            null = os.open(os.devnull, flags)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
