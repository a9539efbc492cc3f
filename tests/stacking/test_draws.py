"""A constructor's draws, recorded once and drawn again for other seeds."""

import math
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import networks
import numpy as np
import pytest
import torch
from torch import nn

from simplenn.network import SimpleNN
from simplenn.stacking.draws import Draws, Recording

Maker = Callable[[], nn.Module]
SIZES = {"small": (3, 4), "large": (8, 16)}


class Initialised(nn.Linear):
    """A layer whose weights are filled once more, by the function given."""

    def __init__(self, fill: Callable[[torch.Tensor], object]) -> None:
        super().__init__(20, 3)
        fill(self.weight)


class Blocks(nn.Module):
    """As many are written: by helpers, comprehensions and constants."""

    def __init__(self, size: str = "small") -> None:
        super().__init__()
        self.width, hidden = SIZES[size]
        self.blocks = nn.ModuleList([nn.Linear(self.width, self.width) for _ in range(hidden)])
        self.apply(self._initialise)
        self.scale = nn.Parameter(torch.empty(1).fill_(math.sqrt(self.width)))

    def _initialise(self, part: nn.Module) -> None:
        if isinstance(part, nn.Linear):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            nn.init.zeros_(part.bias)


def draws_of(make: Maker) -> Draws | None:
    with torch.no_grad(), Recording() as recording:
        made = make()
    return recording.draws(list(made.parameters()))


PLAIN: dict[str, Maker] = {
    "SimpleNN": SimpleNN,
    "a deeper one": networks.Deeper,
    "layer norm": networks.LayerNorm,
    "a convolution": lambda: nn.Conv2d(2, 3, 3),
    "an embedding": lambda: nn.Embedding(20, 3),
    "a recurrent one": lambda: nn.LSTM(3, 4),
    "in double precision": lambda: nn.Linear(3, 4, dtype=torch.float64),
    "blocks": Blocks,
    "xavier": lambda: Initialised(nn.init.xavier_normal_),
    "kaiming": lambda: Initialised(nn.init.kaiming_normal_),
    "zeros and ones": lambda: nn.ParameterList([torch.zeros(3), torch.ones(2), torch.randn(3, 4)]),
    "constant": lambda: Initialised(lambda weight: nn.init.constant_(weight, 0.5)),
}


@pytest.mark.parametrize("name", PLAIN)
def test_draws_are_those_of_the_constructor(name: str) -> None:
    draws = draws_of(PLAIN[name])
    assert draws is not None
    for seed in (0, 7, 2**32 - 1):
        torch.manual_seed(seed)
        made = list(PLAIN[name]().parameters())
        drawn = [torch.full_like(weight, torch.nan) for weight in made]
        with torch.no_grad():
            draws.draw(seed, drawn)
        assert all(torch.equal(one, other) for one, other in zip(drawn, made, strict=True))


def of_numpy() -> nn.Module:
    made = nn.Linear(2, 1)
    return made if np.random.rand() < 2 else nn.Linear(3, 1)


def of_python() -> nn.Module:
    made = nn.Linear(2, 1)
    return made if random.random() < 2 else nn.Linear(3, 1)


def of_numpys_state() -> nn.Module:
    """Which it leaves as it was."""
    state, made = np.random.get_state(), nn.Linear(2, 1)
    if np.random.rand() < 1e-9:
        nn.init.zeros_(made.weight)
    np.random.set_state(state)
    return made


def of_the_seed() -> nn.Module:
    made = nn.Linear(2, 1)
    if torch.initial_seed() == 77:
        nn.init.zeros_(made.weight)
    return made


def seeded() -> nn.Module:
    torch.manual_seed(torch.initial_seed() % 100)
    return nn.Linear(2, 1)


def of_its_address() -> nn.Module:
    made = nn.Linear(2, 1)
    made.train(id(made) % 32 != 0)
    return made


def in_a_thread() -> nn.Module:
    made = nn.Linear(2, 1)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: nn.init.zeros_(made.weight) if made.bias[0] > 0.7 else None).result()
    return made


def with_an_import() -> nn.Module:
    import os

    return nn.Linear(2, len(os.environ.get("HOME", "a")))


def of_a_closure() -> Maker:
    draw = np.random.default_rng()

    def make() -> nn.Module:
        return nn.Linear(2, 1 + (draw.random() < 0))

    return make


def masked() -> nn.Module:
    made = nn.Linear(2, 1)
    made.register_buffer("mask", torch.empty(2).uniform_())
    return made


def uninitialised() -> nn.Module:
    made = nn.Linear(2, 1)
    made.other = nn.Parameter(torch.empty(3))
    return made


def tied() -> nn.Module:
    made = nn.Linear(2, 1)
    made.other = nn.Parameter(made.weight.data)
    return made


OTHERS: dict[str, Maker] = {
    "scaled": lambda: Initialised(lambda weight: weight.mul_(0.1)),
    "a part": lambda: Initialised(lambda weight: weight[0].zero_()),
    "transposed": lambda: Initialised(lambda weight: weight.t().uniform_()),
    "by a generator": lambda: Initialised(lambda weight: weight.uniform_(generator=torch.Generator())),
    "looked at": lambda: Initialised(lambda weight: weight.sum() > 0),
    "as a list": lambda: Initialised(lambda weight: weight.tolist()),
    "in numpy": lambda: Initialised(lambda weight: weight.detach().numpy()),
    "for numpy": lambda: Initialised(lambda weight: np.asarray(weight.detach())),
    "as memory": lambda: Initialised(lambda weight: weight.untyped_storage()),
    "one number": lambda: Initialised(lambda weight: weight[0, 0].item()),
    "permuted": lambda: Initialised(lambda weight: torch.randperm(3)),
    "orthogonal": lambda: Initialised(nn.init.orthogonal_),
    "padding": lambda: nn.Embedding(20, 3, padding_idx=0),
    "numpy's numbers": of_numpy,
    "Python's numbers": of_python,
    "numpy's state": of_numpys_state,
    "the seed": of_the_seed,
    "another seed": seeded,
    "its address": of_its_address,
    "in a thread": in_a_thread,
    "with an import": with_an_import,
    "a closure": of_a_closure(),
    "a random mask": masked,
    "uninitialised": uninitialised,
    "one memory twice": tied,
    "by weight norm": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(2, 1)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_does_more_than_fill_its_weights_has_none(name: str) -> None:
    assert draws_of(OTHERS[name]) is None
