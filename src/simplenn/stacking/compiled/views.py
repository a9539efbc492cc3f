"""torch's views: where a number of the result stands among those that are there. They cost nothing."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from simplenn.stacking.compiled.result import Result, Rule
from simplenn.stacking.compiled.values import Index, Value

aten = torch.ops.aten


def same(result: Result, x: Value, *_: Any, **others: Any) -> Value:
    return x


def reshaped(result: Result, x: Value, *_: Any) -> Value:
    try:
        return x.reshaped(result.shape)
    except ValueError:
        return result.body.stored(x).reshaped(result.shape)


def permuted(result: Result, x: Value, dims: Sequence[int]) -> Value:
    where = [dim % len(dims) for dim in dims]
    return x.seen(result.shape, lambda place: [place[where.index(axis)] for axis in range(len(where))])


def expanded(result: Result, x: Value, *_: Any, **others: Any) -> Value:
    return x.broadcast(result.shape)


def spread(result: Result, x: Value, shape: Sequence[int], axes: Sequence[int]) -> Value:
    """Each of its axes is the one of `axes` in the result."""
    return x.seen(
        result.shape, lambda place: ["0" if n == 1 else place[axis] for n, axis in zip(x.shape, axes, strict=True)]
    )


def repeated(result: Result, x: Value, *_: Any) -> Value:
    extra = len(result.shape) - len(x.shape)

    def own(place: Index) -> Index:
        return ["0" if n == 1 else f"({i} % {n})" for i, n in zip(place[extra:], x.shape, strict=True)]

    return x.seen(result.shape, own)


def sliced(
    result: Result, x: Value, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Value:
    first, _, _ = slice(start, end).indices(x.shape[dim])
    return x.seen(result.shape, moved(dim % len(x.shape), first, step))


def selected(result: Result, x: Value, dim: int, number: int) -> Value:
    axis, place_there = dim % len(x.shape), str(number % x.shape[dim])
    return x.seen(result.shape, lambda place: [*place[:axis], place_there, *place[axis:]])


def flipped(result: Result, x: Value, dims: Sequence[int]) -> Value:
    axes = {dim % len(x.shape) for dim in dims}

    def mirrored(place: Index) -> Index:
        return [f"({x.shape[axis] - 1} - {i})" if axis in axes else i for axis, i in enumerate(place)]

    return x.seen(result.shape, mirrored)


def split(result: Result, x: Value, sizes: Sequence[int], dim: int = 0) -> list[Value]:
    axis, starts = dim % len(x.shape), [sum(sizes[:part]) for part in range(len(sizes))]
    shapes = [(*x.shape[:axis], size, *x.shape[axis + 1 :]) for size in sizes]
    return [x.seen(shape, moved(axis, start, 1)) for shape, start in zip(shapes, starts, strict=True)]


def moved(axis: int, start: int, step: int) -> Callable[[Index], Index]:
    def moved(place: Index) -> Index:
        here = place[axis] if step == 1 else f"{place[axis]} * {step}"
        return [*place[:axis], f"({start} + {here})" if start else f"({here})", *place[axis + 1 :]]

    return moved


VIEWS: dict[Any, Rule] = {
    **dict.fromkeys((aten.clone.default, aten.alias.default, aten.detach.default), same),
    **dict.fromkeys((aten.view.default, aten._unsafe_view.default, aten.squeeze.dim, aten.squeeze.dims), reshaped),
    **dict.fromkeys((aten.unsqueeze.default, aten.squeeze.default), reshaped),
    aten.permute.default: permuted,
    aten.expand.default: expanded,
    torch.ops.prims.broadcast_in_dim.default: spread,
    aten.repeat.default: repeated,
    aten.slice.Tensor: sliced,
    aten.select.int: selected,
    aten.flip.default: flipped,
    aten.split_with_sizes.default: split,
}
