"""Ends the process in order on a signal: the status that a shell expects, 128 + n, and no traceback."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_received: list[int] = []
_holding = False


class Interrupted(SystemExit):
    """A signal arrived. A `SystemExit`, so that no `except Exception` on the way swallows it."""

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signal_name = signal.Signals(signum).name


def install() -> None:
    """From now on, the signals raise `Interrupted` in the main thread."""
    for signum in SIGNALS:
        signal.signal(signum, _raise)


@contextmanager
def deferred() -> Iterator[None]:
    """Within, a signal waits, so that what is begun gets finished. Raises `Interrupted` at the end if one came."""
    global _holding
    before = len(_received)
    _holding = True
    try:
        yield
    finally:
        _holding = False
    if len(_received) > before:
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


def _raise(signum: int, frame: FrameType | None) -> None:
    _received.append(signum)
    if not _holding:
        raise Interrupted(signum)
