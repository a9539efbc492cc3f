"""What a constructor draws for its weights, recorded once and drawn again for other seeds: to construct a network takes
fifty times as long.

Only for constructors that do the same whatever they draw: those that fill new weights by torch's generator alone, as
all of `torch.nn.init`'s uniform and normal ways do, and read neither the numbers nor a generator's state.
"""

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from simplenn.stacking.own_code import Watch

aten: Any = torch.ops.aten
RANDOM = (aten.uniform_.default, aten.normal_.default)
FILLS = (*RANDOM, aten.fill_.Scalar, aten.zero_.default)
# What makes new memory, with the operation that then fills it.
MAKES: dict[Any, tuple[Any, ...]] = {
    aten.empty.memory_format: (),
    aten.zeros.default: (aten.zero_.default,),
    aten.ones.default: (aten.fill_.Scalar, 1),
    aten.rand.default: (aten.uniform_.default, 0.0, 1.0),
    aten.randn.default: (aten.normal_.default, 0.0, 1.0),
}
NEUTRAL = (aten.detach.default, aten.alias.default)
# What gives Python a tensor's numbers, its memory or a copy, without an operation that could be recorded.
READS = {
    *("tolist", "numpy", "__array__", "__dlpack__", "__reduce_ex__", "__deepcopy__", "__repr__", "__format__"),
    *("data_ptr", "storage", "untyped_storage", "_typed_storage", "apply_", "map_", "map2_"),
}


class Fill(NamedTuple):
    """The operation that fills the weight of this number, with what it takes beside that."""

    weight: int
    operation: Any
    arguments: tuple[Any, ...]


class Draws:
    """The fills of a network's weights, in their order."""

    def __init__(self, fills: Sequence[Fill]) -> None:
        self._fills = fills

    def draw(self, seed: int, weights: Sequence[Tensor]) -> None:
        """Fills the weights with what the constructor would draw for them."""
        torch.default_generator.manual_seed(seed)
        for weight, operation, arguments in self._fills:
            operation(weights[weight], *arguments)


class Recording(TorchDispatchMode):
    """Within it, all that is done with tensors is noted."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[int, Tensor] = {}  # by their memory, which they hold on to
        self._fills: list[tuple[int, Any, tuple[Any, ...]]] = []  # of which memory, by which operation
        self._is_plain = True
        self._reads = _Reads()
        self._watch = Watch()

    def __enter__(self) -> "Recording":
        self._states = _states()
        self._reads.__enter__()
        super().__enter__()
        self._watch.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._watch.__exit__(*error)
        super().__exit__(*error)
        self._reads.__exit__(*error)
        self._is_plain &= self._watch.is_harmless and not self._reads.found and _states() == self._states

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self._is_plain &= self._watch.is_harmless
        if self._is_plain:
            self._note(func, args, kwargs or {}, result)
        if not self._is_plain:
            self._made.clear()  # which may be much
        return result

    def _note(self, func: Any, args: Any, kwargs: dict[str, Any], result: Any) -> None:
        if func in MAKES:
            self._made[_memory(result)] = result
            if MAKES[func]:
                operation, *arguments = MAKES[func]
                self._fills.append((_memory(result), operation, tuple(arguments)))
        elif func in FILLS and not any(value is not None for value in kwargs.values()):
            self._fills.append((_memory(args[0]), func, args[1:]))
            self._is_plain &= _is_whole(args[0])
        elif func not in NEUTRAL:
            self._is_plain = False

    def draws(self, weights: Sequence[Tensor]) -> Draws | None:
        """Those of the weights that were constructed; `None` where they can't be told from what was noted."""
        numbers = {_memory(weight): number for number, weight in enumerate(weights)}
        if not self._is_plain or len(numbers) < len(weights) or not all(_is_whole(weight) for weight in weights):
            return None
        filled = {memory for memory, _, _ in self._fills}
        drawn = {memory for memory, operation, _ in self._fills if operation in RANDOM}
        if not (drawn <= numbers.keys() <= filled and numbers.keys() <= self._made.keys()):
            return None
        return Draws([Fill(numbers[memory], *fill) for memory, *fill in self._fills if memory in numbers])


class _Reads(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.found = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.found |= getattr(func, "__name__", "") in READS
        return func(*args, **(kwargs or {}))


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _is_whole(tensor: Tensor) -> bool:
    """Whether it is all of its memory, in its order."""
    return tensor.is_contiguous() and tensor.nbytes == tensor.untyped_storage().nbytes()


def _states() -> tuple[Any, ...]:
    """Of the generators that aren't torch's."""
    name, keys, *others = np.random.get_state()
    return random.getstate(), name, keys.tobytes(), *others  # pyright: ignore[reportAttributeAccessIssue]
