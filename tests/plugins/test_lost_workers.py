"""Jobs whose process is killed, under a launcher that has such processes; here one that only says so."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hydra.core.utils import JobReturn, JobStatus

from hydra_plugins.vectorized.lost_workers import is_lost_worker, launch_with_retry

JOBS = [[f"seed={num}"] for num in range(6)]


class BrokenProcessPool(RuntimeError):
    """As `concurrent.futures` and loky name it."""


class TerminatedWorkerError(BrokenProcessPool):
    """As loky names it."""


class Launcher:
    """Runs jobs in order; one of `deadly` kills its process as often as it says, and the job beside it is lost."""

    def __init__(self, folder: Path, deadly: dict[int, int], begins: bool = True) -> None:
        self.folder, self.deadly, self.begins = folder, deadly, begins
        self.tried: list[int] = []

    def directory(self, num: int) -> Path:
        return self.folder / str(num)

    def launch(self, jobs: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        returns = []
        for num, job in enumerate(jobs, initial_job_idx):
            assert list(job) == JOBS[num]
            self.tried.append(num)
            if self.begins:
                self.directory(num).mkdir(exist_ok=True)
            if self.deadly.get(num, 0):
                self.deadly[num] -= 1
                if self.begins and num + 1 < initial_job_idx + len(jobs):
                    self.directory(num + 1).mkdir(exist_ok=True)
                raise TerminatedWorkerError("A worker was killed. The cause may be anything.")
            self.directory(num).mkdir(exist_ok=True)
            (self.directory(num) / "result.json").write_text("done")
            returns.append(JobReturn(status=JobStatus.COMPLETED, _return_value=num))
        return returns


def launched(launcher: Launcher) -> tuple[list[JobReturn], list[tuple[int, str]]]:
    failed: list[tuple[int, str]] = []
    returns = launch_with_retry(
        launcher.launch, JOBS, range(6), launcher.directory, lambda num, message: failed.append((num, message))
    )
    return returns, failed


def test_a_lost_job_is_tried_once_more_and_no_finished_one_is(tmp_path: Path) -> None:
    launcher = Launcher(tmp_path, {2: 1})
    returns, failed = launched(launcher)
    assert [job.status for job in returns] == [JobStatus.COMPLETED] * 6 and failed == []
    assert launcher.tried == [0, 1, 2, 4, 5, 2, 3]


def test_a_result_of_before_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    """A run that goes on has the result of its last session until it has begun."""
    launcher = Launcher(tmp_path, {2: 1})
    for num in (2, 3):
        launcher.directory(num).mkdir()
        (launcher.directory(num) / "result.json").write_text("interrupted")
    returns, failed = launched(launcher)
    assert [job.status for job in returns] == [JobStatus.COMPLETED] * 6 and failed == []
    assert launcher.tried.count(2) == 2 and launcher.tried.count(3) == 1


def test_a_job_that_kills_its_process_twice_fails_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The one beside it, which is lost with it at first, is not."""
    launcher = Launcher(tmp_path, {2: 9})
    returns, failed = launched(launcher)
    assert launcher.tried.count(2) == 2
    assert [job.status is JobStatus.COMPLETED for job in returns] == [True, True, False, True, True, True]
    with pytest.raises(RuntimeError, match="killed twice"):
        _ = returns[2].return_value
    assert failed == [(2, "the process that ran it was killed twice, as where memory runs out (A worker was killed)")]
    assert "job 2 (seed=2) has failed" in caplog.text


def test_where_no_process_begins_a_job_all_fail_after_two_tries(tmp_path: Path) -> None:
    launcher = Launcher(tmp_path, {0: 9}, begins=False)
    returns, failed = launched(launcher)
    assert launcher.tried == [0, 0]
    assert [num for num, _ in failed] == list(range(6)) and len(returns) == 6


def test_another_error_is_raised(tmp_path: Path) -> None:
    def launch(jobs: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        raise RuntimeError("another")

    with pytest.raises(RuntimeError, match="another"):
        launch_with_retry(launch, JOBS, range(6), lambda num: tmp_path)


def test_the_errors_of_joblib_and_of_python_are_known() -> None:
    process_executor = pytest.importorskip("joblib.externals.loky.process_executor")
    from concurrent.futures.process import BrokenProcessPool as OfPython

    assert all(map(is_lost_worker, [process_executor.TerminatedWorkerError(), OfPython()]))
    assert not is_lost_worker(RuntimeError())
