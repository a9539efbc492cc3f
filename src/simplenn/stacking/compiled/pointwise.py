"""torch's operations that are done number by number. Where torch's own formula is known to matter, it is that one."""

from dataclasses import replace
from typing import Any

import torch

from simplenn.stacking.compiled.functions import error_function, exponential, exponential_minus_1, square_root
from simplenn.stacking.compiled.result import Result, Rule, computed, operand
from simplenn.stacking.compiled.values import Value
from simplenn.stacking.reasons import CannotCompile

aten, prims = torch.ops.aten, torch.ops.prims


def _function(name: str) -> Rule:
    return lambda result, *operands: computed(result, lambda *each: f"{name}({', '.join(each)})", *operands)


def _operator(sign: str, of_masks: str | None = None) -> Rule:
    """`of_masks` is what is done of booleans, where torch knows the operation for them."""

    def applied(result: Result, a: Any, b: Any) -> Value:
        own = _sign_of(result, sign, of_masks)
        return computed(result, lambda a, b: f"({a} {own} {b})", a, b)

    return applied


def _sign_of(result: Result, sign: str, of_masks: str | None) -> str:
    if result.dtype != torch.bool:
        return sign
    if of_masks is None:
        raise CannotCompile("arithmetic of booleans has not been tried for many runs")
    return of_masks


def _limit(name: str, of_masks: str) -> Rule:
    """The larger of two, or the smaller."""

    def limited(result: Result, a: Any, b: Any) -> Value:
        if result.dtype == torch.bool:
            return computed(result, f"({{0}} {of_masks} {{1}})".format, a, b)
        return computed(result, f"{name}({{0}}, {{1}})".format, a, b)

    return limited


def _expression(text: str) -> Rule:
    """`text` has {0}, {1} in place of the operands."""
    return lambda result, *operands: computed(result, text.format, *operands)


def _comparison(sign: str) -> Rule:
    def compared(result: Result, a: Value, b: Any) -> Value:
        # Of a mask's numbers, -1 and 0, an order means nothing.
        dtype = torch.result_type(_like(a), _like(b))
        dtype = dtype if dtype.is_floating_point else torch.float32
        return computed(result, lambda a, b: f"mask({a} {sign} {b})", a, b, dtype=dtype)

    return compared


def _like(value: Any) -> Any:
    """By which torch decides on a common type: a tensor without axes gives way to one with them."""
    return torch.empty((1,) * len(value.shape), dtype=value.dtype) if isinstance(value, Value) else value


def _logical(sign: str) -> Rule:
    return lambda result, a, b: computed(result, lambda a, b: f"({a} {sign} {b})", a, b, dtype=torch.bool)


def _sum_of_two(sign: int) -> Rule:
    def added(result: Result, a: Any, b: Any, alpha: float = 1) -> Value:
        if alpha == 1:
            own = _sign_of(result, "+" if sign > 0 else "-", "|" if sign > 0 else None)
            return computed(result, f"({{0}} {own} {{1}})".format, a, b)
        _sign_of(result, "+", None)
        return computed(result, "fused({1}, {2}, {0})".format, a, b, sign * alpha)

    return added


def added_product(result: Result, x: Value, a: Value, b: Value, value: float = 1) -> Value:
    text = "fused({1}, {2}, {0})" if value == 1 else "fused({3} * {1}, {2}, {0})"
    return computed(result, text.format, x, a, b, *([] if value == 1 else [value]))


def added_quotient(result: Result, x: Value, a: Value, b: Value, value: float = 1) -> Value:
    text = "({0} + {1} / {2})" if value == 1 else "({0} + {3} * {1} / {2})"
    return computed(result, text.format, x, a, b, *([] if value == 1 else [value]))


def chosen(result: Result, condition: Value, a: Any, b: Any) -> Value:
    mask = condition.as_type(torch.bool).broadcast(result.shape)
    yes, no = (operand(each, result.dtype).broadcast(result.shape) for each in (a, b))
    return Value(result.shape, result.dtype, lambda place: f"choose({mask.at(place)}, {yes.at(place)}, {no.at(place)})")


def clamped(result: Result, x: Value, low: Any = None, high: Any = None) -> Value:
    for limit, name in ((low, "larger"), (high, "smaller")):
        x = x if limit is None else computed(result, f"{name}({{0}}, {{1}})".format, x, limit)
    return x


def raised(result: Result, x: Value, exponent: float) -> Value:
    """As aten/src/ATen/native/cpu/PowKernel.cpp."""
    if abs(exponent) == 0.5:
        root = square_root(result, x)
        return root if exponent > 0 else computed(result, "(1 / {0})".format, root)
    special = {1.0: "{0}", 2.0: "squared({0})", 3.0: "cubed({0})", -1.0: "(1 / {0})", -2.0: "(1 / squared({0}))"}
    return computed(result, special.get(float(exponent), f"power({{0}}, {float(exponent)!r})").format, x)


def sigmoid(result: Result, x: Value) -> Value:
    return computed(result, "(1 / (1 + {0}))".format, exponential(result, computed(result, "(-{0})".format, x)))


def gelu(result: Result, x: Value, approximate: str = "none") -> Value:
    x = result.body.stored(x)  # which is named more than once
    if approximate != "none":
        raise CannotCompile("gelu's approximation has not been tried for many runs")
    error = error_function(result, computed(result, "({0} * {1})".format, x, 0.5**0.5))
    return computed(result, "({0} * {1} * (1 + {2}))".format, x, 0.5, error)


def leaky_relu(result: Result, x: Value, slope: float = 0.01) -> Value:
    x = result.body.stored(x)  # which is named more than once
    return chosen(result, _is_positive(result, x), x, _times(result, x, slope))


def elu(result: Result, x: Value, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Value:
    x = result.body.stored(x)  # which is named more than once
    below = exponential_minus_1(result, computed(result, "({0} * {1})".format, x, input_scale))
    below = computed(result, "({0} * {1})".format, below, alpha * scale)
    return chosen(result, _is_positive(result, x), _times(result, x, scale), below)


def _times(result: Result, x: Value, number: float) -> Value:
    return computed(result, "({0} * {1})".format, x, number)


def inverted(result: Result, a: Value) -> Value:
    return computed(result, "(~{0})".format, a, dtype=torch.bool)


def converted(result: Result, x: Value, *_: Any, **others: Any) -> Value:
    return x.as_type(result.dtype)


def _is_positive(result: Result, x: Value) -> Value:
    return _comparison(">")(replace(result, dtype=torch.bool), x, 0)


POINTWISE: dict[Any, Rule] = {
    **dict.fromkeys((aten.add.Tensor, aten.add.Scalar, prims.add.default), _sum_of_two(1)),
    **dict.fromkeys((aten.sub.Tensor, aten.sub.Scalar, prims.sub.default), _sum_of_two(-1)),
    **dict.fromkeys((aten.mul.Tensor, aten.mul.Scalar, prims.mul.default), _operator("*", "&")),
    **dict.fromkeys((aten.div.Tensor, aten.div.Scalar, prims.div.default), _operator("/")),
    aten.addcmul.default: added_product,
    aten.addcdiv.default: added_quotient,
    **dict.fromkeys((aten.lerp.Tensor, aten.lerp.Scalar), _function("interpolated")),
    aten.tanh_backward.default: lambda result, grad, y: computed(
        result, "({0} * fused(-{1}, {1}, {2}))".format, grad, y, 1
    ),
    aten.neg.default: _expression("(-{0})"),
    aten.abs.default: _function("absolute"),
    aten.sign.default: _function("signs"),
    aten.sgn.default: _function("signs"),
    aten.reciprocal.default: _expression("(1 / {0})"),
    aten.rsqrt.default: lambda result, x: computed(result, "(1 / {0})".format, square_root(result, x)),
    aten.sigmoid.default: sigmoid,
    aten.relu.default: lambda result, x: clamped(result, x, 0),
    aten.gelu.default: gelu,
    aten.leaky_relu.default: leaky_relu,
    aten.elu.default: elu,
    aten.hardtanh.default: lambda result, x, low=-1, high=1: clamped(result, x, low, high),
    **dict.fromkeys((aten.maximum.default, aten.clamp_min.default), _limit("larger", "|")),
    **dict.fromkeys((aten.minimum.default, aten.clamp_max.default), _limit("smaller", "&")),
    aten.clamp.default: clamped,
    aten.pow.Tensor_Scalar: raised,
    aten.where.self: chosen,
    **dict.fromkeys((aten._to_copy.default, prims.convert_element_type.default), converted),
    aten.copy.default: lambda result, x, source, *_: operand(source, result.dtype).broadcast(result.shape),
    **dict.fromkeys((aten.lt.Tensor, aten.lt.Scalar), _comparison("<")),
    **dict.fromkeys((aten.le.Tensor, aten.le.Scalar), _comparison("<=")),
    **dict.fromkeys((aten.gt.Tensor, aten.gt.Scalar), _comparison(">")),
    **dict.fromkeys((aten.ge.Tensor, aten.ge.Scalar), _comparison(">=")),
    **dict.fromkeys((aten.eq.Tensor, aten.eq.Scalar), _comparison("==")),
    **dict.fromkeys((aten.ne.Tensor, aten.ne.Scalar), _comparison("!=")),
    **dict.fromkeys((aten.logical_and.default, aten.bitwise_and.Tensor), _logical("&")),
    **dict.fromkeys((aten.logical_or.default, aten.bitwise_or.Tensor), _logical("|")),
    **dict.fromkeys((aten.logical_not.default, aten.bitwise_not.default), inverted),
}
