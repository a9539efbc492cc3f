"""Has units of work done by a cluster's workers: hands them out, follows them, and tries again what a worker's death
has cost. Knows nothing of what a unit is about.

A unit that was at work when its worker died is tried once more; the second time it is given up. One that had not begun
is innocent, and costs nothing.
"""

import logging
import math
import queue
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from simplenn.cluster.connection import Connection
from simplenn.cluster.unit import Answer, Corrupt, Result, Unit, result_of
from simplenn.cluster.working import train_unit
from simplenn.errors import ConfigError

log = logging.getLogger(__name__)

AHEAD = 2  # units handed out for each worker: the one at work, and the next
MOST_LOST = 10  # times that a unit may be lost before it has begun
SECONDS_TO_END = 2.5  # that units have to end in order
SECONDS_OF_SILENCE = 10  # after which it is looked whether any worker is left
SECONDS_TO_LOOK = 0.2  # a wait in the main thread must be short, for signals to be heard


class ClusterLost(RuntimeError):
    """The scheduler has ended, and with it the knowledge of who has what."""


@dataclass
class Work:
    """Something to be done for `about`: `make` gives its unit by number and token, when it is handed out."""

    about: Any
    make: Callable[[int, str], Unit]
    unit: Unit | None = None
    num_begun: int = 0
    num_lost: int = 0  # before it had begun
    is_begun: bool = False  # since it was last handed out

    @property
    def number(self) -> int:
        assert self.unit is not None
        return self.unit.number


class Dispatcher:
    """`waiting` is what is to be done; `tell(about, number, how far)` is called as units report."""

    def __init__(self, connection: Connection, tell: Callable[[Any, int, dict[str, Any]], None]) -> None:
        self.waiting: deque[Work] = deque()
        self._connection = connection
        self._tell = tell
        self._events: queue.SimpleQueue[tuple[str, Any, Any]] = queue.SimpleQueue()
        self._flying: dict[int, Work] = {}  # by the unit's number
        self._futures: dict[int, Any] = {}
        self._silent_since = time.monotonic()
        connection.client.subscribe_topic(connection.token, self._heard)

    def _heard(self, event: Any) -> None:
        """In a thread of Dask's."""
        _, message = event
        self._events.put(("report", message["unit"], message["how_far"]))

    def ended(self) -> Iterator[tuple[Work, Result | str]]:
        """Each work with its result, or with why it has none, as they end. More may be put to `waiting` meanwhile.

        Raises `ConfigError` where a worker isn't as the command is, and `ClusterLost`.
        """
        while self.waiting or self._flying:
            self._hand_out()
            self._tell_of_no_workers()
            yield from self._next(SECONDS_TO_LOOK)

    def end(self, signum: int = signal.SIGTERM) -> Iterator[tuple[Work, Result | str]]:
        """Lets the units at work end in order, and drops the others; those that did in time."""
        self.waiting.clear()
        for number in [number for number, work in self._flying.items() if not work.is_begun]:
            self._futures.pop(number).cancel()
            del self._flying[number]
        self._connection.end_units(signum)
        deadline = time.monotonic() + SECONDS_TO_END
        while self._flying and time.monotonic() < deadline:
            yield from self._next(0.05)

    def _hand_out(self) -> None:
        while self.waiting and len(self._flying) < AHEAD * max(1, len(self._connection.addresses)):
            work = self.waiting.popleft()
            if work.unit is None:
                work.unit = work.make(next(self._connection.numbers), self._connection.token)
            number = work.unit.number
            work.is_begun = False
            future = self._connection.client.submit(
                train_unit, work.unit, pure=False, priority=-number, retries=0, key=f"{work.unit.token}-{number}-"
                f"{work.num_begun}-{work.num_lost}")  # fmt: skip
            self._flying[number], self._futures[number] = work, future
            future.add_done_callback(lambda future, number=number: self._events.put(("ended", number, _got(future))))

    def _tell_of_no_workers(self) -> None:
        """Once for each silence: a command that waits for workers would look as if it hung."""
        if time.monotonic() - self._silent_since < SECONDS_OF_SILENCE:
            return
        self._silent_since = math.inf if not self._connection.addresses else time.monotonic()
        if self._silent_since == math.inf:
            log.warning("the cluster at %s has no workers left; waiting for one", self._connection.address)

    def _next(self, seconds: float) -> Iterator[tuple[Work, Result | str]]:
        try:
            kind, number, content = self._events.get(timeout=seconds)
        except queue.Empty:
            return
        self._silent_since = time.monotonic()
        work = self._flying.get(number)
        if work is None:
            return
        if kind == "report":
            work.num_begun += not content
            work.is_begun = True
            if content:
                self._tell(work.about, number, content)
            return
        del self._flying[number], self._futures[number]
        result = self._result(work, content)
        if result is None:
            self.waiting.appendleft(work)
        else:
            yield work, result

    def _result(self, work: Work, answer: Any) -> Result | str | None:
        """`None` where it is to be tried again."""
        if isinstance(answer, Answer):
            assert work.unit is not None
            if answer.refusal:
                raise ConfigError(answer.refusal)
            try:
                return result_of(work.unit, answer)
            except Corrupt as error:
                return str(error) if work.num_begun > 1 else None
        if isinstance(answer, _Lost):
            work.num_lost += not work.is_begun
            is_over = work.num_begun > 1 or work.num_lost > MOST_LOST
            return f"the process that ran it was killed twice, as where memory runs out ({answer})" if is_over else None
        if isinstance(answer, ClusterLost):
            raise answer
        return f"{type(answer).__name__}: {' '.join(str(answer).split())}"


class _Lost(RuntimeError):
    """The unit's worker has died."""


def _got(future: Any) -> Any:
    """The answer, or the error in its place. In a thread of Dask's."""
    from asyncio import CancelledError

    from distributed import KilledWorker

    gone = ClusterLost("the cluster's scheduler has ended, or can't be reached any more")
    try:
        return gone if future.status in ("cancelled", "lost") else future.result()
    except KilledWorker as error:
        return _Lost(f"the last time at {getattr(error.last_worker, 'address', error.last_worker)}")
    except (OSError, CancelledError):  # of the connection, not of the unit, which has its own in its answer
        return gone
    except Exception as error:
        return error
