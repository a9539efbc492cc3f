"""A unit of work, done in this process by a worker that is only said to be one."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from stacks import assert_same, configured

from simplenn.cluster import ending, working
from simplenn.cluster.outcomes import outcome_of
from simplenn.cluster.unit import Unit, result_of
from simplenn.groups.outcome import Outcome
from simplenn.rundir import code_of
from simplenn.stacking import train_stack

pytest.importorskip("distributed")

COLUMNS = {"seed": [1, 2, 3], "optimizer.lr": [0.01, 0.02, 0.03]}


class Killed(BaseException):
    """In place of the process's end."""


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """It notes what it tells; its process has three of torch's threads, as Dask would not."""
    told: list[dict[str, Any]] = []
    worker = SimpleNamespace(
        address="tcp://here:1",
        local_directory=str(tmp_path / "worker-a"),
        state=SimpleNamespace(nthreads=1, tasks={"key": SimpleNamespace(state="executing")}),
        memory_manager=SimpleNamespace(memory_limit=None),
        log_event=lambda topic, message: told.append(message["how_far"]),
        get_current_task=lambda: "key",
        told=told,
    )
    monkeypatch.setattr("distributed.get_worker", lambda: worker)
    monkeypatch.setattr("simplenn.cluster.working.SECONDS_BETWEEN", 0)
    return worker


def unit(**other: Any) -> Unit:
    cfg = configured("experiment=post", "trainer.max_epochs=12")
    values: Any = OmegaConf.to_container(cfg, resolve=True)
    kind = {"number": 1, "token": "t", "cfg": values, "allow": [], "columns": COLUMNS, "threads": 1}
    return Unit(**{**kind, "expected": working.versions() | code_of(cfg), **other})


def outcome(unit: Unit) -> Outcome:
    result = result_of(unit, working.train_unit(unit))
    ((first, last, content),) = result.outcomes
    assert (first, last) == (0, 3)
    return outcome_of(content, result.signal)


def test_a_restart_goes_on_from_what_was_kept(worker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the scratch space, by another worker beside the first, to the same numbers."""
    monkeypatch.setattr("simplenn.stacking.keeping.SECONDS_BETWEEN", 0)
    write, kept = working.write_atomically, []

    def write_and_die(path: Path, content: bytes) -> None:
        write(path, content)
        kept.append(path)
        if len(kept) == 5:
            raise Killed

    monkeypatch.setattr(working, "write_atomically", write_and_die)
    with pytest.raises(Killed):
        working.train_unit(unit())
    worker.told.clear()
    worker.local_directory = worker.local_directory.replace("worker-a", "worker-b")
    again = outcome(unit())
    assert next(how_far["epoch"] for how_far in worker.told if how_far) == 6
    whole = train_stack(configured("experiment=post", "trainer.max_epochs=12"), COLUMNS)
    assert_same(again, [0, 1, 2], whole, [0, 1, 2])
    assert not kept[0].exists()


def test_a_unit_that_is_no_longer_wanted_ends_in_order(worker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the command asks for it, and where the scheduler has dropped it, as the command has died."""
    monkeypatch.setattr(ending, "_ended", {})
    tell = worker.log_event

    def end_after_three(topic: str, message: dict[str, Any]) -> None:
        tell(topic, message)
        if message["how_far"].get("epoch") == 3:
            ending.end("t", 2)

    worker.log_event = end_after_three
    ended = outcome(unit())
    assert (ended.status, ended.message, len(ended.steps)) == (["interrupted"] * 3, ["SIGINT"] * 3, 3)
    assert result_of(unit(), working.train_unit(unit())).signal == "SIGINT"  # one that has not begun
    worker.state.tasks.clear()
    assert result_of(unit(token="u"), working.train_unit(unit(token="u"))).signal == "SIGTERM"


def test_torch_has_the_threads_that_the_unit_says(worker: Any) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        outcome(unit(threads=2))
        assert torch.get_num_threads() == 2
        worker.state.nthreads = 1
        outcome(unit(threads=None))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_a_unit_of_other_versions_or_code_is_refused(worker: Any) -> None:
    own = unit().expected
    for name in ("torch", "Python", "the code of simplenn"):
        answer = working.train_unit(unit(expected=own | {name: "other"}))
        assert answer.refusal.startswith("the worker tcp://here:1 must have the command's versions, got " + name)
        assert answer.body == b""
    evil = unit().cfg | {"model": {"_target_": "os.system"}}
    assert "os.system" in working.train_unit(unit(cfg=evil)).refusal
