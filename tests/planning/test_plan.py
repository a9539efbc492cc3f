"""The jobs of a grid and their plan, against the slow, obvious way: composing every job in full."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from conftest import ROOT
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import setup_globals
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from simplenn.command.sweeping import Sweeping, batched_by
from simplenn.groups.run_group import RunGroup
from simplenn.planning.grid import jobs_of, run_names
from simplenn.planning.overrides import swept_keys
from simplenn.planning.planner import Planner

PARSER = OverridesParser.create()


def grid(*words: str, points: int | None = None) -> list[list[str]]:
    return jobs_of(PARSER.parse_overrides(list(words)), points, PARSER)


@pytest.mark.parametrize(
    ("word", "points", "values"),
    [
        ("a=1,2", None, ["1", "2"]),
        ("a=range(3)", None, ["0", "1", "2"]),
        ("a=interval(0, 1)", 5, ["0.0", "0.25", "0.5", "0.75", "1.0"]),
        ("a=tag(log, interval(1e-3, 1))", 4, ["0.001", "0.01", "0.1", "1.0"]),
        ("a=tag(log, interval(0.1, 0.2))", 3, ["0.1", "0.1414", "0.2"]),
        ("a=int(interval(1, 4))", 4, ["1", "2", "3", "4"]),
        ("a=int(interval(1, 3))", 9, ["1", "2", "3"]),
        ("a=interval(1, 1.00001)", 3, ["1.0", "1.000005", "1.00001"]),
        ("a=interval(-1, 1)", 2, ["-1.0", "1.0"]),
    ],
)
def test_the_points_of_a_grid(word: str, points: int | None, values: list[str]) -> None:
    """Both ends included, evenly spaced or by ratio, in few digits, all different."""
    assert grid(word, points=points) == [[f"a={value}"] for value in values]


@pytest.mark.parametrize(
    ("word", "points", "message"),
    [
        ("a=interval(1, 2)", None, "must come with a number of points; try hydra.sweeper.points=10"),
        ("a=interval(1, 2)", 1, "hydra.sweeper.points must be a whole number of 2 or more, got 1"),
        ("a=interval(2, 1)", 5, "got interval(2, 1); try interval(1, 2)"),
        ("a=interval(1, 1)", 5, "from a lower to a higher number"),
        ("a=interval(1, inf)", 5, "from a lower to a higher number"),
        ("a=tag(log, interval(0, 1))", 5, "above 0 to be spaced by ratio"),
        ("a=tag(log, interval(-1, 1))", 5, "above 0 to be spaced by ratio"),
        ("a=range(0)", None, "at least one job"),
    ],
)
def test_what_makes_no_grid_is_refused(word: str, points: int | None, message: str) -> None:
    with pytest.raises(HydraException) as refused:
        grid(word, points=points)
    assert message in str(refused.value)


def test_names_say_what_was_swept_and_differ() -> None:
    """Keys in alphabetical order, whatever the command's; a number behind a name that two runs would share."""
    jobs = grid("seed=1,2", "b=x", "a=1,2")
    assert swept_keys(jobs) == ["a", "seed"]
    signed = grid("+a=1,2", "seed=1", "++b=x", "hydra.verbose=true")
    assert swept_keys(signed) == ["a"]
    assert run_names(signed, ["a"]) == ["a=1", "a=2"]
    assert swept_keys(grid("a=1,2", "++a=3", "b=1,2")) == ["b"]
    assert run_names(jobs, ["a", "seed"]) == ["a=1,seed=1", "a=2,seed=1", "a=1,seed=2", "a=2,seed=2"]
    odd = run_names([["a='x/y'"], ["a='x y'"]], ["a"])
    assert len(set(odd)) == 2 and not any(set(name) & set("/' ") for name in odd)
    long = run_names([[f"a={'x' * 300}1"], [f"a={'x' * 300}2"]], ["a"])
    assert len(set(long)) == 2 and max(map(len, long)) < 255


@pytest.fixture
def planner() -> Iterator[Planner]:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        setup_globals()
        loader = GlobalHydra.instance().config_loader()
        sweep = loader.load_configuration("train", [], run_mode=RunMode.MULTIRUN)
        sweep.hydra.job.config_name = "train"
        yield Planner(loader, sweep, Sweeping().per_run)


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
        (["optimizer=sgd,adam", "optimizer.lr=0.1,1e-2", "seed=1,2"], 2),
        (["optimizer=adam", "optimizer.betas=[0.9,0.99],[0.8,0.9]", "optimizer.eps=1e-8,1"], 1),
        (["model.hidden=4,8", "seed=range(3)"], 2),
        (["optimizer.nesterov=true,false", "optimizer.momentum=0.5,0.9", "optimizer.lr=1,2"], 2),
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


def basic_place(planner: Planner, job: Sequence[str], num: int, monkeypatch: pytest.MonkeyPatch) -> str:
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
    groups = planner.plan(jobs, 5)
    assert [len(group.nums) for group in groups] == [8, 8]
    for group in groups:
        assert group.subdirs == [basic_place(planner, jobs[num - 5], num, monkeypatch) for num in group.nums]


def test_a_place_with_a_number_that_something_else_has_too(planner: Planner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number is structural for the other's sake, and the place is still each job's own."""
    planner.sweep.hydra.overrides.hydra = ["hydra.sweep.subdir='${data.noise}_${hydra.job.override_dirname}'"]
    jobs = grid("optimizer.lr=0.1,0.2", "seed=1,2", "data.noise=${optimizer.lr}")
    groups = planner.plan(jobs)
    assert [group.nums for group in groups] == [[0, 1], [2, 3]]
    places = [basic_place(planner, job, num, monkeypatch) for num, job in enumerate(jobs)]
    assert [place for group in groups for place in group.subdirs] == places


def test_a_plan_that_strays_from_hydra_falls_back_to_composing(planner: Planner) -> None:
    """A number that composing doesn't put where its key says (here by a planner that reads 2 as 4) is noticed."""
    numbers = {"seed=1": 1, "seed=2": 4, "seed=3": 3, "seed=4": 4}
    planner.number = lambda word: ("seed", numbers[word])  # pyright: ignore
    jobs = grid("seed=1,2,3,4")
    groups = planner.plan(jobs)
    assert [group.columns for group in groups] == [{}] * 4
    assert_as_composed(groups, jobs, planner)


def test_a_job_that_is_sent_elsewhere_does_not_take_the_plan_along(planner: Planner) -> None:
    """The pickled task function, which joblib makes for each job, is as long in a large sweep as in a small one."""
    cloudpickle = pytest.importorskip("cloudpickle")
    sweeping = Sweeping()
    task = batched_by(sweeping)(lambda cfg: 0.0)
    sizes = []
    for words in (["seed=1"], ["seed=range(1000)", "optimizer=sgd,adam"]):
        sweeping._planned += planner.plan(grid(*words))
        sizes.append(len(cloudpickle.dumps(task)))
    assert sizes[0] == sizes[1] < 5000
