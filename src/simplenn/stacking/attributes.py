"""What a module or a data module keeps beside its weights: what a stack has only once for all of its runs.

Anything may be kept: a random mask, a counter, a list of modules, a generator. Two are held to be the same only where
that can be shown.
"""

import functools
import types
import weakref
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import Tensor, nn


def _machinery(kind: type) -> frozenset[str]:
    """The attributes that each instance has, those included that Lightning adds when it asks for hyperparameters."""
    bare = kind()
    _ = getattr(bare, "hparams", None), getattr(bare, "hparams_initial", None)
    return frozenset(vars(bare))


MACHINERY = {kind: _machinery(kind) for kind in (nn.Module, LightningModule, LightningDataModule)}
HOOKS = ("_forward_hooks", "_forward_pre_hooks")  # part of the forward pass, though nn.Module's own attributes
PRIMITIVE = (int, float, complex, str, bytes, type(None))

Kept = Mapping[str, Any]


def kept_by(module: nn.Module) -> dict[str, Any]:
    """Everything by its path: the parts' kinds, their plain attributes, their buffers, which weights there are."""
    found: dict[str, Any] = {}
    for path, part in module.named_modules():
        prefix = f"{path}." if path else ""
        machinery = MACHINERY[LightningModule if isinstance(part, LightningModule) else nn.Module]
        found[f"{prefix}__class__"] = type(part)
        own = vars(part)
        found.update((prefix + name, value) for name, value in own.items() if name not in machinery)
        found.update((f"{prefix}{name}", list(own[name].values())) for name in HOOKS if own[name])
        found.update((prefix + name, value) for name, value in own["_buffers"].items())
        for name, weight in own["_parameters"].items():
            found[f"{prefix}{name}.requires_grad"] = weight is not None and weight.requires_grad
    return found


def kept_by_data(data: LightningDataModule) -> dict[str, Any]:
    """Its own attributes, but for the run's seed."""
    machinery = MACHINERY[L.LightningDataModule] | {"shuffle_seed"}
    return {name: value for name, value in vars(data).items() if name not in machinery}


def first_difference(one: Kept, other: Kept, registered: Iterable[Tensor] = ()) -> str | None:
    """The path of the first thing that isn't the same in both; `None` where all is.

    `registered` are the weights of both, which may lie in plain attributes too.
    """
    same = _Sameness(registered)
    paths = dict.fromkeys([*one, *other])
    return next((p for p in paths if p not in one or p not in other or not same(one[p], other[p])), None)


class _Sameness:
    def __init__(self, registered: Iterable[Tensor]) -> None:
        self._registered = {id(weight) for weight in registered}
        self._seen: set[tuple[int, int]] = set()

    def __call__(self, a: Any, b: Any) -> bool:
        if a is b:
            return True
        if not _are_alike(type(a), type(b)):
            return False
        if isinstance(a, PRIMITIVE):
            return a == b
        if (id(a), id(b)) in self._seen:  # a circle
            return True
        self._seen.add((id(a), id(b)))
        return self._of_one_kind(a, b)

    def _of_one_kind(self, a: Any, b: Any) -> bool:
        match a:
            case type():
                return _are_alike(a, b)
            case Tensor():
                registered = id(a) in self._registered and id(b) in self._registered
                return registered or (a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b))
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
                return self(kept_by(a), kept_by(b)) and self(*weights)
            case types.FunctionType():
                return self(_parts_of_function(a), _parts_of_function(b))
            case types.MethodType():
                return a.__func__ is b.__func__ and self(a.__self__, b.__self__)
            case functools.partial():
                return self((a.func, a.args, a.keywords), (b.func, b.args, b.keywords))
            case weakref.ref():
                return self(a(), b())
        return self._plain(a, b)

    def _plain(self, a: Any, b: Any) -> bool:
        if type(a).__eq__ is not object.__eq__:
            try:
                return bool(a == b)
            except Exception:
                return False
        try:  # all that a copy is made from: attributes, slots, and what lies below Python, as random.Random's state
            return self(a.__reduce_ex__(4), b.__reduce_ex__(4))
        except TypeError:
            return False


def _are_alike(a: type, b: type) -> bool:
    """The same class, or one made anew for each object, as torch's parametrizations do."""
    return a is b or all(getattr(a, name) == getattr(b, name) for name in ("__module__", "__qualname__", "__bases__"))


def _parts_of_function(f: types.FunctionType) -> tuple[Any, ...]:
    cells = tuple(cell.cell_contents for cell in f.__closure__ or ())
    return f.__code__, f.__defaults__, f.__kwdefaults__, cells
