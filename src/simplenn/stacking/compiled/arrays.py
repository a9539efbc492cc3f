"""torch's operations that make an array: constants, products, and what is put together from parts."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from simplenn.stacking.compiled.body import loop
from simplenn.stacking.compiled.result import Result, Rule
from simplenn.stacking.compiled.values import Value, constant
from simplenn.stacking.compiled.views import moved, selected, sliced
from simplenn.stacking.reasons import CannotCompile

aten = torch.ops.aten
TILE = 8  # sums of a product that are kept in registers at once


def filled(number: float) -> Rule:
    return lambda result, *_, **others: constant(number, result.shape, result.dtype)


def joined(result: Result, parts: Sequence[Value], dim: int = 0) -> Value:
    array, axis, start = result.body.temporary(result.shape, result.dtype), dim % len(result.shape), 0
    for part in parts:
        view = array.seen(part.shape, moved(axis, start, 1))
        result.body.assign(part.as_type(result.dtype), view.at)
        start += part.shape[axis]
    return array


def overwritten(result: Result, x: Value, part: Value, dim: int = 0, *rest: Any) -> Value:
    array = _copy(result, x)
    view = sliced(replace(result, shape=part.shape), array, dim, *rest)
    result.body.assign(part.as_type(result.dtype), view.at)
    return array


def overwritten_one(result: Result, x: Value, part: Value, dim: int, number: int) -> Value:
    array = _copy(result, x)
    result.body.assign(part.as_type(result.dtype), selected(replace(result, shape=part.shape), array, dim, number).at)
    return array


def _copy(result: Result, x: Value) -> Value:
    array = result.body.temporary(result.shape, result.dtype)
    result.body.assign(x.as_type(result.dtype).broadcast(result.shape), array.at)
    return array


def product(result: Result, a: Value, b: Value, bias: Value | None = None) -> Value:
    """[..., I, K] @ [..., K, J], added up in the order of K, as torch's own small products are; then the bias."""
    if result.dtype != torch.float32:
        raise CannotCompile(f"a product in {result.dtype} has not been tried for many runs")
    if not a.shape[-1]:
        raise CannotCompile("an empty product has not been tried for many runs")
    a, b = (side if side.is_read_cheaply else result.body.stored(side) for side in (a, b))
    array = result.body.temporary(result.shape, result.dtype)
    *outer, rows, columns = result.shape
    tile = next(size for size in range(min(columns, TILE), 0, -1) if columns % size == 0)
    places = [f"o{axis}" for axis in range(len(outer))]
    column = "j" if columns == tile else f"({tile} * i1 + j)"
    row, target = [*places, "i0"], array.at([*places, "i0", column])
    added = "" if bias is None else f" + {bias.broadcast(result.shape).at([*row, column])}"
    heads = [loop(place, length) for place, length in zip(places, outer, strict=True)]
    each = loop("j", tile)
    lines = [
        " ".join([*heads, loop("i0", rows), loop("i1", columns // tile), "{"]),
        f"Float sums[{tile}];",
        f"{each} sums[j] = {a.at([*row, '0'])} * {b.at([*places, '0', column])};",
        f"for (int k = 1; k < {a.shape[-1]}; ++k)",
        f"{each} sums[j] += {a.at([*row, 'k'])} * {b.at([*places, 'k', column])};",
        f"{each} {target} = sums[j]{added}; }}",
    ]
    result.body.statements.append(" ".join(lines))
    return array


def biased_product(result: Result, bias: Value, a: Value, b: Value, beta: float = 1, alpha: float = 1) -> Value:
    if (beta, alpha) != (1, 1):
        raise CannotCompile("a weighted product has not been tried for many runs")
    return product(result, a, b, bias)


ARRAYS: dict[Any, Rule] = {
    aten.full.default: lambda result, shape, number, **_: constant(number, result.shape, result.dtype),
    aten.full_like.default: lambda result, x, number, **_: constant(number, result.shape, result.dtype),
    aten.scalar_tensor.default: lambda result, number, **_: constant(number, result.shape, result.dtype),
    **dict.fromkeys((aten.zeros_like.default, aten.zeros.default, aten.new_zeros.default), filled(0)),
    **dict.fromkeys((aten.ones_like.default, aten.ones.default), filled(1)),
    aten.mm.default: product,
    aten.bmm.default: product,
    aten.addmm.default: biased_product,
    aten.cat.default: joined,
    aten.slice_scatter.default: overwritten,
    aten.select_scatter.default: overwritten_one,
}
