"""The initial weights of many runs."""

import pytest
import torch
from stacks import configured

from simplenn.network import SimpleNN
from simplenn.setup import build_run
from simplenn.stacking.initial_weights import CONSTRUCTED, InitialWeights


def test_initial_weights_are_those_of_the_seed() -> None:
    """Each run starts with the weights that `build_run` gives its seed, drawn once for runs of one seed."""
    for network in ({"_target_": "simplenn.network.SimpleNN"}, {"_target_": "networks.Deeper"}):
        cfg = configured(network=network)
        weights = InitialWeights(cfg)
        weights([5, 3])
        seeds = [3, 2**32 - 1, 3, 0, 5]
        stacked = weights(seeds)
        for r, seed in enumerate(seeds):
            cfg.seed = seed
            for name, weight in build_run(cfg)[0].named_parameters():
                assert torch.equal(stacked[name][r], weight), (name, seed)


@pytest.mark.parametrize("network", ["simplenn.network.SimpleNN", "networks.SetsTheSeed", "networks.Rescaled"])
def test_weights_of_many_seeds_are_those_of_each(network: str) -> None:
    """However they are made: of most seeds by the draws alone, or by the network's constructor."""
    cfg = configured(network={"_target_": network})
    seeds = range(2 * CONSTRUCTED)
    stacked = InitialWeights(cfg)(seeds)
    for seed in seeds:
        cfg.seed = seed
        for name, weight in build_run(cfg)[0].named_parameters():
            assert torch.equal(stacked[name][seed], weight), (name, seed)


def test_most_networks_are_not_constructed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    init = SimpleNN.__init__
    monkeypatch.setattr(
        SimpleNN, "__init__", lambda self, *args, **named: (made.append(1), init(self, *args, **named))[1]
    )
    InitialWeights(configured(network={"_target_": "simplenn.network.SimpleNN"}))(range(1000))
    assert len(made) == CONSTRUCTED + 1
