"""What the compiled mode takes from torch's private and experimental modules, one function for each.

`tests/stacking/test_upstream.py` has a test for each function, which fails by its name when a release of torch changes
what lies behind it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch._inductor
from torch import Tensor
from torch._guards import TracingContext, tracing
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.utils import _pytree as pytree


def trace(function: Callable[..., Any], inputs: Sequence[Any], decompositions: Mapping[Any, Any] | None) -> GraphModule:
    """The graph of ATen operations that `function(*inputs)` carries out, found without computing anything.

    `decompositions` says how operations are written in terms of others.
    """
    table: Any = decompositions
    return make_fx(function, table, tracing_mode="fake")(*inputs)


def compile_graph(graph: GraphModule, inputs: Sequence[Tensor], options: Mapping[str, Any]) -> Callable[..., Any]:
    """The graph as one call of inductor's, for inputs like these. Raises what inductor raises."""
    # Without a tracing context, inductor bypasses its cache of compiled graphs on disk.
    with tracing(TracingContext(FakeTensorMode(shape_env=ShapeEnv()))):
        call: Any = torch._inductor.compile(graph, list(inputs), options=dict(options))
    return call


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """The leaves of nested tuples, lists and dictionaries, and the structure that `unflatten` takes."""
    return pytree.tree_flatten(tree)


def unflatten(leaves: Sequence[Any], structure: Any) -> Any:
    return pytree.tree_unflatten(leaves, structure)


def is_operation(target: Any) -> bool:
    """Whether a node of a graph calls one of torch's operations, such as `aten.mm.default`, not a Python function."""
    return isinstance(target, torch._ops.OpOverload)
