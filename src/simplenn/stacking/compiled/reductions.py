"""torch's sums, means and extremes over some axes, added up in the order of torch's own kernels."""

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import torch

from simplenn.stacking.compiled.body import loop
from simplenn.stacking.compiled.result import Result, Rule, computed
from simplenn.stacking.compiled.values import TYPES, Value, constant, flat_index

aten = torch.ops.aten
# Of the vectors in which torch's own kernels add up.
VECTOR_BYTES = 64 if "512" in torch.backends.cpu.get_cpu_capability() else 32


def total(result: Result, x: Value, dims: Any = None, keepdim: bool = False, **_: Any) -> Value:
    return _summed(result, x, dims, 1)


def mean(result: Result, x: Value, dims: Any = None, keepdim: bool = False, **_: Any) -> Value:
    return _summed(result, x, dims, x.num // max(prod(result.shape), 1))


def variance(result: Result, x: Value, dims: Any = None, correction: float = 1, **_: Any) -> Value:
    axes, x = _axes(x, dims), result.body.stored(x)
    size = prod(x.shape[axis] for axis in axes)
    kept = tuple(1 if axis in axes else length for axis, length in enumerate(x.shape))
    center = _summed(replace(result, shape=kept), x, axes, size)
    square = computed(replace(result, shape=x.shape), "squared({0} - {1})".format, x, center)
    return _summed(result, square, axes, max(size - correction, 0))


def _summed(result: Result, x: Value, dims: Any, divisor: float) -> Value:
    axes, x = _axes(x, dims), x.as_type(result.dtype)
    place = [_counter(axis, length) for axis, length in enumerate(x.shape)]
    array, target = _of_kept_axes(result, x, axes, place)
    size = rest = prod(x.shape[axis] for axis in axes)
    columns = range(max(axes, default=-1) + 1, len(x.shape))  # the axes behind those that are summed over
    column = flat_index([place[axis] for axis in columns], [x.shape[axis] for axis in columns])
    for axis in axes:
        rest //= x.shape[axis]
        place[axis] = f"(e / {rest} % {x.shape[axis]})"
    element = f"[&](int64_t e) INLINE_LAMBDA {{ return {x.at(place)}; }}"
    call = _call_of_sum(result.dtype, size, prod(x.shape[axis] for axis in columns), column, element)
    divided = f" / {constant(divisor, (), result.dtype).at([])}" if divisor != 1 else ""
    heads = [loop(f"i{axis}", n) for axis, n in enumerate(x.shape) if axis not in axes and n != 1]
    result.body.statements.append(" ".join([*heads, f"{target} = {call}{divided};"]))
    return array.reshaped(result.shape)


def _call_of_sum(dtype: torch.dtype, size: int, num_columns: int, column: str, element: str) -> str:
    """torch's kernel adds up columns four at a time, vectors of them where there are that many; what is left over, by
    four interleaved sums."""
    kind, width = TYPES[dtype], VECTOR_BYTES // dtype.itemsize
    if num_columns == 1:
        return f"sum_in_vectors<{kind}>({width}, {size}, {element})"
    together = 4 if num_columns < width else 4 * width
    num_in_order = num_columns // together * together
    in_order, by_four = f"sum_in_order<{kind}>({size}, {element})", f"sum_by_four<{kind}>({size}, {element})"
    if num_in_order in (0, num_columns):
        return in_order if num_in_order else by_four
    return f"({column} < {num_in_order} ? {in_order} : {by_four})"


def _extreme(name: str) -> Rule:
    def extreme(result: Result, x: Value, dims: Any = None, keepdim: bool = False) -> Value:
        axes = _axes(x, dims)
        place = [_counter(axis, length) for axis, length in enumerate(x.shape)]
        array, target = _of_kept_axes(result, x, axes, place)
        first = x.at(["0" if axis in axes else i for axis, i in enumerate(place)])
        outer = [loop(f"i{axis}", n) for axis, n in enumerate(x.shape) if axis not in axes and n != 1]
        inner = [loop(f"i{axis}", x.shape[axis]) for axis in axes if x.shape[axis] != 1]
        lines = [*outer, "{", f"auto found = {first};", *inner, f"found = {name}(found, {x.at(place)});"]
        result.body.statements.append(" ".join([*lines, f"{target} = found; }}"]))
        return array.reshaped(result.shape)

    return extreme


def _axes(x: Value, dims: Any) -> list[int]:
    listed = [dims] if isinstance(dims, int) else list(dims or [])
    return sorted(dim % len(x.shape) for dim in listed) if listed else list(range(len(x.shape)))


def _counter(axis: int, length: int) -> str:
    return "0" if length == 1 else f"i{axis}"


def _of_kept_axes(result: Result, x: Value, axes: Sequence[int], place: Sequence[str]) -> tuple[Value, str]:
    """An array for one number of each of the other axes, and where the one of `place` is."""
    kept = [axis for axis in range(len(x.shape)) if axis not in axes]
    array = result.body.temporary([x.shape[axis] for axis in kept], result.dtype)
    return array, array.at([place[axis] for axis in kept])


SUMS: dict[Any, Rule] = {
    **dict.fromkeys((aten.sum.default, aten.sum.dim_IntList, torch.ops.prims.sum.default), total),
    **dict.fromkeys((aten.mean.default, aten.mean.dim), mean),
    torch.ops.prims.var.default: variance,
}
EXTREMES: dict[Any, Rule] = {aten.amax.default: _extreme("larger"), aten.amin.default: _extreme("smaller")}
