"""Which runs of a stack have diverged, and by what."""

import torch

from simplenn.stacking.divergence import Divergence
from simplenn.training.divergence import Diverged


def test_divergence_names_what_came_first() -> None:
    """A loss counts before a weight, a weight before a metric, the first step before the next, and the first epoch."""
    inf, nan = torch.inf, torch.nan
    divergence = Divergence(4, torch.device("cpu"))
    fine = torch.ones(4)
    assert divergence.watch(1, 0, [fine, fine], [fine[:, None]], {"val/loss": fine}) is None
    losses = [fine, torch.tensor([1, -inf, 1, 1]), torch.tensor([1, nan, 1, 1])]
    live = divergence.watch(2, 2, losses, [torch.tensor([[1, 1], [1, 1], [1, inf], [1, 1]])], {"mae": fine})
    assert live is not None and live.tolist() == [True, False, False, True]
    divergence.watch(3, 5, [torch.tensor([1, nan, nan, 1])], [fine[:, None]], {"mae": fine})
    divergence.watch(4, 6, [fine, fine], [fine[:, None]], {"mae": torch.tensor([1, 1, 1, nan])})
    expected = [
        Diverged(2, 4, "the loss became -inf"),
        Diverged(2, 5, "a weight became non-finite"),
        Diverged(4, 8, "a metric became non-finite"),
    ]
    assert divergence.epochs_and_messages() == [(0, ""), *((error.epoch, str(error)) for error in expected)]
