"""One owner of a directory, a run's or a sweep's: the file `.lock` in it, which says whose it is while it is there."""

import atexit
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from simplenn.errors import ConfigError
from simplenn.rundir.atomic import is_alive, remove, writing
from simplenn.rundir.crash_points import crash_point

log = logging.getLogger(__name__)

NAME = ".lock"
SECONDS_TO_WAIT = 0.2  # for one that is about to end


class Lock:
    """Holds a directory against other processes from its making until `release`, or until this process ends.

    Raises `ConfigError`, which names the owner, where another has it, and `Unwritable`. A process that this one forks
    doesn't hold the directory, nor can it give it back.
    """

    def __init__(self, directory: Path) -> None:
        from filelock import FileLock, Timeout  # 20 ms, for commands that lock

        self._path = directory / NAME
        self._process = os.getpid()
        before = _owner(self._path)
        lock: Any = FileLock(self._path, thread_local=False)
        with writing(self._path):
            try:
                lock.acquire(timeout=SECONDS_TO_WAIT, poll_interval=0.02)
            except Timeout:
                raise ConfigError(_in_use(directory, _owner(self._path))) from None
        self._lock = lock
        if before is not None:  # whoever ends in order removes the file
            log.warning("%s was left locked by %s, which has ended; going on", directory, _named(before))
        crash_point("before write", self._path)
        with suppress(OSError):  # who it is, is for others to read: the lock holds without
            self._path.write_text(json.dumps(_own()) + "\n")
        crash_point("after write", self._path)

    def release(self) -> None:
        if self._process == os.getpid():
            with suppress(OSError):  # Windows removes no file that is open
                remove(self._path)  # first, while no other can have it: then none finds a file that says nothing true
            self._lock.release()
            if os.name != "posix":
                with suppress(OSError):
                    self._path.unlink(missing_ok=True)


def remove_dead(directory: Path) -> None:
    """Removes the lock of a process that was killed, if there is one; one that a process holds stays."""
    if (directory / NAME).exists():
        with suppress(ConfigError, OSError):
            Lock(directory).release()


def at_work_in(directory: Path) -> str | None:
    """Which process holds the directory, in words, as far as its lock says; `None` where there is none, or it belongs
    to a process of this machine that is no more."""
    owner = _owner(directory / NAME)
    if owner is None or (owner and owner["host"] == socket.gethostname() and not is_alive(int(owner["pid"]))):
        return None
    return _named(owner)


# Locks of `lock`, by directory: a second lock of one directory in one process would be refused, too.
_handed_over: dict[Path, Lock] = {}


def lock(directory: Path) -> None:
    """Holds the directory against other processes until `locked` has taken the lock over and ended.

    A command takes it before it writes, for the work that follows in its process. It ends with the process at the
    latest. Raises as `Lock`.
    """
    _handed_over[directory.resolve()] = Lock(directory)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Holds the directory against other processes. Raises as `Lock`."""
    held = _handed_over.pop(directory.resolve(), None) or Lock(directory)
    try:
        yield
    finally:
        held.release()


@atexit.register
def _release_all() -> None:
    """Those that no work has taken over, as the command was refused."""
    while _handed_over:
        _handed_over.popitem()[1].release()


def _own() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M")}


def _owner(path: Path) -> dict[str, Any] | None:
    """What the file says of its owner, `{}` where it says nothing; `None` where there is no file."""
    try:
        owner = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return owner if isinstance(owner, dict) and owner.keys() == _own().keys() else {}


def _named(owner: dict[str, Any]) -> str:
    return f"process {owner['pid']} on host {owner['host']} since {owner['since']}" if owner else "another process"


def _in_use(directory: Path, owner: dict[str, Any] | None) -> str:
    return f"{directory} is in use by {_named(owner or {})}; wait for it to end, or end it"
