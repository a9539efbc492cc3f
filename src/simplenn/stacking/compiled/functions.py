"""Functions that are computed of whole arrays: torch computes them by a library, and so does `lanes.h`."""

import torch

from simplenn.stacking.compiled.result import Result, Rule
from simplenn.stacking.compiled.values import Value

aten = torch.ops.aten


def _in_arrays(name: str) -> Rule:
    """A function that is computed of whole arrays."""

    def applied(result: Result, x: Value) -> Value:
        source = result.body.stored(x.as_type(result.dtype))
        array = result.body.temporary(source.shape, result.dtype)
        result.body.statements.append(f"{name}({array.array}, {source.array}, {array.num});")
        return array.broadcast(result.shape)

    return applied


square_root = _in_arrays("square_root")
exponential = _in_arrays("exponential")
exponential_minus_1 = _in_arrays("exponential_minus_1")
error_function = _in_arrays("error_function")
FUNCTIONS: dict[object, Rule] = {
    aten.sqrt.default: square_root,
    aten.exp.default: exponential,
    aten.expm1.default: exponential_minus_1,
    aten.log.default: _in_arrays("logarithm"),
    aten.log1p.default: _in_arrays("logarithm_of_1_plus"),
    aten.sin.default: _in_arrays("sine"),
    aten.cos.default: _in_arrays("cosine"),
    aten.tanh.default: _in_arrays("hyperbolic_tangent"),
    aten.erf.default: error_function,
}
