"""How sure a median is, held against scipy's general methods and against what is drawn in full."""

import numpy as np
import pytest
from scipy import stats

from simplenn.report.statistics import (
    mean_of_two,
    median_interval,
    resampled_medians,
    share_of_lower_medians,
    sign_test,
)


@pytest.mark.parametrize("n", [1, 2, 3, 8, 9, 50, 51])
def test_medians_are_drawn_as_from_full_samples(n: int) -> None:
    """Of 40,000 draws each, by the same distribution, at any number of runs."""
    values = np.sort(np.random.default_rng(n).lognormal(size=n))
    found = resampled_medians(values, np.random.default_rng(1), 40_000)
    rng = np.random.default_rng(2)
    full = np.median(values[rng.integers(0, n, (40_000, n))], axis=1)
    points = np.quantile(full, np.linspace(0.02, 0.98, 25))
    shares = [[np.mean(drawn <= point * (1 + 1e-9)) for point in points] for drawn in (found, full)]
    assert np.allclose(*shares, atol=0.015)


@pytest.mark.parametrize("n", [6, 25, 200, 1001])
def test_the_interval_is_scipys(n: int) -> None:
    values = np.random.default_rng(n).lognormal(sigma=2, size=n)
    theirs = stats.bootstrap((values,), np.median, method="percentile", n_resamples=9999, rng=np.random.default_rng(3))
    ours = median_interval(values)
    assert ours is not None
    spread = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert ours == pytest.approx(theirs.confidence_interval, abs=0.1 * spread)


def test_the_interval_covers_the_true_median_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    intervals = [median_interval(rng.lognormal(size=40)) for _ in range(400)]
    assert 0.91 < np.mean([low <= 1 <= high for low, high in filter(None, intervals)]) < 0.985


def test_the_interval_is_the_same_each_time_and_bears_diverged_runs() -> None:
    values = np.array([1.0, 2, 3, 4, 5, 6, 7])
    assert median_interval(values) == median_interval(values[::-1])
    assert median_interval(values[:5]) is None
    assert median_interval(np.full(9, np.inf)) == (np.inf, np.inf)
    half = median_interval(np.array([1.0] * 10 + [np.inf] * 10))
    assert half == (1.0, np.inf)


def test_a_million_runs_take_no_longer_than_ten() -> None:
    values = np.random.default_rng(0).normal(size=1_000_000)
    low, high = median_interval(values) or (0, 0)
    assert -0.004 < low < np.median(values) < high < 0.004


@pytest.mark.parametrize(
    ("wins", "losses"), [(0, 0), (1, 0), (5, 5), (6, 0), (93, 7), (40, 60), (500, 520), (70_000, 69_000)]
)
def test_the_sign_test_is_scipys_binomial_test(wins: int, losses: int) -> None:
    theirs = stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert sign_test(wins, losses) == pytest.approx(theirs, rel=1e-6)


def test_the_sign_test_of_a_million_seeds_is_no_nan() -> None:
    assert sign_test(1_000_000, 0) == 0.0 and sign_test(499_000, 501_000) == pytest.approx(0.0456, abs=0.0005)


def test_shares_of_lower_medians() -> None:
    """Of settings that share no seeds; ties, as of diverged runs, count half."""
    rng = np.random.default_rng(0)
    one, other = rng.normal(0, 1, 50), rng.normal(1, 1, 60)
    assert share_of_lower_medians(one, other) > 0.99 and share_of_lower_medians(other, one) < 0.01
    assert share_of_lower_medians(np.full(8, np.inf), np.full(8, np.inf)) == 0.5
    assert share_of_lower_medians(one, np.full(8, np.inf)) == 1


def test_the_mean_of_two_infinities_is_infinite() -> None:
    one, other = np.array([1.0, 1.0, np.inf]), np.array([3.0, np.inf, np.inf])
    assert mean_of_two(one, other).tolist() == [2, np.inf, np.inf]
