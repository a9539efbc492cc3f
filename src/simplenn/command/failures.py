"""The failed runs of a sweep's command: each is told at once, and too many of them stop the sweep."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

from simplenn.rundir import Run, shown
from simplenn.sweep.multirun import MULTIRUN

log = logging.getLogger(__name__)

SAME_FAILURES = 10  # after which `on_error=auto` takes the rest to fail as well, if no run has ended otherwise before


class Stopped(SystemExit):
    """The sweep trains no further run. A `SystemExit`, as Hydra takes any other exception for the job's alone."""

    def __init__(self, reason: str) -> None:
        super().__init__(1)
        self.reason = reason


@dataclass
class Failures:
    """How the runs of a command ended, one after the other. `on_error` is the key of that name."""

    on_error: str
    _messages: list[str] = field(default_factory=list)
    _any_other: bool = False

    def ended(self, run: Run, status: str, message: str) -> None:
        """Takes note of a run, and tells of one that failed. Raises `Stopped` where it was the last that is tried."""
        self.note(status, message)
        if status == "failed":
            log.error("failed: %s: %s (see %s)", shown(run.directory), message, shown(run.directory / "train.log"))
            if reason := self.reason_to_stop:
                raise Stopped(reason)

    def stacked(self) -> None:
        """Takes note of a stack that has ended."""
        self._any_other = True

    def note(self, status: str, message: str) -> None:
        if status == "failed":
            self._messages.append(message)
        else:
            self._any_other = True

    @property
    def reason_to_stop(self) -> str:
        """Empty where the sweep goes on."""
        if self.on_error == "stop" and self._messages:
            return "a run has failed, and on_error=stop"
        first = self._messages[:SAME_FAILURES]
        if self.on_error == "auto" and not self._any_other and len(first) == SAME_FAILURES and len(set(first)) == 1:
            return f"the first {SAME_FAILURES} runs have all failed alike; on_error=continue goes on all the same"
        return ""


def reason_not_to_begin(sweep: Path, on_error: str) -> str:
    """Why a job in a process of its own, which doesn't know of the others, must not begin; empty where it may.

    By the results that the command has left so far: those that are younger than its `multirun.yaml`.
    """
    if on_error == "continue":
        return ""
    begun = (sweep / MULTIRUN).stat().st_mtime
    failures = Failures(on_error)
    for number, file in enumerate(
        sorted((sweep / "runs").glob("*/result.json"), key=lambda path: path.stat().st_mtime)
    ):
        if number > 10 * SAME_FAILURES and on_error == "auto":
            break
        if file.stat().st_mtime >= begun and (result := Run(file.parent).result()) is not None:
            failures.note(result.status, result.message)
    return failures.reason_to_stop
