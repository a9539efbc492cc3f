"""Writes the directories of a run group's runs, each with the files that the same run leaves when it trains by itself.

A directory appears under its name once it is whole.

Shapes: R runs.
"""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import lightning.pytorch as L

from simplenn.groups import RunGroup
from simplenn.groups.metrics import runs_by_metrics
from simplenn.regressor import Regressor
from simplenn.rundir import atomic, writing
from simplenn.rundir.crash_points import crash_point
from simplenn.sweep.run_directories import is_missing
from simplenn.sweep.run_files.contents import Contents, Files, MetricsPerEpoch

RUNS_AT_ONCE = 500  # whose files one thread has in memory
BYTES_AT_ONCE = 1 << 27
THREADS = 2

Portion = tuple[list[int], MetricsPerEpoch]  # runs whose rows have the same metrics


def write_directories(
    group: RunGroup, sweep: Path, regressor: Regressor, data: L.LightningDataModule, *, all_figures: bool = False
) -> list[bool]:
    """Writes every run's directory in the sweep's, in place of one of fewer epochs; [R], whether each was written now
    or was there already.

    `regressor` and `data` are those of any of the runs. With `all_figures`, each run that is done has its figure, as
    if it had trained outside of the sweep.
    """
    contents = Contents(group, sweep, regressor, data, all_figures=all_figures)

    def write(portion: Portion) -> dict[int, bool]:
        return {
            run: _write(sweep / group.subdirs[run], files, group.ended.status[run], group.ended.epoch[run])
            for run, files in contents.of(*portion)
        }

    is_new: dict[int, bool] = {}
    with ThreadPoolExecutor(THREADS) as pool:  # files are written and compressed outside of the interpreter's lock
        for written in pool.map(write, _portions(group, contents.bytes_per_run)):
            is_new |= written
    return [is_new[run] for run in range(len(group))]


def _portions(group: RunGroup, bytes_per_run: int) -> Iterator[Portion]:
    """The group's runs, as many at once as memory and threads suggest."""
    size = max(1, min(RUNS_AT_ONCE, BYTES_AT_ONCE // bytes_per_run, -(-len(group) // THREADS)))
    for metrics_per_epoch, runs in runs_by_metrics(group.ended):
        for start in range(0, len(runs), size):
            yield runs[start : start + size], metrics_per_epoch


def _write(directory: Path, files: Files, status: str, epoch: int) -> bool:
    path = str(directory)
    if not is_missing(path, status, epoch):
        return False
    temporary = os.path.join(os.path.dirname(path), f".{sha256(path.encode()).hexdigest()[:16]}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with writing(directory):
            _write_whole(temporary, files)
            if os.path.lexists(path):
                atomic.take_place(Path(temporary), directory, durable=False)
            else:
                crash_point("before rename", path)
                os.rename(temporary, path)
                crash_point("after rename", path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return True


def _write_whole(directory: str, files: Files) -> None:
    os.makedirs(directory)
    for folder in dict.fromkeys(os.path.dirname(name) for name in files):
        if folder:
            os.mkdir(os.path.join(directory, folder))
    for name, content in files.items():
        crash_point("before write", name)
        with open(f"{directory}/{name}", "wb", buffering=0) as stream:
            rest = memoryview(content)
            while len(rest):  # a disk that gets full takes a part of it, and only then says so
                rest = rest[stream.write(rest) :]
        crash_point("after write", name)
