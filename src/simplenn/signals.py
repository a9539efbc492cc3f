"""Ends the process in order on a signal: the status that a shell expects, 128 + n, and no traceback.

The first signal lets work that has begun come to an end, with what is written whole; a second one, more than a second
later, ends the process at once.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)
)  # no HUP on Windows

SECONDS_OF_ONE = 1  # signals that come within it are one: a terminal's Ctrl-C, say, passed on by `timeout` as well

STANDARD_ERROR = 2  # its descriptor: a signal may come amid a write to `sys.stderr`

_received: list[int] = []
_since = 0.0  # when the first of them came
_depth = 0  # of `deferred`
_working = False


class Interrupted(SystemExit):
    """A signal arrived. A `SystemExit`, so that no `except Exception` on the way swallows it."""

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signal_name = signal.Signals(signum).name


def install() -> None:
    """From now on a signal ends this process by `128 + n`: at once and in a line as long as no work has begun, then by
    `Interrupted` in the main thread. A script calls it first of all: an exception in the middle of an import can end as
    anything.

    In another thread, which can handle no signal, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for signum in SIGNALS:
        if signal.getsignal(signum) != signal.SIG_IGN or signum.name != "SIGHUP":  # as `nohup` has it
            signal.signal(signum, _handle)
    sys.unraisablehook = _tell_of_no_signal


def _tell_of_no_signal(unraisable: "sys.UnraisableHookArgs") -> None:
    """An exception in a finalizer is lost, with a traceback. Of a signal's, `raise_if_received` raises another one."""
    if not isinstance(unraisable.exc_value, Interrupted):
        sys.__unraisablehook__(unraisable)


def begin_work() -> None:
    """From now on there is something to bring to an end."""
    global _working
    _working = True


def end_work() -> None:
    """From now on there is nothing left to bring to an end."""
    global _working
    _working = False


@contextmanager
def deferred() -> Iterator[None]:
    """Within, a signal waits, so that what is begun gets finished. Raises `Interrupted` at the end if one came."""
    global _depth
    before = len(_received)
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
    if len(_received) > before and not _depth:
        raise Interrupted(_received[0])


def raise_if_received() -> None:
    """Raises `Interrupted` if a signal came at a point where an exception is lost, as in a finalizer."""
    if _received:
        raise Interrupted(_received[0])


def cause_of(error: BaseException) -> Interrupted | None:
    """The signal that an error comes from, if one does: torch may answer one within `vmap` with an error of its own."""
    if isinstance(error, Interrupted):
        return error
    return Interrupted(_received[0]) if _received else None


def _handle(signum: int, frame: FrameType | None) -> None:
    global _since
    now = time.monotonic()
    if not _working:
        with suppress(OSError):
            os.write(STANDARD_ERROR, f"interrupted by {signal.Signals(signum).name}\n".encode())
        os._exit(128 + signum)
    if _received:
        if now - _since > SECONDS_OF_ONE:
            os._exit(128 + _received[0])  # the user wants no more of an orderly end
        return
    _received.append(signum)
    _since = now
    if not _depth:
        raise Interrupted(signum)
