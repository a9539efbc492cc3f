"""What each input counts: the network as a linear function, exactly on one piece of a ReLU network, else on average.

Shapes: N samples, F features.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from simplenn.explanation.subject import Subject, as_input
from simplenn.explanation.units import patterns


@dataclass
class LinearMap:
    """`weights` [F] and `offset`. `share` is that of the training samples at which the network is this function
    exactly; `None` where it is the average over them. `num_pieces` is on how many linear pieces they lie."""

    weights: Tensor
    offset: float
    share: float | None
    num_pieces: int


def linear_map(subject: Subject, x: Tensor) -> LinearMap:
    """At the samples [N, F]: the gradient on the piece that most of them lie on, or the mean gradient."""
    inputs = as_input(subject, x).detach().clone().requires_grad_()
    outputs = subject.network(inputs)
    (gradients,) = torch.autograd.grad(outputs.sum(), inputs)
    gradients, outputs, points = gradients.double().cpu(), outputs.detach()[:, 0].double().cpu(), x.double()
    pieces = patterns(subject, x)
    if pieces is None:
        own, share, num_pieces = torch.ones(len(x), dtype=torch.bool), None, 0
    else:
        own = pieces == pieces.mode().values
        share, num_pieces = own.double().mean().item(), len(pieces.unique())
    weights = gradients[own].mean(dim=0)
    offset = (outputs[own] - points[own] @ weights).mean().item()
    return LinearMap(weights, offset, share, num_pieces)


def split_error(weights: Tensor, x: Tensor) -> tuple[int, float, float]:
    """How many directions the samples [N, F] differ in, and how far the weights [F] are from 1 each within these
    directions and across them, of which the samples say nothing."""
    centred = x.double() - x.double().mean(dim=0)
    _, values, directions = torch.linalg.svd(centred, full_matrices=False)
    rank = int((values > 1e-6 * values.max().clamp_min(1e-12)).sum())
    error = weights - 1
    within = directions[:rank].T @ (directions[:rank] @ error)
    return rank, within.norm().item(), (error - within).norm().item()
