"""Orders of samples by compiled code."""

import subprocess

import pytest
import torch

from simplenn import data
from simplenn.compiler import compiler
from simplenn.stacking import batches
from simplenn.stacking.compiled import library, orders
from simplenn.stacking.reasons import CannotCompile

SEEDS = [0, 1, 2**32 - 1, *range(1000, 1000 + 2 * orders.FEWEST)]


@pytest.fixture
def no_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """What falls back to torch's own way fails."""
    assert orders._library() is not None

    def refused(*_: object) -> None:
        raise AssertionError("not drawn by compiled code")

    monkeypatch.setattr(orders, "orders_of", refused)


@pytest.mark.parametrize("num_samples", [1, 2, 3, 32, 256, 624, 625, 626, 1249, 5000])
def test_orders_are_torchs(num_samples: int, no_other_way: None) -> None:
    """Beyond the 624 numbers that its generator makes at a time, too."""
    drawn = orders.compiled_orders_of(num_samples, SEEDS, 7)
    for order, seed in zip(drawn, SEEDS, strict=True):
        assert torch.equal(order, data.shuffled(num_samples, seed, 7)), seed


@pytest.mark.parametrize("threads", [1, 3])
def test_orders_are_the_same_by_any_number_of_threads(threads: int, no_other_way: None) -> None:
    seeds, before = range(3000), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        drawn = orders.compiled_orders_of(20, seeds, 0)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(drawn, batches.orders_of(20, seeds, 0))


def test_an_edited_order_is_drawn_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "shuffled", lambda num, seed, epoch: torch.arange(num).roll(seed + epoch))
    assert orders.compiled_orders_of(5, SEEDS, 1)[1].tolist() == [3, 4, 0, 1, 2]


def test_without_a_compiler_torch_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(source: str) -> None:
        raise CannotCompile("there is no compiler")

    monkeypatch.setattr(orders, "load", load)
    orders._library.cache_clear()
    assert torch.equal(orders.compiled_orders_of(9, SEEDS, 2), batches.orders_of(9, SEEDS, 2))
    orders._library.cache_clear()


def test_code_that_draws_otherwise_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = orders._drawn
    monkeypatch.setattr(orders, "_drawn", lambda *given: drawn(*given).flip(0))
    orders._library.cache_clear()
    assert torch.equal(orders.compiled_orders_of(9, SEEDS, 2), batches.orders_of(9, SEEDS, 2))
    orders._library.cache_clear()


def test_the_code_has_no_warnings() -> None:
    options = [option for option in library.OPTIONS if option not in ("-w", "-shared")]
    command = [compiler(), *options, "-Wall", "-Wextra", "-fsyntax-only", str(orders.SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
