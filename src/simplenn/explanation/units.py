"""What the hidden units of ReLU layers do on some samples: how often each is active, which are dead.

Shapes: N samples, H units.
"""

from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from simplenn.explanation.subject import Subject, as_input

KINDS = (nn.ReLU, nn.ReLU6)
MOST_SAMPLES = 4096


def activity(subject: Subject, x: Tensor) -> dict[str, Tensor]:
    """By the name of each ReLU layer, [H]: the share of the samples at which each of its units is above 0.

    Of a convolution's output [N, C, ...] the channels are the units, of a sequence's [N, T, H] the last axis. What a
    network computes without a module (`functional.relu`) isn't seen.
    """
    found: dict[str, Tensor] = {}

    def note(name: str, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim >= 2:
            axis = 2 if output.ndim == 3 else 1
            units = (output > 0).movedim(axis, -1).reshape(len(output), -1, output.shape[axis]).any(dim=1)
            found[name] = units.float().mean(dim=0).cpu()

    with ExitStack() as stack, torch.no_grad():
        for name, module in subject.network.named_modules():
            if isinstance(module, KINDS):
                hook = module.register_forward_hook(lambda module, inputs, output, name=name: note(name, output))
                stack.callback(hook.remove)
        subject.network(as_input(subject, x[:MOST_SAMPLES]))
    return found


def patterns(subject: Subject, x: Tensor) -> Tensor | None:
    """[N]: the number of each sample's piece: samples at which the same units are active share one. `None` for another
    network than the tutorial's with ReLU."""
    simple = subject.simple
    if simple is None or not isinstance(simple.activation, nn.ReLU):
        return None
    with torch.no_grad():
        active = simple.layer1(as_input(subject, x)) > 0
    return torch.unique(active, dim=0, return_inverse=True)[1].cpu()
