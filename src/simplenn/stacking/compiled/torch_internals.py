"""What the compiled mode takes from torch's private and experimental modules, one function for each.

`tests/stacking/test_upstream.py` has a test for each function, which fails by its name when a release of torch changes
what lies behind it.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch._decomp import get_decompositions
from torch.export import default_decompositions
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

aten = torch.ops.aten
WHOLE = (aten.tanh_backward.default, aten.slice_scatter.default, aten.select_scatter.default)
FURTHER = [aten._softmax, aten._log_softmax, aten.native_layer_norm, aten.native_group_norm, aten.var, aten.silu]
FURTHER += [aten.linalg_vector_norm, aten.var_mean, aten.softplus, aten.mish, aten.hardswish, aten.hardsigmoid]


def trace(function: Callable[..., Any], inputs: Sequence[Any], decompositions: Mapping[Any, Any] | None) -> GraphModule:
    """The graph of ATen operations that `function(*inputs)` carries out, found without computing anything.

    `decompositions` says how operations are written in terms of others.
    """
    table: Any = decompositions
    return make_fx(function, table, tracing_mode="fake")(*inputs)


@cache
def decompositions() -> dict[Any, Any]:
    """How operations are written in terms of fewer others: the core of ATen, without norms and softmax, with those
    that torch computes by a formula of their own."""
    table = {**default_decompositions(), **get_decompositions(FURTHER)}
    return {operation: how for operation, how in table.items() if operation not in WHOLE}


def flatten(tree: Any) -> list[Any]:
    """The leaves of nested tuples, lists and dictionaries."""
    return pytree.tree_leaves(tree)


def is_operation(target: Any) -> bool:
    """Whether a node of a graph calls one of torch's operations, such as `aten.mm.default`, not a Python function."""
    return isinstance(target, torch._ops.OpOverload)
