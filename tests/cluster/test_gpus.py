"""One worker for each GPU."""

import os
import signal
import time
from collections.abc import Iterator

import pytest
import torch
from conftest import composed

from simplenn.cluster import Settings, gpus_for

pytest.importorskip("distributed")

from simplenn.cluster.connection import Connection, connect


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> None:
    """GPUs, which this machine need not have."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["trainer.accelerator=auto"], ("0", "1", "2", "3")),
        (["trainer.accelerator=gpu", "trainer.devices=1"], ("0", "1", "2", "3")),
        (["trainer=cpu"], ()),
        (["trainer.accelerator=gpu", "trainer.devices=2"], ()),
    ],
)
def test_each_gpu_is_for_a_worker(overrides: list[str], expected: tuple[str, ...], four: None) -> None:
    """Where runs take one each."""
    assert gpus_for([composed(*overrides)]) == expected


def test_only_those_that_may_be_seen(four: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-ab12")
    assert gpus_for([composed("trainer=cpu"), composed("trainer.accelerator=auto")]) == ("3", "GPU-ab12")


def test_there_are_as_many_workers_as_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless another number is asked for."""
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(8)))
    given = [Settings(gpus=("0", "1")), Settings(workers=4, gpus=("0", "1")), Settings(threads=1, gpus=("0",))]
    assert [settings.local_workers_and_threads for settings in given] == [(2, 4), (4, 2), (1, 1)]


@pytest.fixture
def connection() -> Iterator[Connection]:
    connection = connect(Settings(workers=2, threads=1, gpus=("5", "GPU-ab12")))
    yield connection
    connection.close()


def test_a_worker_sees_its_own_gpu_alone(connection: Connection) -> None:
    """And the worker that takes a lost one's place sees that one's."""

    def of_worker() -> tuple[int, str]:
        return os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES", "all")

    def seen() -> dict[int, str]:
        return dict(connection.client.run(of_worker, on_error="ignore").values())

    connection.client.wait_for_workers(2, timeout=60)
    before = seen()
    assert sorted(before.values()) == ["5", "GPU-ab12"]
    os.kill(next(iter(before)), signal.SIGKILL)
    deadline = time.monotonic() + 60
    while (after := seen()) == before or sorted(after.values()) != ["5", "GPU-ab12"]:
        assert time.monotonic() < deadline, after
        time.sleep(0.1)
    assert len(before.keys() & after.keys()) == 1
