"""The processes that a launcher of others' (joblib's) runs jobs in: they end with the command, and may be killed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simplenn import rank
from simplenn.config import without_length
from simplenn.groups import RunGroup


def made_in_worker(make: Callable[[], Any], parent: int) -> Any:
    """What `make` returns; where this is a process that the process `parent` has started, it ends with that one."""
    if parent == os.getpid():  # a copy
        return make()
    if os.getppid() != parent and _is_lokys():
        os._exit(1)  # it has outlived its parent already
    rank.end_with_starter(parent)
    return make()


def _is_lokys() -> bool:
    """Whether joblib has started this process, so that its parent is on this machine."""
    import multiprocessing

    return "Loky" in type(multiprocessing.current_process()).__name__ + multiprocessing.current_process().name


def write_failure(directory: Path, group: RunGroup, run: int, message: str) -> None:
    """The result of a run of the group whose process was killed: failed, with the epochs that it has done."""
    from simplenn.rundir import Result, Run, code_of, final_metrics, package_versions, read_rows

    directory.mkdir(parents=True, exist_ok=True)
    rows = read_rows(Run(directory).metrics_file)
    Run(directory).write_result(
        Result(
            status="failed",
            epoch=int(rows[-1]["epoch"]) if rows else 0,
            metrics=final_metrics(rows),
            best={},
            seed=group.seeds[run],
            seconds=0.0,
            versions=package_versions(),
            message=message,
            identity=without_length(group.identities[run]),
            code=code_of(group.cfg),
        )
    )
