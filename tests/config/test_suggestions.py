"""The nearest of what there is."""

import pytest

from simplenn.config import closest, did_you_mean, distance, unknown_key


def test_the_word_that_is_most_alike_comes_first() -> None:
    assert closest("optimiser", ["seed", "optimizer.lr", "optimizer"], 2) == ["optimizer", "optimizer.lr"]
    assert did_you_mean("optimiser", ["seed", "optimizer"]) == "did you mean optimizer?"


def test_where_nothing_is_alike_it_says_what_there_is() -> None:
    """Not more than a line can hold."""
    assert did_you_mean("xyz", ["seed", "optimizer"]) == "there are: seed, optimizer"
    assert did_you_mean("xyz", [f"a{number}" for number in range(60)]).endswith(", a49, ...")


@pytest.mark.parametrize(
    ("values", "nearest"),
    [
        (["0.1", "0.002", "0.0029", "0.03"], "0.0029"),  # by ratio, as learning rates are spaced
        (["30", "adam", "0.3"], "0.3"),  # the nearer number
        (["adam", "3000"], "3000"),  # any number rather than a word
        (["3e-3", "0.0031"], "3e-3"),  # the same number, written otherwise
        (["inf", "nan", "-5"], "-5"),
    ],
)
def test_the_nearest_of_numbers_is_the_nearest_number(values: list[str], nearest: str) -> None:
    """Not the text that is most alike: of 0.03 and 0.0029, the second is nearer to 0.003."""
    assert min(values, key=lambda value: distance("0.003", value)) == nearest


def test_equal_values_are_no_distance_apart() -> None:
    """As numbers or as texts, and no others."""
    assert [distance(*pair) for pair in (("a", "a"), ("1e-2", "0.01"), ("1", "1.0"), ("nan", "nan"))] == [0, 0, 0, 0]
    assert all(distance(*pair) >= 1 for pair in (("a", "b"), ("1", "1.0000001"), ("1", "a"), ("inf", "1"), ("0", "1")))


def test_an_unknown_key_is_sought_in_its_own_group_first() -> None:
    known = ["seed", "data.noise", "optimizer.lr", "optimizer.momentum"]
    assert "did you mean optimizer.momentum?" in str(unknown_key("optimizer.momentm", known))
    assert "did you mean optimizer.lr?" in str(unknown_key("lrr", known))
    assert "there are: optimizer.lr, optimizer.momentum" in str(unknown_key("optimizer.noise", known))
    assert "try +data.noise=" in str(unknown_key("data.noise", known))
