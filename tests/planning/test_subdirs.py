"""Each job's directory is where Hydra's basic launcher puts it."""

from collections.abc import Sequence

import pytest
from grids import grid
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf, open_dict

from simplenn.planning.planner import Planner


def subdir_by_hydra(planner: Planner, job: Sequence[str], num: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where Hydra's basic launcher puts a job."""
    config = planner.compose(job)
    with open_dict(config):
        config.hydra.job.id = config.hydra.job.num = num
    monkeypatch.setattr(HydraConfig.instance(), "cfg", config)
    return str(OmegaConf.select(config, "hydra.sweep.subdir"))


@pytest.mark.parametrize(
    "words",
    [
        ["hydra.sweep.subdir=${hydra.job.num}"],
        ["hydra.sweep.subdir='x/${hydra:job.num}_${hydra.job.id}'"],
        ["hydra.sweep.subdir='lr_${optimizer.lr}/${optimizer.betas}/${.dir}_${seed}'", "hydra.sweep.dir=out"],
        ["hydra.sweep.subdir='${optimizer.betas}_${optimizer.lr}'"],
        ["hydra.sweep.subdir=${hydra.job.override_dirname}"],
        [
            "hydra.sweep.subdir='${hydra.runtime.choices.optimizer}/${hydra.job.override_dirname}'",
            "hydra.job.config.override_dirname.exclude_keys=[seed,optimizer,data.noise]",
            "hydra.job.config.override_dirname.kv_sep=-",
            "hydra.job.config.override_dirname.item_sep=__",
        ],
    ],
)
def test_a_place_of_the_users_own_is_that_of_hydras_basic_launcher(
    words: list[str], planner: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Worked out for each job, and no reason for one to be composed, or trained, by itself."""
    planner.sweep.hydra.overrides.hydra = words
    betas = "optimizer.betas=[0.9,0.999],[0.8,1e-3]"
    jobs = grid("optimizer=adam,adamw", betas, "seed=1,2", "optimizer.lr=1,1e-3", "++data.noise=.5", "+trainer.x=a b")
    jobs = [job for number, job in enumerate(jobs) if number.bit_count() % 2 == 0]  # half of them, with all pairs
    groups = planner.plan(jobs, 5)
    assert [len(group.nums) for group in groups] == [4, 4]
    for group in groups:
        assert group.subdirs == [subdir_by_hydra(planner, jobs[num - 5], num, monkeypatch) for num in group.nums]


def test_a_place_with_a_number_that_something_else_has_too(planner: Planner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number is structural for the other's sake, and the place is still each job's own."""
    planner.sweep.hydra.overrides.hydra = ["hydra.sweep.subdir='${data.noise}_${hydra.job.override_dirname}'"]
    jobs = grid("optimizer.lr=0.1,0.2", "seed=1,2", "data.noise=${optimizer.lr}")
    groups = planner.plan(jobs)
    assert [group.nums for group in groups] == [[0, 1], [2, 3]]
    subdirs = [subdir_by_hydra(planner, job, num, monkeypatch) for num, job in enumerate(jobs)]
    assert [place for group in groups for place in group.subdirs] == subdirs
