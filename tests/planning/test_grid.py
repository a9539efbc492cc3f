"""The jobs of a grid: every combination, intervals cut into points, names that differ."""

import pytest
from grids import grid
from hydra.errors import HydraException

from simplenn.planning.grid import run_names
from simplenn.planning.overrides import swept_keys


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
