"""Random sweeps, held three ways as `fuzz` does it."""

import pytest
from fuzz import draw, hold


@pytest.mark.parametrize("number", [2, 14, 19])
def test_a_random_sweep_is_the_same_stacked_alone_and_as_a_plain_loop(number: int) -> None:
    """Every epoch's metrics, the last and the best state and how the run ended, bit for bit."""
    found, kinds = hold(draw(number))
    assert not found and kinds["stacked"] > 1


def test_a_random_sweep_of_wider_networks_is_close() -> None:
    """The runs alone equal their plain loops to the bit; the stack's are within the tolerance of them."""
    found, kinds = hold(draw(0, wide=True), wide=True)
    assert not found and kinds["stacked"] > 1
