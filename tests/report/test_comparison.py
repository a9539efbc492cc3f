"""The best setting of each optimizer, and whether it is really better: in numbers, and in words that they bear out."""

import numpy as np
import pytest
from studies import study

from simplenn.report.comparison import Rivalry, compare, short_names
from simplenn.report.statistics import median_interval


def losses(**settings: list[float]) -> dict[str, list]:
    """Columns of runs: a setting `adam_001` has these losses, by seeds from 0."""
    optimizers, rates, seeds, finals = [], [], [], []
    for name, own in settings.items():
        optimizer, _, rate = name.partition("_")
        optimizers += [optimizer] * len(own)
        rates += [float(f"0.{rate}")] * len(own)
        seeds += range(len(own))
        finals += own
    return {"key_optimizer": optimizers, "key_optimizer__lr": rates, "key_seed": seeds, "final": finals}


def test_the_best_of_each_optimizer_with_its_interval() -> None:
    rng = np.random.default_rng(0)
    own = {name: (level * rng.lognormal(size=50)).tolist() for name, level in (("adam_01", 1), ("sgd_1", 3))}
    found = compare(study(**losses(adam_1=[9.0] * 50, sgd_01=[8.0] * 50, **own)))
    assert [(best.family, best.name) for best in found.bests] == [("adam", "adam at 0.01"), ("sgd", "sgd at 0.1")]
    assert found.bests[0].row["median"] == np.median(own["adam_01"])
    assert found.bests[1].interval == median_interval(np.array(own["sgd_1"]))


def test_it_is_held_against_its_rivals_seed_by_seed() -> None:
    """The runner-up, and the best of each other optimizer."""
    base = np.linspace(1, 2, 100)
    worse = base + np.where(np.arange(100) < 93, 0.5, -0.5)
    found = compare(study(**losses(adam_01=base.tolist(), sgd_003=worse.tolist(), adam_1=(base + 5).tolist())))
    assert [(r.best, r.rival, r.wins, r.losses) for r in found.rivalries] == [("adam at 0.01", "sgd at 0.003", 93, 7)]
    (rivalry,) = found.rivalries
    assert rivalry.sentence == (
        "adam at 0.01 beats sgd at 0.003 in 93 of 100 seeds: it is really better "
        "(sign test, p < 0.001 over 3 pairs of settings)"
    )


def test_the_runner_up_may_be_of_the_same_optimizer() -> None:
    base = np.linspace(1, 2, 20)
    found = compare(study(**losses(adam_01=base.tolist(), adam_1=(base + 0.1).tolist(), sgd_1=(base + 1).tolist())))
    assert [rivalry.rival for rivalry in found.rivalries] == ["adam at 0.1", "sgd at 0.1"]


@pytest.mark.parametrize(
    ("wins", "losses", "ties", "pairs", "words"),
    [
        (55, 45, 0, 1, "in 55 of 100 seeds: that may be luck (sign test, p = 0.37)"),
        (65, 35, 0, 1, "in 65 of 100 seeds: it is really better (sign test, p = 0.0035)"),
        (65, 35, 0, 45, "that may be luck (sign test, p = 0.16 over 45 pairs of settings)"),
        (550, 450, 0, 1, "it is better, but only a little more often than not (sign test, p = 0.0017)"),
        (20, 80, 0, 1, "so by seeds B is better, and by the median it isn't (sign test, p < 0.001)"),
        (5, 0, 0, 1, "in 5 of 5 seeds: too few seeds to tell that from luck"),
        (1, 0, 0, 1, "in 1 of 1 seed: too few seeds to tell that from luck"),
        (6, 0, 4, 1, "in 6 of 10 seeds, 4 equal: it is really better (sign test, p = 0.031)"),
        (0, 0, 9, 1, "are equal in 9 of 9 seeds"),
    ],
)
def test_the_words_say_no_more_than_the_seeds(wins: int, losses: int, ties: int, pairs: int, words: str) -> None:
    assert Rivalry("A", "B", pairs, wins=wins, losses=losses, ties=ties).sentence.endswith(words)


def test_settings_without_shared_seeds_are_compared_by_the_bootstrap() -> None:
    rng = np.random.default_rng(0)
    columns = losses(adam_01=rng.normal(1, 0.1, 30).tolist(), sgd_1=rng.normal(2, 0.1, 30).tolist())
    columns["key_seed"] = list(range(60))
    (rivalry,) = compare(study(**columns)).rivalries
    assert (rivalry.share, rivalry.num_seeds) == (1.0, 0)
    assert rivalry.sentence == (
        "adam at 0.01 and sgd at 0.1 share no seeds; drawn again by the bootstrap, the median of the first is the "
        "better one in 100.0 % of draws: it is really better (bootstrap, p < 0.001)"
    )


def test_a_diverged_run_loses_against_any_other_and_ties_with_its_like() -> None:
    columns = losses(adam_01=[1.0, 1.0, 1.0, 9.0], sgd_1=[2.0, 2.0, 9.0, 9.0])
    columns["status"] = ["done"] * 3 + ["diverged"] + ["done"] * 2 + ["diverged"] * 2
    found = compare(study(**columns))  # the median of the second is infinite
    assert [best.name for best in found.diverging] == ["sgd at 0.1"]
    assert [(own.wins, own.losses, own.ties) for own in found.rivalries] == [(3, 0, 1)]
    columns["status"][6] = "done"
    (rivalry,) = compare(study(**columns)).rivalries
    assert (rivalry.wins, rivalry.losses, rivalry.ties) == (3, 0, 1)


def test_one_run_of_each_setting_is_compared_with_nothing() -> None:
    found = compare(study(**losses(adam_01=[1.0], sgd_1=[2.0])))
    assert (len(found.bests), found.rivalries, found.most_seeds) == (2, [], 1)
    assert found.bests[0].interval is None


def test_where_all_have_diverged_none_is_best() -> None:
    found = compare(study(key_lr=[1.0, 2.0], final=[0.0, 0.0], status=["diverged"] * 2))
    assert (found.bests, found.rivalries) == ([], [])


def test_settings_have_short_names() -> None:
    columns = {"key_optimizer__lr": [0.1, 0.1, 0.01], "key_optimizer__momentum": [0.0, 0.9, 0.9]}
    names = short_names(study(**columns, final=[1.0, 2.0, 3.0]))
    assert list(names.values()) == ["lr 0.1, momentum 0", "lr 0.1, momentum 0.9", "lr 0.01, momentum 0.9"]
    names = short_names(study(key_model__activation=["relu", "tanh"], key_data__seed=[1, 2], final=[1.0, 2.0]))
    assert list(names.values()) == ["relu, seed 1", "tanh, seed 2"]


def test_two_runs_against_two_of_other_seeds_say_nothing() -> None:
    """However far apart they are; and of 10,000 draws none can say that something never happens."""
    apart = study(key_a=["x", "x", "y", "y"], key_seed=[0, 1, 2, 3], final=[1.0, 1.1, 90.0, 91.0])
    (rivalry,) = compare(apart).rivalries
    assert rivalry.share == 1 and rivalry.sentence.endswith("too few runs to tell that from luck")
    assert rivalry.p > 0
    many = study(
        key_a=["x"] * 8 + ["y"] * 8, key_seed=list(range(16)), final=[1.0 + 0.01 * k for k in range(8)] + [90.0] * 8
    )
    (rivalry,) = compare(many).rivalries
    assert rivalry.sentence.endswith("it is really better (bootstrap, p < 0.001)")
