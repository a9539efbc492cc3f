"""Whether a user's code, while it runs, can depend on anything but its arguments and torch's draws, as far as that can
be told from the names that it refers to and from the C functions that are called.

It is asked of constructors, where a seed must decide nothing but what torch's generator draws. What isn't known to be
harmless isn't.
"""

import dis
import sys
import types
from functools import cache
from typing import Any

from simplenn.stacking.attributes import PRIMITIVE

# Their code is known: it reads no random state and starts nothing, but by the C functions below.
LIBRARIES = {"torch", "lightning", "lightning_utilities", "hydra", "omegaconf", "simplenn.config", __package__}
LIBRARIES |= {"abc", "collections", "contextlib", "copy", "enum", "functools", "inspect", "typing", "types", "warnings"}
LIBRARIES |= {"_weakrefset", "weakref", "importlib", "pkgutil", "re", "dataclasses", "itertools", "operator"}
MODULES = {"math", "torch", "torch.nn", "torch.nn.functional", "torch.nn.init", "lightning.pytorch", "lightning"}
# C functions that read or set a generator's state, start a thread or hand out a tensor's memory.
REVEALING = {
    *("initial_seed", "get_state", "set_state", "getstate", "setstate", "clone_state", "graphsafe_get_state"),
    *("graphsafe_set_state", "seed", "manual_seed", "start_new_thread", "start_joinable_thread", "_to_dlpack"),
}
# Attributes and built-in functions by which one comes to such things, or to anything.
EVASIVE = {"_C", "random", "default_generator", "Generator", "multiprocessing", "numpy", "utils", "cuda", "mps", "xpu"}
EVASIVE |= {"__import__", "compile", "eval", "exec", "globals", "input", "open", "id", "hash", "vars", "__globals__"}
PLAIN = (*PRIMITIVE, range)


class Watch:
    """Within it, `is_harmless` stays true as long as all that has run in this thread is."""

    def __init__(self) -> None:
        self.is_harmless = True

    def __enter__(self) -> "Watch":
        if sys.getprofile() is not None:  # somebody else watches
            self.is_harmless = False
        else:
            sys.setprofile(self._on_event)
        return self

    def __exit__(self, *error: Any) -> None:
        if sys.getprofile() == self._on_event:
            sys.setprofile(None)
        else:
            self.is_harmless = False

    def _on_event(self, frame: types.FrameType, event: str, called: Any) -> None:
        if event == "c_call":
            self.is_harmless &= getattr(called, "__name__", "") not in REVEALING
        elif event == "call" and self.is_harmless and not _is_known(frame.f_globals.get("__name__", "")):
            self.is_harmless = _refers_to_harmless(frame)


@cache
def _is_known(module: str) -> bool:
    parts = module.split(".")
    return any(".".join(parts[:length]) in LIBRARIES for length in range(1, len(parts) + 1))


def _refers_to_harmless(frame: types.FrameType) -> bool:
    code = frame.f_code
    if any(instruction.opname == "IMPORT_NAME" for instruction in dis.get_instructions(code)):
        return False
    enclosed = [frame.f_locals.get(name) for name in code.co_freevars if name != "__class__"]
    named = [frame.f_globals[name] for name in code.co_names if name in frame.f_globals]
    attributes = {name for name in code.co_names if name not in frame.f_globals}
    return not attributes & EVASIVE and all(map(_is_harmless, [*enclosed, *named]))


def _is_harmless(value: Any) -> bool:
    """Whether code that refers to it still depends on nothing else. A Python function or a network may be anything: it
    is watched when it is called."""
    from torch import Tensor, nn

    if isinstance(value, types.ModuleType):
        return value.__name__ in MODULES
    if isinstance(value, types.BuiltinFunctionType):
        return value.__module__ in ("builtins", "math")
    if isinstance(value, type):
        return _is_known(value.__module__) or value.__module__ == "builtins" or issubclass(value, nn.Module)
    if isinstance(value, dict):
        return all(map(_is_harmless, value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_harmless, value))
    return isinstance(value, (*PLAIN, types.FunctionType, nn.Module, Tensor))
