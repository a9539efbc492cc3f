"""How units learn that their command wants no more: in place of a signal's handler, which a thread can't have."""

import signal
from typing import Any

from simplenn.signals import Interrupted

_ended: dict[str, int] = {}  # by the command's token, the signal that ends it


def end(token: str, signum: int) -> None:
    """Ends the units of this command in this process, in order, at the end of their present batches."""
    _ended[token] = signum


class Ending:
    """Of the unit that `worker`, Dask's, is at: whether it is still wanted."""

    def __init__(self, token: str, worker: Any) -> None:
        self._token = token
        self._worker = worker
        self._key = worker.get_current_task()

    def raise_if_ended(self) -> None:
        """Raises `Interrupted`, too, where the command has died and the scheduler has dropped what it had asked for."""
        if self._token in _ended:
            raise Interrupted(_ended[self._token])
        task = self._worker.state.tasks.get(self._key)
        if task is None or task.state == "cancelled":
            raise Interrupted(signal.SIGTERM)
