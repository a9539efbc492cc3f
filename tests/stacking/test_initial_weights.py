"""The initial weights of many runs."""

import torch
from stacks import configured

from simplenn.setup import build_run
from simplenn.stacking.initial_weights import InitialWeights


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
