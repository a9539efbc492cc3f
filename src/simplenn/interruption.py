"""Ends the process in order on a signal: the status that a shell expects, 128 + n, and no traceback."""

import signal
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_received: list[int] = []


class Interrupted(SystemExit):
    """A signal arrived. A `SystemExit`, so that no `except Exception` on the way swallows it."""

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signal_name = signal.Signals(signum).name


def install() -> None:
    """From now on, the signals raise `Interrupted` in the main thread."""
    for signum in SIGNALS:
        signal.signal(signum, _raise)


def check() -> None:
    """Raises `Interrupted` if a signal came at a point where an exception is lost, as in a finalizer."""
    if _received:
        raise Interrupted(_received[0])


def _raise(signum: int, frame: FrameType | None) -> NoReturn:
    _received.append(signum)
    raise Interrupted(signum)
