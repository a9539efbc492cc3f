"""What a module or a data module holds besides its weights, of which a stack has one for all of its runs.

That may be anything: a random mask, a counter, a list of modules, a generator. Two of them count as the same only where
that can be shown.
"""

import functools
import types
import weakref
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import Tensor, nn

from simplenn.stacking.internals import forward_hooks

Attributes = Mapping[str, Any]
PRIMITIVE = (int, float, complex, str, bytes, type(None))


def _own_attributes_of(kind: type) -> frozenset[str]:
    """The attributes that every instance has, with those that Lightning adds when it asks for hyperparameters."""
    bare = kind()
    _ = getattr(bare, "hparams", None), getattr(bare, "hparams_initial", None)
    return frozenset(vars(bare))


# What belongs to torch and Lightning, and says nothing about what the user's module holds.
MACHINERY = {kind: _own_attributes_of(kind) for kind in (nn.Module, LightningModule, LightningDataModule)}


def attributes_of(module: nn.Module) -> dict[str, Any]:
    """By its path, for each part of the module: its class, its plain attributes, its hooks, its buffers, and which of
    its weights are trained."""
    found: dict[str, Any] = {}
    for path, part in module.named_modules():
        prefix = f"{path}." if path else ""
        machinery = MACHINERY[LightningModule if isinstance(part, LightningModule) else nn.Module]
        found[f"{prefix}__class__"] = type(part)
        found.update((prefix + name, value) for name, value in vars(part).items() if name not in machinery)
        found.update((prefix + kind, hooks) for kind, hooks in forward_hooks(part).items())
        found.update(part.named_buffers(path, recurse=False, remove_duplicate=False))
        weights = part.named_parameters(path, recurse=False, remove_duplicate=False)
        found.update((f"{name}.requires_grad", weight.requires_grad) for name, weight in weights)
    return found


def attributes_of_data(data: LightningDataModule) -> dict[str, Any]:
    """What the data module holds, apart from the run's seed."""
    machinery = MACHINERY[LightningDataModule] | {"shuffle_seed", "setup", "teardown"}
    return {name: value for name, value in vars(data).items() if name not in machinery}


def first_difference(one: Attributes, other: Attributes, weights: Iterable[Tensor] = ()) -> str | None:
    """The path of the first thing that isn't the same in both; `None` where all is.

    `weights` are those of both modules: they may lie in plain attributes, too, and may differ.
    """
    same = _Sameness(weights)
    paths = dict.fromkeys([*one, *other])
    return next((p for p in paths if p not in one or p not in other or not same(one[p], other[p])), None)


class _Sameness:
    """Whether two objects are the same, as far as that can be shown; called with both."""

    def __init__(self, weights: Iterable[Tensor]) -> None:
        self._weights = {id(weight) for weight in weights}
        self._compared: set[tuple[int, int]] = set()

    def __call__(self, a: Any, b: Any) -> bool:
        if a is b:
            return True
        if not _are_alike(type(a), type(b)):
            return False
        if isinstance(a, PRIMITIVE):
            return a == b
        if (id(a), id(b)) in self._compared:  # they refer to each other, and are being compared further out
            return True
        self._compared.add((id(a), id(b)))
        return self._of_one_type(a, b)

    def _of_one_type(self, a: Any, b: Any) -> bool:
        match a:
            case type():
                return _are_alike(a, b)
            case Tensor():
                are_weights = id(a) in self._weights and id(b) in self._weights
                return are_weights or (a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b))
            case np.ndarray():
                return a.dtype == b.dtype and np.array_equal(a, b)
            case Mapping():
                return list(a) == list(b) and all(self(a[key], b[key]) for key in a)
            case list() | tuple() | deque():
                return len(a) == len(b) and all(map(self, a, b))
            case torch.Generator():
                return torch.equal(a.get_state(), b.get_state())
            case np.random.Generator():
                return self(a.bit_generator.state, b.bit_generator.state)
            case nn.Module():
                weights = dict(a.named_parameters()), dict(b.named_parameters())
                return self(attributes_of(a), attributes_of(b)) and self(*weights)
            case types.FunctionType():
                return self(_parts_of_function(a), _parts_of_function(b))
            case types.MethodType():
                return a.__func__ is b.__func__ and self(a.__self__, b.__self__)
            case functools.partial():
                return self((a.func, a.args, a.keywords), (b.func, b.args, b.keywords))
            case weakref.ref():
                return self(a(), b())
        return self._of_unknown_type(a, b)

    def _of_unknown_type(self, a: Any, b: Any) -> bool:
        if type(a).__eq__ is not object.__eq__:
            try:
                return bool(a == b)
            except Exception:  # whatever somebody's own comparison raises, it hasn't shown that they are the same
                return False
        # What a copy would be made from: attributes, slots, and what is held below Python, as by random.Random.
        try:
            return self(a.__reduce_ex__(4), b.__reduce_ex__(4))
        except TypeError:
            return False


def _are_alike(a: type, b: type) -> bool:
    """The same class, or one that is made anew for each object, as torch's parametrizations do."""
    return a is b or all(getattr(a, name) == getattr(b, name) for name in ("__module__", "__qualname__", "__bases__"))


def _parts_of_function(f: types.FunctionType) -> tuple[Any, ...]:
    enclosed = tuple(cell.cell_contents for cell in f.__closure__ or ())
    return f.__code__, f.__defaults__, f.__kwdefaults__, enclosed
