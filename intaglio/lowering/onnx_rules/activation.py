"""Functions of one operand, those of two or three operands that are made of them, and comparisons."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import AnyFloat, IntegerType
from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.dialects.weights import dtype_of
from intaglio.errors import UserError
from intaglio.lowering.onnx_node import (
    Builder,
    Node,
    constant_of,
    element_type,
    is_float,
    is_number,
    lowers,
    static_shape,
)

_FUNCTIONS = {kind.ONNX_OPERATOR: kind for kind in (nn.ReluOp, *nn.TABLE_OPS) if kind.ONNX_OPERATOR}
_PREDICATES = {
    "Equal": "equal",
    "Less": "less",
    "LessOrEqual": "less_or_equal",
    "Greater": "greater",
    "GreaterOrEqual": "greater_or_equal",
}


def _float_source(node: Node) -> SSAValue | None:
    """The first input if it is of floats."""
    inputs = node.inputs()
    return inputs[0] if inputs and is_float(inputs[0]) else None


@lowers(*_FUNCTIONS)
def function(node: Node, build: Builder) -> SSAValue | None:
    """Functions without parameters."""
    source = _float_source(node)
    return None if source is None else build.apply(_FUNCTIONS[node.op.op_type], source)


@lowers("Neg")
def negate(node: Node, build: Builder) -> SSAValue | None:
    """The product with -1."""
    source = _float_source(node)
    return None if source is None else build.combine(nn.MulOp, source, build.number(source, -1.0))


@lowers("Gelu")
def gelu(node: Node, build: Builder) -> SSAValue | None:
    """Exact or approximated by a hyperbolic tangent."""
    source = _float_source(node)
    if source is None:
        return None
    return build.add(nn.GeluOp(source, source.type, node.text("approximate", "none")))


@lowers("Swish")
def swish(node: Node, build: Builder) -> SSAValue | None:
    """`x * sigmoid(alpha * x)`."""
    source, alpha = _float_source(node), node.real("alpha", 1.0)
    if source is None:
        return None
    if alpha == 1:
        return build.apply(nn.SiluOp, source)
    scaled = build.combine(nn.MulOp, source, build.number(source, alpha))
    return build.combine(nn.MulOp, source, build.apply(nn.SigmoidOp, scaled))


@lowers("LeakyRelu")
def leaky_relu(node: Node, build: Builder) -> SSAValue | None:
    """`alpha * x` below zero."""
    source = _float_source(node)
    return None if source is None else build.add(nn.LeakyReluOp(source, source.type, node.real("alpha", 0.01)))


@lowers("Elu")
def elu(node: Node, build: Builder) -> SSAValue | None:
    """`alpha * (exp(x) - 1)` below zero."""
    source = _float_source(node)
    return None if source is None else build.add(nn.EluOp(source, source.type, node.real("alpha", 1.0)))


@lowers("Selu")
def selu(node: Node, build: Builder) -> SSAValue | None:
    """`gamma` times `elu`."""
    source = _float_source(node)
    if source is None:
        return None
    inner = build.add(nn.EluOp(source, source.type, node.real("alpha", 1.6732632)))
    return build.combine(nn.MulOp, inner, build.number(source, node.real("gamma", 1.050701)))


@lowers("Celu")
def celu(node: Node, build: Builder) -> SSAValue | None:
    """`elu` of `x / alpha` with a factor `alpha`: they cancel where `x` is positive."""
    source, alpha = _float_source(node), node.real("alpha", 1.0)
    if source is None or alpha == 0:
        return None
    inner = build.combine(nn.MulOp, source, build.number(source, 1.0 / alpha))
    return build.combine(nn.MulOp, build.add(nn.EluOp(inner, inner.type, 1.0)), build.number(source, alpha))


@lowers("Softsign")
def softsign(node: Node, build: Builder) -> SSAValue | None:
    """`x / (1 + abs(x))`."""
    source = _float_source(node)
    if source is None:
        return None
    size = build.combine(nn.AddOp, build.apply(nn.AbsOp, source), build.number(source, 1.0))
    return build.combine(nn.DivOp, source, size)


@lowers("ThresholdedRelu")
def thresholded_relu(node: Node, build: Builder) -> SSAValue | None:
    """`x` above `alpha`, else zero."""
    source = _float_source(node)
    shape = static_shape(source)
    if source is None or shape is None:
        return None
    above = build.add(nn.CompareOp(source, build.number(source, node.real("alpha", 1.0)), "greater", shape))
    return build.add(nn.SelectOp(above, source, build.number(source, 0.0), source.type))


@lowers("PRelu")
def prelu(node: Node, build: Builder) -> SSAValue | None:
    """One slope: `leaky_relu`. Several: `relu(x) + slope * min(x, 0)`, each part of which can be quantized."""
    source, slope = node.input("X"), node.input("slope")
    shape, slopes = static_shape(source), static_shape(slope)
    if source is None or slope is None or shape is None or slopes is None or node.since < 7:
        return None
    if not is_float(source) or element_type(slope) != element_type(source):
        return None
    values = constant_of(slope)
    if values is not None and values.size and np.all(values == values.flat[0]):
        return build.add(nn.LeakyReluOp(source, source.type, float(values.flat[0])))
    if np.broadcast_shapes(shape, slopes) != shape:
        return None
    below = build.add(nn.ClipOp(source, source.type, nn.ClampAttr.of(-np.inf, 0.0)))
    return build.combine(nn.AddOp, build.apply(nn.ReluOp, source), build.combine(nn.MulOp, below, slope))


@lowers("Pow")
def power(node: Node, build: Builder) -> SSAValue | None:
    """Products, roots and reciprocals where the exponent is a number that asks for one, else `nn.pow`."""
    base, exponent = node.input("X"), node.input("Y")
    if base is None or exponent is None or not is_float(base) or node.result_shape is None:
        return None
    values, shape = constant_of(exponent), node.result_shape
    if values is not None and values.size == 1 and static_shape(base) == shape:
        simple = _simple_power(build, base, float(values.reshape(-1)[0]))
        if simple is not None:
            return simple
    if element_type(exponent) != element_type(base):
        if values is None:
            return None
        kind = element_type(base)
        assert kind is not None
        exponent = build.constant(values.astype(dtype_of(kind)), kind)
    return build.combine(nn.PowOp, base, exponent)


def _simple_power(build: Builder, base: SSAValue, exponent: float) -> SSAValue | None:
    match exponent:
        case 1.0:
            return base
        case 2.0:
            return build.combine(nn.MulOp, base, base)
        case 3.0:
            return build.combine(nn.MulOp, build.combine(nn.MulOp, base, base), base)
        case 0.5:
            return build.apply(nn.SqrtOp, base)
        case -1.0:
            return build.apply(nn.ReciprocalOp, base)
        case -0.5:
            return build.apply(nn.ReciprocalOp, build.apply(nn.SqrtOp, base))
        case _:
            return None


@lowers("Max", "Min")
def largest_or_smallest(node: Node, build: Builder) -> SSAValue | None:
    """A clip where one of two operands is a number, else `nn.maximum` or `nn.minimum` from left to right."""
    operands = node.inputs()
    if not all(map(is_float, operands)) or node.result_shape is None or node.since < 8:
        return None
    is_max = node.op.op_type == "Max"
    if len(operands) == 2:
        for value, other in (operands, operands[::-1]):
            number = constant_of(other)
            if number is None or number.size != 1 or static_shape(value) != node.result_shape:
                continue
            bound = float(number.reshape(-1)[0])
            if bound == (-np.inf if is_max else np.inf):
                return value
            if not np.isnan(bound):
                clamp = nn.ClampAttr.of(bound, np.inf) if is_max else nn.ClampAttr.of(-np.inf, bound)
                return build.add(nn.ClipOp(value, value.type, clamp))
    result, *others = operands
    for other in others:
        result = build.combine(nn.MaximumOp if is_max else nn.MinimumOp, result, other)
    return result


@lowers("Mean")
def mean_of_all(node: Node, build: Builder) -> SSAValue | None:
    """The sum of the operands over their number."""
    operands = node.inputs()
    if not all(map(is_float, operands)) or node.result_shape is None or node.since < 8:
        return None
    total, *others = operands
    for other in others:
        total = build.combine(nn.AddOp, total, other)
    return build.combine(nn.MulOp, total, build.number(total, 1.0 / len(operands))) if others else total


@lowers(*_PREDICATES)
def compare(node: Node, build: Builder) -> SSAValue | None:
    """Comparison of numbers of one type."""
    lhs, rhs = node.input("A"), node.input("B")
    if lhs is None or rhs is None or node.result_shape is None or node.since < 7:
        return None
    if not is_number(lhs) or not is_number(rhs):
        return None
    return build.add(nn.CompareOp(lhs, rhs, _PREDICATES[node.op.op_type], node.result_shape))


@lowers("Where")
def where(node: Node, build: Builder) -> SSAValue | None:
    """Choice by a condition."""
    condition, lhs, rhs = (node.input(name) for name in ("condition", "X", "Y"))
    if condition is None or lhs is None or rhs is None or node.result_shape is None:
        return None
    if not is_number(lhs) or not is_number(rhs) or static_shape(condition) is None:
        return None
    return build.add(nn.SelectOp(condition, lhs, rhs, node.result.type))


@lowers("Cast", "CastLike")
def cast(node: Node, build: Builder) -> SSAValue | None:
    """Conversion between numbers that NumPy has types for, of at least 8 bits."""
    source = node.inputs()[0]
    kinds = element_type(source), element_type(node.result)
    if static_shape(source) is None or node.result_shape is None:
        return None
    if kinds[0] == kinds[1]:
        return source
    for kind in kinds:
        if not isinstance(kind, AnyFloat | IntegerType) or kind.bitwidth in range(2, 8):
            return None
        try:
            is_8_bit_float = isinstance(kind, AnyFloat) and dtype_of(kind).itemsize == 1
        except UserError:
            return None
        if is_8_bit_float:
            return None
    assert kinds[1] is not None
    return build.add(nn.CastOp(source, kinds[1]))
