"""The launcher's keys, and the number of stacks that they come to."""

import time
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest
from commands import free_port, script, server

from simplenn.cluster import Settings, check_settings
from simplenn.command.pieces import pieces_of
from simplenn.errors import ConfigError

pytest.importorskip("distributed")

REFUSED = [
    ({"workers": 0}, "hydra.launcher.workers must be a whole number of 1 or more, got 0"),
    ({"threads": -1}, "hydra.launcher.threads must be a whole number of 1 or more, got -1"),
    ({"cluster": "pbs"}, "hydra.launcher.cluster must be one of local, slurm, got pbs"),
    ({"address": "host"}, "hydra.launcher.address must be a scheduler's, with its port, got 'host'"),
    ({"address": "tcp://host:1", "workers": 2}, "hydra.launcher.workers is that of a cluster to be started, got 2"),
    ({"address": "host:1", "cluster": "slurm"}, "hydra.launcher.cluster is that of a cluster to be started, got slurm"),
    ({"options": {"queue": "gpu"}}, "hydra.launcher.options are those of a batch system's cluster, got {'queue'"),
    ({"memory_limit": "much"}, "hydra.launcher.memory_limit must be a size, got 'much'; try 4GiB"),
    ({"memory_limit": "300MiB"}, "hydra.launcher.memory_limit must be 1GiB or more, got '300MiB'; try 4GiB"),
    ({"memory_limit": "4"}, "hydra.launcher.memory_limit must be 1GiB or more, got '4'; try 4GiB"),
    ({"cluster": "slurm"}, "hydra.launcher.cluster=slurm needs SLURM's sbatch, got none on the PATH"),
]


@pytest.mark.parametrize(("keys", "message"), REFUSED)
def test_refused(keys: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError) as error:
        check_settings(keys)
    assert str(error.value).startswith(message) and ";" in str(error.value) and "\n" not in str(error.value)


def test_workers_and_threads_take_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(8)))
    given = [(None, None), (2, None), (None, 4), (3, 2), (16, None)]
    found = [Settings(workers=workers, threads=threads).local_workers_and_threads for workers, threads in given]
    assert found == [(8, 1), (2, 4), (2, 4), (3, 2), (16, 1)]


class Prepared:
    """A group of so many runs, of which so many fit into memory; `number` is that of the part that it goes on from."""

    def __init__(self, size: int, most: int = 10**6, number: int | None = None) -> None:
        self.group = range(size)
        self.most_together = lambda: most
        self.start = lambda: (None, number)


@pytest.mark.parametrize(
    ("groups", "num_workers", "sizes"),
    [
        ([Prepared(100)], 2, [25] * 4),
        ([Prepared(101)], 2, [25, 25, 25, 26]),
        ([Prepared(3)], 8, [1, 1, 1]),
        ([Prepared(100, most=10)], 2, [10] * 10),
        ([Prepared(90), Prepared(10)], 2, [22, 23, 22, 23, 10]),
        ([Prepared(10)] * 6, 1, [10] * 6),
        ([Prepared(10)] * 2, 1, [10] * 2),
    ],
)
def test_each_worker_gets_two_stacks_or_more(groups: list[Prepared], num_workers: int, sizes: list[int]) -> None:
    """Every run is in one, no stack is larger than fits, and each leaves a part of its own."""
    pieces = list(pieces_of(cast(Any, groups), num_workers, count(7)))
    assert [len(piece.runs) for piece in pieces] == sizes
    assert [piece.number for piece in pieces] == list(range(7, 7 + len(sizes)))
    for group in groups:
        runs = [run for piece in pieces if piece.prepared is cast(Any, group) for run in piece.runs]
        assert runs == [*group.group] * groups.count(group)


def test_runs_that_go_on_keep_their_part_where_they_stay_together() -> None:
    whole, cut = Prepared(10, number=3), Prepared(40, number=4)
    pieces = list(pieces_of(cast(Any, [whole, cut]), 2, count(7)))
    assert [(len(piece.runs), piece.number) for piece in pieces] == [(10, 3), (10, 7), (10, 8), (10, 9), (10, 10)]


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simplenn.cluster.settings.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs the package dask, got no such package; try pip install .*\[dask\]"):
        check_settings({})


def test_an_address_that_nobody_answers_is_refused_within_seconds(tmp_path: Path) -> None:
    """One line, and nothing is written."""
    server("everything")  # else its start counts
    begun = time.monotonic()
    words = ["-m", "hydra/launcher=dask", f"hydra.launcher.address=tcp://127.0.0.1:{free_port()}", "seed=1,2"]
    done = script("train.py", *words, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stdout + done.stderr
    assert "must be that of a scheduler that answers" in done.stderr and time.monotonic() - begun < 20
    assert not list(tmp_path.iterdir())
