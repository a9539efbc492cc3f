"""Launches jobs by a launcher that runs them in processes of its own, and again those that a killed process has cost.

Knows the launchers by the names of their errors alone: none is imported.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, filter_overrides

from simplenn.planning import Job

log = logging.getLogger(__name__)

Launch = Callable[..., Sequence[JobReturn]]  # (jobs, initial_job_idx=number of the first)
RESULT = "result.json"


class WorkerLost(RuntimeError):
    """The process that ran a job was killed, twice."""


def is_lost_worker(error: BaseException) -> bool:
    """Whether a launcher has lost one of its processes: by the error of joblib's or that of Python's own pools."""
    names = {base.__name__ for base in type(error).__mro__}
    return bool(names & {"TerminatedWorkerError", "BrokenProcessPool"})


def launch_with_retry(
    launch: Launch,
    jobs: Sequence[Job],
    nums: Sequence[int],
    directory_of: Callable[[int], Path],
    fail: Callable[[int, str], Any] = lambda num, message: None,
) -> list[JobReturn]:
    """The returns of `launch(jobs, initial_job_idx=...)`, in order; `nums` are the jobs' numbers, and
    `directory_of(num)` is where a job leaves its result.

    Where a process is lost, so are all jobs of that launch that have left no result in it. Those that hadn't begun are
    launched together again; each of the others, one of which may have killed its process, by itself, so that it costs
    no other job if it does so again. Such a job is failed: it is logged, `fail(num, message)` is called, and its return
    raises `WorkerLost`. What the launcher raises otherwise is raised.
    """
    returns: dict[int, JobReturn] = {}
    waiting: dict[int, Job] = dict(zip(nums, jobs, strict=True))
    alone: dict[int, Job] = {}
    tries = 0  # in a row of which no job so much as began
    before = {num: _written(directory_of(num)) for num in nums}
    while waiting:
        try:
            returns |= _launched(launch, waiting)
            break
        except Exception as error:
            if not is_lost_worker(error):
                raise
            reason = _said(error)
        left = {num: job for num, job in waiting.items() if _written(directory_of(num)) in (None, before[num])}
        returns |= {num: _return_of_finished(job) for num, job in waiting.items() if num not in left}
        begun = {num: job for num, job in left.items() if directory_of(num).exists()}
        log.warning("%s; %d of %d jobs have no result and are tried once more", reason, len(left), len(waiting))
        tries = 0 if len(begun) + len(waiting) - len(left) else tries + 1
        alone |= begun
        waiting = {num: job for num, job in left.items() if num not in begun}
        if tries == 2:  # no process comes as far as to begin a job
            returns |= {num: _failed(num, job, reason, fail) for num, job in waiting.items()}
            break
    for num, job in alone.items():
        try:
            returns |= _launched(launch, {num: job})
        except Exception as error:
            if not is_lost_worker(error):
                raise
            returns[num] = _failed(num, job, _said(error), fail)
    return [returns[num] for num in nums]


def _written(directory: Path) -> tuple[int, int] | None:
    """What tells a result from one that was there before; `None` where there is none."""
    try:
        found = (directory / RESULT).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def _launched(launch: Launch, jobs: dict[int, Job]) -> dict[int, JobReturn]:
    """By as many launches as there are rows of numbers without a gap, as a launcher counts from the first on."""
    returns: dict[int, JobReturn] = {}
    for row in _rows(sorted(jobs)):
        returns |= zip(row, launch([jobs[num] for num in row], initial_job_idx=row[0]), strict=True)
    return returns


def _rows(nums: Sequence[int]) -> Iterator[list[int]]:
    row: list[int] = []
    for num in nums:
        if row and num != row[-1] + 1:
            yield row
            row = []
        row.append(num)
    if row:
        yield row


def _return_of_finished(job: Job) -> JobReturn:
    return JobReturn(overrides=filter_overrides(job), status=JobStatus.COMPLETED, _return_value=None)


def _failed(num: int, job: Job, reason: str, fail: Callable[[int, str], Any]) -> JobReturn:
    message = f"the process that ran it was killed twice, as where memory runs out ({reason})"
    log.error("job %d (%s) has failed: %s", num, " ".join(filter_overrides(job)), message)
    fail(num, message)
    return JobReturn(overrides=filter_overrides(job), status=JobStatus.FAILED, _return_value=WorkerLost(message))


def _said(error: BaseException) -> str:
    """The first sentence of the error, which goes on at length about what may be the cause."""
    text = " ".join(str(error).split())
    return text.partition(". ")[0] or type(error).__name__
