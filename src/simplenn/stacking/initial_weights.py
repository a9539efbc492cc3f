"""The initial weights of many runs, which depend on nothing but their seeds. Knows nothing of training.

Shapes: R runs, S distinct seeds.
"""

import os
import random
from collections.abc import Callable, Iterable, Sequence
from pkgutil import resolve_name
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from simplenn.config import build, optimizer_factory
from simplenn.regressor import Regressor
from simplenn.stacking.attributes import attributes_of, first_difference
from simplenn.stacking.draws import Draws, Recording
from simplenn.stacking.reasons import NotStackable

CONSTRUCTED = 8  # networks, for seeds from the lowest to the highest, though the draws of one are known


class InitialWeights:
    """Each seed's weights, bit for bit those of `setup.build_run`, made once for each distinct seed.

    Raises `NotStackable` where anything besides the weights depends on the seed, too.
    """

    def __init__(self, cfg: DictConfig) -> None:
        self._make = _maker(cfg)
        self._first: Regressor | None = None
        self._rows: dict[int, int] = {}  # seed -> row of `_known`
        self._known: dict[str, Tensor] = {}  # [S, ...] by name

    def __call__(self, seeds: Sequence[int]) -> dict[str, Tensor]:
        """[R, ...] by the names of `Regressor.named_parameters`. Raises `ConfigError`."""
        new = [seed for seed in dict.fromkeys(seeds) if seed not in self._rows]
        if new:
            made = self._made(new)
            before = self._known or {name: tensor[:0] for name, tensor in made.items()}
            self._known = {name: torch.cat([before[name], tensor]) for name, tensor in made.items()}
            self._rows |= {seed: len(self._rows) + i for i, seed in enumerate(new)}
        rows = torch.tensor([self._rows[seed] for seed in seeds])
        return {name: tensor[rows] for name, tensor in self._known.items()}

    @torch.no_grad()
    def _made(self, seeds: Sequence[int]) -> dict[str, Tensor]:
        """[S, ...] by name, for distinct seeds."""
        L.seed_everything(seeds[0], verbose=False)
        with Recording() as recording:
            made = self._make()
        self._first = self._first or made
        weights = dict(made.named_parameters())
        stacked = {name: weight.new_empty(len(seeds), *weight.shape) for name, weight in weights.items()}
        draws = recording.draws(list(weights.values()))
        if draws is None or len(seeds) <= CONSTRUCTED or not self._drawn(draws, seeds, stacked):
            self._construct(range(len(seeds)), seeds, stacked)
        return stacked

    def _drawn(self, draws: Draws, seeds: Sequence[int], stacked: dict[str, Tensor]) -> bool:
        """Fills all rows by the draws; whether those are the weights of networks that are constructed."""
        by_size, last = sorted(range(len(seeds)), key=seeds.__getitem__), len(seeds) - 1
        places = sorted({by_size[last * i // (CONSTRUCTED - 1)] for i in range(CONSTRUCTED)})
        self._construct(places, seeds, stacked)
        constructed = {name: weight[places] for name, weight in stacked.items()}
        for seed, row in zip(seeds, zip(*(weight.unbind() for weight in stacked.values()), strict=True), strict=True):
            draws.draw(seed, row)
        return all(torch.equal(weight, stacked[name][places]) for name, weight in constructed.items())

    def _construct(self, places: Iterable[int], seeds: Sequence[int], stacked: dict[str, Tensor]) -> None:
        """Fills these rows with the weights of a network for each one's seed."""
        assert self._first is not None
        expected, weights_of_first = attributes_of(self._first), list(self._first.parameters())
        for place in places:
            _reseed(seeds[place])
            made = self._make()
            weights = dict(made.named_parameters())
            different = first_difference(expected, attributes_of(made), [*weights_of_first, *weights.values()])
            if different or list(weights) != list(stacked):
                raise NotStackable(f"{different or 'which weights there are'} depends on the seed")
            for name, weight in weights.items():
                stacked[name][place] = weight


def _maker(cfg: DictConfig) -> Callable[[], Regressor]:
    """A function that makes a regressor, whose weights are drawn from the global random state.

    For a plain network it calls the class itself, as Hydra would: Hydra takes 1.4 ms a call, and a sweep over 10,000
    seeds fourteen seconds.
    """
    make_optimizer = optimizer_factory(cfg)
    settings: Any = OmegaConf.to_container(cfg.model, resolve=True)
    special = [key for key in settings if key.startswith("_") and key != "_target_"]
    if special or any(isinstance(value, dict | list) for value in settings.values()):
        return lambda: Regressor(build(cfg, "model", nn.Module), make_optimizer)
    make_network = resolve_name(settings.pop("_target_"))
    return lambda: Regressor(make_network(**settings), make_optimizer)


def _reseed(seed: int) -> None:
    """Seeds the same generators as `L.seed_everything`, and says so where that does, in 0.01 instead of 0.2 ms: over
    10,000 seeds, two seconds."""
    os.environ["PL_GLOBAL_SEED"] = str(seed)
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
