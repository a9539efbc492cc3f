"""What an operation results in, and how it is computed number by number. Knows no graphs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from simplenn.stacking.compiled.body import Body
from simplenn.stacking.compiled.values import Value, constant

# Takes a `Result`, and the operation's arguments, tensors as `Value`s; returns a `Value`, or several.
Rule = Callable[..., Any]


@dataclass(frozen=True)
class Result:
    """What an operation results in, and the body that computes it."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    body: Body


def computed(result: Result, expression: Callable[..., str], *operands: Any, dtype: torch.dtype | None = None) -> Value:
    """Number by number, of operands that are all of one type: the result's unless `dtype` is given."""
    own = dtype or result.dtype
    values = [operand(each, own).broadcast(result.shape) for each in operands]
    return Value(result.shape, result.dtype, lambda place: expression(*(value.at(place) for value in values)))


def operand(value: Any, dtype: torch.dtype) -> Value:
    return value.as_type(dtype) if isinstance(value, Value) else constant(value, (), dtype)
