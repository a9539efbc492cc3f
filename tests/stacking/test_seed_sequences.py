"""NumPy's `SeedSequence` for many seeds at once."""

import random

import numpy as np
import pytest

from simplenn.stacking.seed_sequences import states


@pytest.mark.parametrize("number", [0, 1, 99, 2**32 - 1])
def test_states_are_numpys(number: int) -> None:
    draw = random.Random(number)
    seeds = [0, 1, 2**31, 2**32 - 1, *(draw.randrange(2**32) for _ in range(500))]
    expected = [int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0]) for seed in seeds]
    assert states(seeds, number).tolist() == expected
