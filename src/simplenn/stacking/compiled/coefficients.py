"""The coefficients of an update rule as compiled code takes them.

Shapes: R runs.
"""

from typing import Any

import torch
from torch import Tensor

from simplenn.stacking.rules import Coefficients


class Cast:
    """A rule's coefficients as tensors in single precision, [] or [R]: a number would be compiled into the code, and is
    another one in each step. What is True or False for all runs stays so. Keeps what doesn't change between steps."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[float | Tensor, Tensor]] = {}  # by name: the number, and what became of it

    def __call__(self, coefficients: Coefficients) -> dict[str, Any]:
        numbers = dict(coefficients)
        # SGD's momentum begins with the gradient itself. That is a later step, from 0, without dampening.
        if numbers.get("first"):
            numbers |= {"first": False, "1-dampening": 1.0}
        return {name: value if isinstance(value, bool) else self._cast(name, value) for name, value in numbers.items()}

    def _cast(self, name: str, number: float | Tensor) -> Tensor:
        before = self._before.get(name)
        if before is not None and before[0] is number:
            return before[1]
        if isinstance(number, Tensor) and number.dtype == torch.bool:
            cast = number
        else:
            cast = torch.as_tensor(number, dtype=torch.float32).contiguous()
        self._before[name] = (number, cast)
        return cast
