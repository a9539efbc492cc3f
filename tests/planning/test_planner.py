"""The plan of a sweep against the slow, obvious way: composing every job in full."""

from collections.abc import Sequence
from typing import Any

import pytest
from grids import grid
from omegaconf import DictConfig, OmegaConf

from simplenn.groups.run_group import RunGroup
from simplenn.planning.planner import Planner


def values(config: DictConfig) -> dict[str, Any]:
    found: Any = OmegaConf.to_container(config, resolve=False)
    del found["hydra"]
    return found


def assert_as_composed(groups: Sequence[RunGroup], jobs: Sequence[Sequence[str]], planner: Planner) -> None:
    """Every job is in one group, with the configuration that composing it in full gives."""
    assert sorted(num for group in groups for num in group.nums) == list(range(len(jobs)))
    for group in groups:
        for i, num in enumerate(group.nums):
            derived = group.composed.copy()
            for key, column in group.columns.items():
                OmegaConf.update(derived, key, column[i])
            assert values(derived) == values(planner.compose(jobs[num]))


@pytest.mark.parametrize(
    ("words", "num_groups"),
    [
        (["optimizer=sgd,adam", "optimizer.lr=0.1,1e-2"], 2),
        (["optimizer=adam", "optimizer.betas=[0.9,0.99],[0.8,0.9]", "optimizer.eps=1e-8,1"], 1),
        (["model.hidden=4,8", "seed=range(2)"], 2),
        (["optimizer.nesterov=true,false", "optimizer.momentum=0.5,0.9", "optimizer.lr=1"], 2),
        (["optimizer.nesterov=0,1", "optimizer.momentum=0.9", "seed=1,2"], 2),
        (["+data.settings=${optimizer}", "optimizer.lr=0.1,0.2", "seed=1,2"], 2),
        (["data.seed=${seed}", "seed=1,2", "optimizer.lr=0.1,0.2"], 2),
        (["data.noise=${optimizer.lr}", "optimizer.lr=0.1,0.2", "seed=1,2"], 2),
        (["experiment=post", "seed=1,2"], 1),
        (["++optimizer.lr=0.1,0.2", "seed=1,2"], 1),
        (["+optimizer.own.number=1,2", "seed=1,2"], 2),
        (["optimizer.lr=0.1,0.2", "++optimizer.lr=0.3", "seed=1,2"], 1),
        (["optimizer.lr=0.1,0.2", "++optimizer={lr:0.3}", "seed=1,2"], 2),
        (["optimizer.lr=0.1,0.2", "++optimizer={lr:0.3}"], 2),
    ],
)
def test_a_plan_means_what_hydra_means(words: list[str], num_groups: int, planner: Planner) -> None:
    """Jobs that differ in numbers alone form a group; a number that something interpolates is structural."""
    jobs = grid(*words)
    groups = planner.plan(jobs)
    assert len(groups) == num_groups
    assert_as_composed(groups, jobs, planner)


def test_jobs_that_name_other_numbers_are_of_other_groups(planner: Planner) -> None:
    """A search may leave a number out, which is then the default, and not what another job has."""
    jobs = [["seed=1"], ["optimizer.lr=0.1"], ["seed=2"], ["optimizer.lr=0.1", "seed=3"]]
    groups = planner.plan(jobs)
    assert [group.nums for group in groups] == [[0, 2], [1], [3]]
    assert_as_composed(groups, jobs, planner)


def test_a_job_that_comes_again_is_a_job_of_its_own(planner: Planner) -> None:
    """A search may launch one point twice: each time by its own number."""
    (job,) = grid("seed=1")
    assert [group.nums for first in (0, 1) for group in planner.plan([job], first)] == [[0], [1]]


def test_a_plan_that_strays_from_hydra_falls_back_to_composing(planner: Planner) -> None:
    """A number that composing doesn't put where its key says (here by a planner that reads 2 as 4) is noticed."""
    numbers = {"seed=1": 1, "seed=2": 4, "seed=3": 3, "seed=4": 4}
    planner.number = lambda word: ("seed", numbers[word])  # pyright: ignore
    jobs = grid("seed=1,2,3,4")
    groups = planner.plan(jobs)
    assert [group.columns for group in groups] == [{}] * 4
    assert_as_composed(groups, jobs, planner)
