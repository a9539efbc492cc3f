"""C++ from a graph of one run: what the graph computes, for several runs side by side.

Views cost nothing, as they only say where a number stands; what is computed number by number, and used once, is
computed where it is used. The rest is computed into arrays.
"""

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import torch
from torch.fx import GraphModule, Node

from simplenn.stacking.compiled.body import Body
from simplenn.stacking.compiled.operations import RULES
from simplenn.stacking.compiled.pointwise import POINTWISE
from simplenn.stacking.compiled.reductions import SUMS
from simplenn.stacking.compiled.result import Result
from simplenn.stacking.compiled.torch_internals import flatten, is_operation
from simplenn.stacking.compiled.values import TYPES, Value
from simplenn.stacking.compiled.views import VIEWS
from simplenn.stacking.reasons import CannotCompile


def translate(
    graph: GraphModule, inputs: Sequence[Value], body: Body, shape: tuple[int, ...] | None = None
) -> list[Value]:
    """Adds to the body what the graph computes of its `inputs`, which stand in the order of its placeholders; returns
    its results. With a `shape`, a graph of single numbers is done for arrays of them. Raises `CannotCompile` where it
    has an operation without a rule."""
    rest = iter(inputs)
    values: dict[Node, Any] = {}
    for node in graph.graph.nodes:
        if node.op == "placeholder":
            values[node] = next(rest)
        elif node.op == "get_attr":
            raise CannotCompile("the network holds a tensor that is not a parameter")
        elif node.op == "call_function":
            values[node] = _value(node, values, body, shape)
        elif node.op == "output":
            return [values[result] for result in flatten(node.args) if isinstance(result, Node)]
    raise AssertionError("a graph ends with its results")


def _value(node: Node, values: dict[Node, Any], body: Body, of_all: tuple[int, ...] | None) -> Any:
    def given(argument: Any) -> Any:
        if isinstance(argument, Node):
            return values[argument]
        return [given(part) for part in argument] if isinstance(argument, list | tuple) else argument

    arguments, named = given(node.args), {name: given(argument) for name, argument in node.kwargs.items()}
    if not is_operation(node.target):
        source, number = arguments  # operator.getitem: one of several results
        return source[number]
    if node.target not in RULES:
        raise CannotCompile(f"{node.target} has no rule for many runs")
    meta = node.meta["val"]
    shape, dtype = (tuple(meta.shape), meta.dtype) if isinstance(meta, torch.Tensor) else ((), torch.float32)
    if dtype not in TYPES:
        raise CannotCompile(f"the network computes with {dtype}")
    value = RULES[node.target](Result(of_all or shape, dtype, body), *arguments, **named)
    if node.target not in POINTWISE or _is_used_once(node):
        return value
    # A mask is kept as numbers, 0 and 1.
    return body.stored(value.as_type(torch.float32)).as_type(dtype) if dtype == torch.bool else body.stored(value)


def _is_used_once(node: Node) -> bool:
    """Whether each number is read once, so that it can be computed where it is read."""
    uses = list(_uses(node))
    if len(uses) != 1:
        return False
    (user,) = uses
    if user.target in SUMS:
        return True
    return user.target in POINTWISE and prod(user.meta["val"].shape) <= prod(node.meta["val"].shape)


def _uses(node: Node) -> Iterator[Node]:
    """The operations that read it, through whatever views of it; one that has it twice among its arguments, twice."""
    for user in node.users:
        if user.op == "call_function" and user.target in VIEWS:
            yield from _uses(user)
        else:
            yield from [user] * max(1, [id(part) for part in flatten(user.args)].count(id(node)))
