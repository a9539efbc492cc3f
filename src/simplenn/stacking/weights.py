"""The initial weights of many runs, which their seeds alone decide. Knows nothing of training.

Shapes: R runs, S distinct seeds.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from pkgutil import resolve_name
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from simplenn.target import build

PREFIX = "network."  # of the network's weights among those of a Regressor


class InitialWeights:
    """Each seed's weights, bit for bit those of `training.build_run`, made once per distinct seed."""

    def __init__(self, cfg: DictConfig) -> None:
        self._cfg = cfg
        self._seeds: dict[int, int] = {}  # seed -> row of `_known`
        self._known: dict[str, Tensor] = {}  # [S, ...]

    def __call__(self, seeds: Sequence[int]) -> dict[str, Tensor]:
        """[R, ...] by the names of `Regressor.named_parameters`. Raises `ConfigError`."""
        new = [seed for seed in dict.fromkeys(seeds) if seed not in self._seeds]
        if new:
            made = self._made(new)
            before = self._known or {name: tensor[:0] for name, tensor in made.items()}
            self._known = {name: torch.cat([before[name], tensor]) for name, tensor in made.items()}
            self._seeds |= {seed: len(self._seeds) + i for i, seed in enumerate(new)}
        rows = torch.tensor([self._seeds[seed] for seed in seeds])
        return {name: tensor[rows] for name, tensor in self._known.items()}

    @torch.no_grad()
    def _made(self, seeds: Sequence[int]) -> dict[str, Tensor]:
        L.seed_everything(seeds[0], verbose=False)
        network = build(self._cfg, "model", nn.Module)
        stacked = {name: weight.new_empty(len(seeds), *weight.shape) for name, weight in network.named_parameters()}
        make = self._constructor()
        remake = make
        for i, seed in enumerate(seeds):
            if i:
                _reseed(seed)
                network = remake()
            for name, weight in network.named_parameters():
                stacked[name][i] = weight
            if i == 1 and _redraws(network, seed, stacked, i):
                remake = _redrawer(network)
        return {PREFIX + name: tensor for name, tensor in stacked.items()}

    def _constructor(self) -> Callable[[], nn.Module]:
        settings: Any = OmegaConf.to_container(self._cfg.model, resolve=True)
        special = [key for key in settings if key.startswith("_") and key != "_target_"]
        if special or any(isinstance(value, dict | list) for value in settings.values()):
            return lambda: build(self._cfg, "model", nn.Module)
        make = resolve_name(settings.pop("_target_"))
        return lambda: make(**settings)


def _reseed(seed: int) -> None:
    """What `L.seed_everything` does, without what costs it half a millisecond."""
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)


def _redrawer(network: nn.Module) -> Callable[[], nn.Module]:
    """Draws a network's weights anew in place, several times faster than making a new network."""
    resets: list[Any] = [module.reset_parameters for module in network.modules() if _draws(module)]

    def redraw() -> nn.Module:
        for reset in resets:
            reset()
        return network

    return redraw


def _draws(module: nn.Module) -> bool:
    return bool(module._parameters) and callable(getattr(module, "reset_parameters", None))


def _redraws(network: nn.Module, seed: int, stacked: Mapping[str, Tensor], row: int) -> bool:
    """Whether drawing anew gives what a new network has: so if each weight belongs to a module that can."""
    if not all(_draws(module) for module in network.modules() if module._parameters):
        return False
    for weight in network.parameters():
        weight.fill_(torch.nan)
    _reseed(seed)
    redrawn = _redrawer(network)()
    return all(torch.equal(weight, stacked[name][row]) for name, weight in redrawn.named_parameters())
