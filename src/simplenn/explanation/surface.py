"""The training loss around a trained network, over the plane of two directions in weight space: what training has moved
the first layer's weights by, and what it has moved the last layer's by.

A layer that hasn't moved, and the only one a second time, has a random direction in place of that, each of whose
filters is as long as the filter of the trained weights (Li et al., Visualizing the Loss Landscape of Neural Nets, 2018,
section 4).

Shapes: A points along each axis.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, vmap

from simplenn.explanation.subject import Subject, as_input

LOW, HIGH = -0.5, 1.75  # in steps of the direction, at 0 the initial weights and at 1 the trained ones
MOST_POINTS, FEWEST_POINTS = 46, 10
MOST_PRODUCTS = 1e12  # of a weight and a number of a sample, in all; about 10 seconds
MOST_SAMPLES = 2048
POINTS_AT_ONCE = 64


@dataclass
class Surface:
    """`loss` is [A, A], by the last layer's steps and then the first's; both `steps` are [A]."""

    steps: np.ndarray
    loss: np.ndarray
    first: str
    last: str
    random: tuple[bool, bool]  # whether the direction of first and last is a random one
    is_single: bool  # whether there is but one layer, which is the first and the last
    at_start: float  # the loss where both layers have their initial weights
    at_end: float


def surface(subject: Subject, seed: int = 0) -> Surface | None:
    """`None` where the network has no weights, or there are no training samples, or no second direction: a layer of
    single numbers has no filter to draw one by."""
    layers = _layers(subject)
    if not layers or "training" not in subject.sets:
        return None
    x, y = (as_input(subject, tensor[:MOST_SAMPLES]) for tensor in subject.sets["training"])
    trained = {name: tensor.detach() for name, tensor in subject.regressor.state_dict().items()}
    generator = torch.Generator().manual_seed(seed)
    names, directions, random = [], [], []
    for name, parameters in (layers[0], layers[-1]):
        moved = {key: trained[key] - subject.initial[key] for key in parameters if key in subject.initial}
        stands_still = not any(bool(step.any()) for step in moved.values())
        is_random = stands_still or (len(names) == 1 and len(layers) == 1)
        own = {key: _filter_normalised(trained[key], generator) for key in parameters} if is_random else moved
        names.append(name)
        directions.append(own)
        random.append(is_random)
    if not all(any(bool(step.any()) for step in own.values()) for own in directions):
        return None

    def loss(along_first: Tensor, along_last: Tensor) -> Tensor:
        weights = dict(trained)
        for along, direction in zip((along_first, along_last), directions, strict=True):
            for key, step in direction.items():
                weights[key] = weights[key] + (along - 1) * step
        prediction = functional_call(subject.regressor, weights, (x,))
        return subject.regressor.metrics(prediction, y)["loss"]

    with torch.no_grad():
        like = next(subject.regressor.parameters())  # the inputs may be whole numbers
        at_start, at_end = (loss(along, along).item() for along in torch.tensor([0.0, 1.0]).to(like))
        products = len(x) * sum(parameter.numel() for parameter in subject.regressor.parameters())
        num_points = int(np.clip(np.sqrt(MOST_PRODUCTS / products), FEWEST_POINTS, MOST_POINTS))
        steps = np.linspace(LOW, HIGH, num_points)
        axis = torch.tensor(steps).to(like)
        along_last, along_first = (grid.flatten() for grid in torch.meshgrid(axis, axis, indexing="ij"))
        try:
            found = vmap(loss, chunk_size=POINTS_AT_ONCE)(along_first, along_last)
        except RuntimeError:  # a network that torch.func can't stack
            found = torch.stack([loss(*point) for point in zip(along_first, along_last, strict=True)])
        losses = found.double().cpu().numpy().reshape(num_points, num_points)
    return Surface(steps, losses, names[0], names[1], (random[0], random[1]), len(layers) == 1, at_start, at_end)


def _layers(subject: Subject) -> list[tuple[str, list[str]]]:
    """Each module that has weights of its own: its name, and the names of its weights in the state."""
    found = []
    for name, module in subject.regressor.named_modules():
        own = [key for key, parameter in module.named_parameters(recurse=False) if torch.is_floating_point(parameter)]
        if own:
            found.append((name.removeprefix("network."), [f"{name}.{key}" if name else key for key in own]))
    return found


def _filter_normalised(weights: Tensor, generator: torch.Generator) -> Tensor:
    direction = torch.randn(weights.shape, generator=generator).to(weights)
    if weights.ndim < 2:
        return 0 * direction  # as there, biases stand still
    axes = tuple(range(1, weights.ndim))
    return direction * weights.norm(dim=axes, keepdim=True) / direction.norm(dim=axes, keepdim=True)
