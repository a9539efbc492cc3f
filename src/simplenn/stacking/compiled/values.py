"""Values of a graph of one run, as C++ has them for LANES runs side by side (`lanes.h`). Knows no graphs.

A `Value` is a tensor of one run. Each of its numbers is a C++ expression of the type `Float`, `Double` or `Mask`, which
depends on where it stands: `at(["i0", "2"])`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch

TYPES = {torch.float32: "Float", torch.float64: "Double", torch.bool: "Mask"}
CAST = {torch.float32: "to_float", torch.float64: "to_double", torch.bool: "mask"}

Index = Sequence[str]


@dataclass(frozen=True)
class Value:
    """`at` is the expression of the number at an index. Where `array` is set, the numbers lie in memory, one after the
    other in the order of the index, and that is the C++ expression of the first one's address; `is_read_cheaply` also
    where they lie in another order, or nothing has to be computed to have them."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    at: Callable[[Index], str]
    array: str | None = None
    is_read_cheaply: bool = False

    @property
    def num(self) -> int:
        return prod(self.shape)

    def seen(self, shape: Sequence[int], index: Callable[[Index], Index]) -> "Value":
        """Another view of the same numbers: `index` says where a number of it stands here."""
        return Value(tuple(shape), self.dtype, lambda place: self.at(index(place)), None, self.is_read_cheaply)

    def as_type(self, dtype: torch.dtype) -> "Value":
        if dtype == self.dtype:
            return self
        cast = (lambda x: f"mask({x} != 0)") if dtype == torch.bool else (lambda x: f"{CAST[dtype]}({x})")
        return Value(self.shape, dtype, lambda place: cast(self.at(place)))

    def broadcast(self, shape: Sequence[int]) -> "Value":
        """As torch has it: axes are counted from the last, and one of length 1 repeats its number."""
        if tuple(shape) == self.shape:
            return self
        extra = len(shape) - len(self.shape)

        def own(place: Index) -> Index:
            return ["0" if length == 1 else i for i, length in zip(place[extra:], self.shape, strict=True)]

        return self.seen(shape, own)

    def reshaped(self, shape: Sequence[int]) -> "Value":
        """The same numbers in the same order: of an array, or where only axes of length 1 come or go."""
        if self.array is not None:
            return in_memory(self.array, shape, self.dtype)
        if [length for length in shape if length != 1] == [length for length in self.shape if length != 1]:

            def own(place: Index) -> Index:
                rest = iter([i for i, length in zip(place, shape, strict=True) if length != 1])
                return ["0" if length == 1 else next(rest) for length in self.shape]

            return self.seen(shape, own)
        raise ValueError("only what lies in memory can be seen in any shape")


def in_memory(array: str, shape: Sequence[int], dtype: torch.dtype, element: str = "{}[{}]") -> Value:
    """Numbers that lie one after the other from the address `array` on; `element` is how one of them is read."""

    def at(place: Index) -> str:
        return element.format(array, flat_index(place, shape))

    return Value(tuple(shape), dtype, at, array if element == "{}[{}]" else None, True)


def flat_index(place: Index, shape: Sequence[int]) -> str:
    terms, step = [], 1
    for i, length in zip(reversed(place), reversed(shape), strict=True):
        if length != 1 and i != "0":
            terms.append(i if step == 1 else f"{i} * {step}")
        step *= length
    return " + ".join(reversed(terms)) or "0"


def constant(number: Any, shape: Sequence[int], dtype: torch.dtype) -> Value:
    text = literal(number, dtype)
    return Value(tuple(shape), dtype, lambda place: text, None, True)


def literal(number: Any, dtype: torch.dtype) -> str:
    """A Python number as the C++ expression of a number of all runs, rounded as torch rounds it."""
    if dtype == torch.bool:
        return f"mask({'true' if number else 'false'})"
    rounded = float(torch.tensor(float(number), dtype=dtype).item())
    name, suffix = ("f", "f") if dtype == torch.float32 else ("d", "")
    if rounded != rounded:
        return f"{name}(NAN)"
    if rounded in (float("inf"), float("-inf")):
        return f"{name}({'-' if rounded < 0 else ''}INFINITY)"
    return f"{name}({rounded.hex()}{suffix})"
