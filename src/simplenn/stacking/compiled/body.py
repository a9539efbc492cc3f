"""The body of a C++ function: its statements, and the arrays that they compute into. Knows no graphs."""

import re
from collections.abc import Callable, Sequence
from math import prod

import torch

from simplenn.stacking.compiled.values import TYPES, Value, flat_index, in_memory
from simplenn.stacking.reasons import CannotCompile

TEMPORARY = re.compile(r"\bt(\d+)\b")


class Body:
    """`statements` are in C++, in their order; each temporary array t0, t1, ... is made by the first that names it."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self._sizes: list[tuple[int, torch.dtype]] = []  # of each temporary: how many numbers, and their type

    def temporary(self, shape: Sequence[int], dtype: torch.dtype) -> Value:
        """A new array."""
        if dtype not in (torch.float32, torch.float64):
            raise CannotCompile(f"the network computes with {dtype}")
        self._sizes.append((max(prod(shape), 1), dtype))
        return in_memory(f"t{len(self._sizes) - 1}", shape, dtype)

    def stored(self, value: Value) -> Value:
        """The value as an array; itself if it is one."""
        if value.array is not None:
            return value
        result = self.temporary(value.shape, value.dtype)
        self.assign(value, result.at)
        return result

    def assign(self, value: Value, target: Callable[[Sequence[str]], str]) -> None:
        """Computes each number of the value into what `target` gives for its index."""
        place = ["0" if length == 1 else f"i{axis}" for axis, length in enumerate(value.shape)]
        heads = [loop(f"i{axis}", length) for axis, length in enumerate(value.shape) if length != 1]
        self.statements.append(" ".join([*heads, f"{target(place)} = {value.at(place)};"]))

    def store(self, value: Value, array: str) -> None:
        """Computes the value's numbers, in their order, into `array[0]`, `array[1]`, ..."""
        self.assign(value, lambda place: f"{array}[{flat_index(place, value.shape)}]")

    def memory(self) -> tuple[list[str], int]:
        """The temporaries' declarations, as places behind the address `memory`, and how many `Float`s are there in all.

        Two of them share a place where one is read for the last time before the other is made: few fit in the cache.
        """
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        for number, statement in enumerate(self.statements):
            for name in map(int, TEMPORARY.findall(statement)):
                first.setdefault(name, number)
                last[name] = number
        placed: dict[int, range] = {}
        declarations = []
        for name in sorted(first, key=lambda name: first[name]):
            num, dtype = self._sizes[name]
            living = [place for other, place in placed.items() if last[other] >= first[name]]
            placed[name] = _first_gap(living, num * dtype.itemsize // torch.float32.itemsize)
            address = f"reinterpret_cast<{TYPES[dtype]}*>(memory + {placed[name].start})"
            declarations.append(f"{TYPES[dtype]}* const t{name} = {address};")
        return declarations, max((place.stop for place in placed.values()), default=0)


def loop(name: str, length: int) -> str:
    """The head of a loop in C++."""
    return f"for (int {name} = 0; {name} < {length}; ++{name})"


def _first_gap(taken: Sequence[range], size: int) -> range:
    start = 0
    for place in sorted(taken, key=lambda place: place.start):
        if place.start - start >= size:
            break
        start = max(start, place.stop)
    return range(start, start + size)
