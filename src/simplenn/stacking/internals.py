"""What stacking takes from the private side of torch and Lightning, one function for each.

`tests/stacking/test_upstream.py` has a test for each function, which fails by its name when a release changes what lies
behind it. (`compiled/torch_internals.py` is the same for the compiled mode.)
"""

from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

# In these, nn.Module keeps its parts, its weights and its buffers.
CONTENTS = ("_modules", "_parameters", "_buffers")


def forward_hooks(module: nn.Module) -> dict[str, list[Any]]:
    """The hooks that are part of the module's forward pass, by the kind of hook; without the empty kinds."""
    kinds = {"_forward_hooks": module._forward_hooks, "_forward_pre_hooks": module._forward_pre_hooks}
    return {kind: list(hooks.values()) for kind, hooks in kinds.items() if hooks}


def has_backward_hooks(module: nn.Module) -> bool:
    """Whether something hooks into the gradients of the module's inputs or outputs."""
    return bool(module._backward_hooks or module._backward_pre_hooks)


def has_gradient_hooks(weight: Tensor) -> bool:
    """Whether something hooks into the weight's gradient, before or after it is added up."""
    return bool(weight._backward_hooks or weight._post_accumulate_grad_hooks)


def has_step_hooks(optimizer: Optimizer) -> bool:
    """Whether something runs before or after each step of the optimizer."""
    return bool(optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks)


def is_allocator_error(error: BaseException) -> bool:
    """Whether torch ran out of the CPU's memory, for which it has no exception of its own."""
    return "DefaultCPUAllocator" in str(error)


def is_random_under_vmap(error: BaseException) -> bool:
    """Whether `vmap(randomness="error")` refused a computation as it draws random numbers."""
    return "called random operation" in str(error)
