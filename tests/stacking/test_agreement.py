"""Whether bit-for-bit equality is promised where it is kept."""

import pytest
import torch
from conftest import composed
from torch import Tensor
from torch.func import functional_call, vmap
from torch.nn import functional

from simplenn.network import SimpleNN
from simplenn.stacking.agreement import is_exact

BATCH_SIZES = (1, 2, 3, 4, 7, 15, 24, 25, 32, 70, 256)


@pytest.mark.parametrize("hidden", [1, 2, 3, 4])
@pytest.mark.parametrize("num_features", [1, 2, 3, 4])
def test_equality_is_promised_only_where_products_round_alike(hidden: int, num_features: int) -> None:
    """In a shape that is promised, loss and gradients are the same to the bit alone and batched, for any batch size."""
    torch.manual_seed(0)
    network = SimpleNN(num_features, hidden)
    if not is_exact(composed("trainer=cpu"), network):
        assert hidden == num_features == 4
        return
    for batch_size in BATCH_SIZES:
        x = 5 * torch.rand(3, batch_size, num_features)
        stacked = {name: torch.randn(3, *w.shape, requires_grad=True) for name, w in network.named_parameters()}

        def loss(weights: dict[str, Tensor], x: Tensor) -> Tensor:
            return functional.mse_loss(functional_call(network, weights, (x,)), x.sum(dim=1, keepdim=True))

        losses = vmap(loss)(stacked, x)
        together = torch.autograd.grad(losses.sum(), list(stacked.values()))
        for run in range(3):
            own = {name: weight[run].detach().requires_grad_() for name, weight in stacked.items()}
            alone = loss(own, x[run])
            assert torch.equal(alone, losses[run]), batch_size
            for a, b in zip(torch.autograd.grad(alone, list(own.values())), together, strict=True):
                assert torch.equal(a, b[run]), batch_size
