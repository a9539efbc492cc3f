"""What a launcher is handed by a task function's batched counterpart."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from grids import grid, planner_of_a_sweep

from simplenn.command.sweeping import Sweeping, batched_by
from simplenn.config import check_config, without_hydra
from simplenn.errors import Refused
from simplenn.planning import Plan, Planner
from simplenn.sweep.attempts import Attempts
from simplenn.sweep.parts import find_parts
from simplenn.sweep.record import SweepRecord
from simplenn.sweep.results import results_of

QUICK = ("trainer=cpu", "quiet=true", "progress=none", "trainer.max_epochs=2", "data.num_train=32")


@pytest.fixture
def planner(tmp_path: Path) -> Iterator[Planner]:
    with planner_of_a_sweep(*QUICK, f"hydra.sweep.dir={tmp_path / 'sweep'}") as planner:
        yield planner


def planned(planner: Planner, jobs: list[list[str]]) -> Plan:
    return Plan(planner.plan(jobs), dict(enumerate(jobs)))


def test_a_launch_asks_once_and_gets_what_trains_each_group(planner: Planner) -> None:
    """Groups come back in their order: with a reason and untrained, or without one and trained; the latter are recorded
    as stacked, those without a directory not at all.
    """
    jobs = grid(*QUICK, "trainer.accumulate_grad_batches=1,2", "seed=1,2")
    sweeping = Sweeping()
    plan = sweeping.check(planned(planner, jobs), planner.sweep)
    prepared = sweeping.prepare(plan.groups, planner.sweep)
    assert [one.group.nums for one in prepared] == [[0, 1], [2, 3]]
    assert prepared[0].reason is None and len(prepared[0].train()) == 2
    assert prepared[1].reason == "trainer.accumulate_grad_batches=2"
    directory = Path(planner.sweep.hydra.sweep.dir)
    (part,) = find_parts(directory)
    assert part.runs()["num"].to_list() == [0, 1]
    record = SweepRecord(directory, Attempts())
    assert record.counts == {"done": 2} and results_of(directory)["seed"].to_list() == [1, 2]


def test_a_part_of_a_checked_plan_is_not_checked_again(planner: Planner, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a sweep in batches comes back with parts of its groups; groups that nobody has checked are checked then."""
    checked: list[list[int]] = []
    real = Sweeping._take_on

    def counted(self: Sweeping, groups: list, *rest: object, **options: bool) -> None:
        checked.extend(group.nums for group in groups)
        real(self, groups, *rest, **options)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Sweeping, "_take_on", counted)
    sweeping = Sweeping()
    ((group,), _) = sweeping.check(planned(planner, grid(*QUICK, "seed=1,2,3,4")), planner.sweep)
    for nums in (range(2), range(2, 4)):
        part = group.with_nums(nums)
        assert part is not None
        sweeping.prepare([part], planner.sweep)
    assert checked == [[0, 1, 2, 3]]
    sweeping.prepare(planner.plan(grid(*QUICK, "seed=5,6"), first=4), planner.sweep)
    assert checked == [[0, 1, 2, 3], [4, 5]]


def test_jobs_of_one_directory_are_refused_before_it_is_made(planner: Planner, tmp_path: Path) -> None:
    planner.sweep.hydra.overrides.hydra.append("hydra.sweep.subdir=same")
    with pytest.raises(Refused) as refused:
        Sweeping().check(planned(planner, grid(*QUICK, "seed=1,2")), planner.sweep)
    assert "hydra.sweep.subdir must give each job a place of its own, got same for 2" in refused.value.message
    assert not (tmp_path / "sweep").exists()


def test_a_job_that_is_sent_elsewhere_does_not_take_the_plan_along(planner: Planner) -> None:
    """The pickled task function, which joblib makes for each job, is as long in a large sweep as in a small one."""
    cloudpickle = pytest.importorskip("cloudpickle")
    sweeping = Sweeping()
    task = batched_by(sweeping)(lambda cfg: 0.0)
    sizes = []
    for words in (["seed=1"], ["seed=range(1000)", "optimizer=sgd,adam"]):
        for group in planner.plan(grid(*words)):
            sweeping._proofs.plan(replace(group, checked=check_config(without_hydra(group.composed))))
        sizes.append(len(cloudpickle.dumps(task)))
    assert sizes[0] == sizes[1] < 5000
