"""The parts of a sweep: whole, checked at every read, and enough to write any run's directory later."""

from pathlib import Path

import pytest
import torch
from sweeps import group_of, train_alone

from simplenn.groups import RunGroup
from simplenn.rundir.run import Run
from simplenn.sweep.parts import (
    read_group,
    write_part,
)

GRID = ("model.hidden=4,5", "optimizer=adam,sgd", "optimizer.lr=1e30,0.01", "data.num_train=32", "data.num_val=32")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Two widths, two optimizers, two learning rates, one of which diverges."""
    return train_alone(tmp_path_factory.mktemp("alone") / "sweep", *GRID, "trainer.max_epochs=3", "progress=none")


@pytest.fixture
def group(runs: list[Run]) -> RunGroup:
    return group_of([runs[1], runs[0]], ["optimizer.lr"], [])


def test_a_group_is_read_as_it_was_written(group: RunGroup, tmp_path: Path) -> None:
    """Everything that training, or a run's directory, could ask for, to the bit; in any order of the rows."""
    part = write_part(tmp_path, 7, group, finished=True)
    assert (part.path.name, part.number, part.epochs, part.finished) == ("0007-3", 7, 3, True)
    assert_same(read_group(part), group)
    for rows in ([1], [0], [1, 0]):
        assert_same(read_group(part, rows), group.take(rows))


def assert_same(one: RunGroup, other: RunGroup) -> None:
    for name in (
        "composed",
        "checked",
        "nums",
        "overrides",
        "columns",
        "subdirs",
        "finished",
        "host",
        "versions",
        "code",
    ):
        assert getattr(one, name) == getattr(other, name), name
    a, b = one.ended, other.ended
    for name in ("status", "message", "epoch", "steps"):
        assert getattr(a, name) == getattr(b, name), name
    assert one.seconds == other.seconds
    assert list(a.curves) == list(b.curves)
    assert all(equal(a.curves[name], b.curves[name]) for name in a.curves)
    kept = {*b.last.epoch.tolist(), *b.best.epoch.tolist()} & set(b.skeletons)
    assert {epoch: a.skeletons[epoch] for epoch in kept} == {epoch: b.skeletons[epoch] for epoch in kept}
    for mine, theirs in ((a.last, b.last), (a.best, b.best)):
        assert torch.equal(mine.epoch, theirs.epoch)
        assert list(mine.optimizer) == list(theirs.optimizer)
        pairs = [(mine.weights, theirs.weights), (mine.absent, theirs.absent)]
        pairs += [(mine.optimizer[slot], theirs.optimizer[slot]) for slot in theirs.optimizer]
        for left, right in pairs:
            assert left.keys() == right.keys()
            assert all(equal(left[name], right[name]) for name in right)


def equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one.nan_to_num(1.25e-7), other.nan_to_num(1.25e-7))
