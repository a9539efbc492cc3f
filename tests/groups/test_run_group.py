"""Some runs of a sweep, and parts of them."""

import subprocess
import sys

import pytest
import torch
from conftest import composed
from omegaconf import DictConfig

from simplenn.config import check_config
from simplenn.groups.run_group import RunGroup
from simplenn.stacking import train_stack

COLUMNS = {"seed": [3, 1, 2], "optimizer.lr": [0.01, 0.02, 0.03]}


@pytest.fixture
def group() -> RunGroup:
    cfg = check_config(composed("quiet=true", "trainer=cpu", "data=sum", "trainer.max_epochs=2", "data.num_train=32"))
    subdirs = [f"runs/seed={seed}" for seed in COLUMNS["seed"]]
    overrides = [[f"seed={seed}"] for seed in COLUMNS["seed"]]
    return RunGroup(DictConfig({}), [7, 8, 9], overrides, dict(COLUMNS), subdirs, checked=cfg)


def test_a_part_has_the_entries_of_its_runs(group: RunGroup) -> None:
    """In the order that it was asked for, in every list; the whole stays as it is."""
    part = group.take([2, 0])
    assert (len(part), part.nums, part.names, part.seeds) == (2, [9, 7], ["seed=2", "seed=3"], [2, 3])
    assert part.columns["optimizer.lr"] == [0.03, 0.01] and part.overrides == [["seed=2"], ["seed=3"]]
    assert group.nums == [7, 8, 9] and group.columns == COLUMNS


def test_a_part_by_job_numbers(group: RunGroup) -> None:
    part = group.with_nums({9, 8, 100})
    assert part is not None and part.nums == [8, 9]
    assert group.with_nums(range(100)) is group and group.with_nums([1]) is None


def test_a_part_of_a_trained_group_has_the_outcome_of_its_runs(group: RunGroup) -> None:
    """Curves, weights and share of the time."""
    trained = group.trained(train_stack(group.cfg, group.columns), stacked=True)
    part = trained.take([1])
    assert part.ended.status == ["done"] and part.stacked
    assert torch.equal(part.ended.curves["val/loss"], trained.ended.curves["val/loss"][:, [1]])
    for name, weight in trained.ended.last.weights.items():
        assert torch.equal(part.ended.last.weights[name], weight[[1]])
    assert part.seconds == trained.seconds


def test_a_group_is_planned_without_torch() -> None:
    """Planning and refusing a sweep answer at once."""
    code = "import sys, simplenn.groups.run_group, simplenn.planning.planner; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
