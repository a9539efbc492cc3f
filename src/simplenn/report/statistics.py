"""How sure a median and a comparison are. A diverged run is an infinite value; no number is NaN.

Shapes: n runs of a setting, D draws of the bootstrap.
"""

import math

import numpy as np

NUM_DRAWS = 10_000
SEED = 0  # of the bootstrap's generator, so that a report of the same runs says the same
LEVEL = 0.95
LEAST = 6  # runs: of fewer, not even the smallest and the largest value enclose the median with 95 % (1 - 2**(1 - n))


def resampled_medians(values: np.ndarray, rng: np.random.Generator, num_draws: int = NUM_DRAWS) -> np.ndarray:
    """[D]: medians of D samples drawn with replacement from the n values.

    No sample is drawn in full, which would take D * n numbers: n draws from the sorted values are n uniform numbers U
    with `values[floor(n * U)]`, and the median of the draws belongs to the median of the U. The k-th smallest of n
    uniform numbers has the distribution Beta(k, n + 1 - k); of the two in the middle, given the upper one, the lower
    one is the largest of k uniform numbers below it (David and Nagaraja, Order Statistics, 2003, chapter 2).
    """
    ordered, n = np.sort(values), len(values)
    k = (n + 1) // 2
    if n % 2:
        return ordered[_places(rng.beta(k, n + 1 - k, num_draws), n)]
    upper = rng.beta(k + 1, n - k, num_draws)
    lower = upper * rng.random(num_draws) ** (1 / k)
    return mean_of_two(ordered[_places(lower, n)], ordered[_places(upper, n)])


def median_interval(values: np.ndarray, level: float = LEVEL) -> tuple[float, float] | None:
    """The bootstrap's percentile interval of the median (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
    chapter 13); `None` of fewer than `LEAST` values. An end is infinite where so many runs have diverged."""
    if len(values) < LEAST:
        return None
    medians = np.sort(resampled_medians(values, np.random.default_rng(SEED)))
    outside = (1 - level) / 2
    low, high = math.floor(outside * len(medians)), math.ceil((1 - outside) * len(medians)) - 1
    return float(medians[low]), float(medians[high])


def share_of_lower_medians(one: np.ndarray, other: np.ndarray) -> float:
    """How often the median of `one`, drawn again by the bootstrap, is below that of `other`; equal ones count half."""
    rng = np.random.default_rng(SEED)
    a, b = resampled_medians(one, rng), resampled_medians(other, rng)
    return float(np.mean((a < b) + 0.5 * (a == b)))


def sign_test(wins: int, losses: int) -> float:
    """The probability that of so many fair coins at least so many fall on one side: the p-value of the two-sided sign
    test (Conover, Practical Nonparametric Statistics, 1999, section 3.4). Ties are left out before."""
    n, k = wins + losses, min(wins, losses)
    if 2 * k >= n:
        return 1.0
    i = np.arange(1, k + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log((n - i + 1) / i))]) - n * math.log(2)  # of C(n, i) / 2**n
    most = float(logs.max())
    return min(1.0, 2 * math.exp(most) * float(np.exp(logs - most).sum()))


def mean_of_two(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Elementwise, of equal signs of infinity at most."""
    return np.where(one == other, one, one / 2 + other / 2)


def _places(uniform: np.ndarray, n: int) -> np.ndarray:
    return np.minimum((uniform * n).astype(np.int64), n - 1)
