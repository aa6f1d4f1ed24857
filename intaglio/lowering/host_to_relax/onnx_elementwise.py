"""Rules of ONNX's elementwise arithmetic, comparisons and logic, on any element type that TVM computes with."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import numpy as np

from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.host_to_relax.node import HostNode
from intaglio.lowering.host_to_relax.registry import onnx_rule
from intaglio.lowering.tvm import Expr

_FUNCTIONS = {
    "Abs": "abs",
    "Acos": "acos",
    "Acosh": "acosh",
    "Asin": "asin",
    "Asinh": "asinh",
    "Atan": "atan",
    "Atanh": "atanh",
    "Ceil": "ceil",
    "Cos": "cos",
    "Cosh": "cosh",
    "Erf": "erf",
    "Exp": "exp",
    "Floor": "floor",
    "Log": "log",
    "Neg": "negative",
    "Round": "round",
    "Sigmoid": "sigmoid",
    "Sign": "sign",
    "Sin": "sin",
    "Sinh": "sinh",
    "Sqrt": "sqrt",
    "Tan": "tan",
    "Tanh": "tanh",
}
_ARITHMETIC = {"Add": "add", "Sub": "subtract", "Mul": "multiply"}
_COMPARISONS = {
    "Equal": "equal",
    "Greater": "greater",
    "GreaterOrEqual": "greater_equal",
    "Less": "less",
    "LessOrEqual": "less_equal",
}
_LOGIC = {"And": "logical_and", "Or": "logical_or", "Xor": "logical_xor"}
_BITWISE = {"BitwiseAnd": "bitwise_and", "BitwiseOr": "bitwise_or", "BitwiseXor": "bitwise_xor"}


def in_single(emitter: Emitter, dtype: np.dtype[Any], operands: list[Expr], function: Callable[..., Expr]) -> Expr:
    """Compute a function of float tensors of `dtype`, in single precision if they have 16 bits.

    TVM has no 16-bit versions of most functions, and rounding once is what ONNX's references do.
    """
    if dtype.itemsize > 2 or dtype.kind in "iub":
        return function(*operands)
    return emitter.cast(function(*(emitter.cast(operand, np.float32) for operand in operands)), dtype)


@onnx_rule(*_FUNCTIONS)
def function(node: HostNode) -> list[Expr]:
    """Functions of one operand."""
    emitter = node.emitter
    return [in_single(emitter, node.dtype(0), node.operands, partial(emitter.apply, _FUNCTIONS[node.op.op_type]))]


@onnx_rule("Reciprocal")
def reciprocal(node: HostNode) -> list[Expr]:
    """`1 / x`."""
    one = node.emitter.constant(1, node.dtype(0))
    return [node.emitter.divide(one, node.operands[0])]


@onnx_rule("Identity")
def identity(node: HostNode) -> list[Expr]:
    """The input."""
    return node.operands


@onnx_rule(*_ARITHMETIC)
def arithmetic(node: HostNode) -> list[Expr]:
    """Sum, difference, product; integers wrap."""
    return [node.emitter.apply(_ARITHMETIC[node.op.op_type], *node.operands)]


@onnx_rule("Div")
def divide(node: HostNode) -> list[Expr]:
    """Quotient; of integers rounded toward zero, and 0 for a divisor of 0, which would trap."""
    emitter, (lhs, rhs) = node.emitter, node.operands
    dtype = node.dtype(0)
    if dtype.kind not in "iu":
        return [emitter.divide(lhs, rhs)]
    shape = node.output_shape()
    te, tirx = emitter.builder.te, emitter.builder.tirx
    lhs, rhs = (emitter.apply("broadcast_to", operand, shape) for operand in (lhs, rhs))

    def computation(a: Expr, b: Expr) -> Expr:
        zero, one = tirx.const(0, dtype.name), tirx.const(1, dtype.name)

        def element(*index: Expr) -> Expr:
            divisor = tirx.Select(b(*index) == zero, one, b(*index))
            return tirx.Select(b(*index) == zero, zero, tirx.truncdiv(a(*index), divisor))

        return te.compute(shape, element, name="divide")

    return [emitter.builder.compute("divide", computation, lhs, rhs)]


@onnx_rule("Mod")
def mod(node: HostNode) -> list[Expr]:
    """Remainder: with `fmod` of the dividend's sign (C), else of the divisor's (Python)."""
    emitter = node.emitter
    lhs, rhs = node.operands
    dtype = node.dtype(0)
    truncated = bool(node.integer("fmod"))
    shape = node.output_shape()
    te, tirx = emitter.builder.te, emitter.builder.tirx
    work = np.dtype(np.float32) if dtype.kind not in "iu" and dtype.itemsize == 2 else dtype
    lhs, rhs = (emitter.apply("broadcast_to", emitter.cast(operand, work), shape) for operand in (lhs, rhs))

    def computation(a: Expr, b: Expr) -> Expr:
        zero, one = tirx.const(0, work.name), tirx.const(1, work.name)

        def element(*index: Expr) -> Expr:
            x, y = a(*index), b(*index)
            if dtype.kind not in "iu":
                return tirx.call_pure_extern(work.name, "fmodf" if work == np.float32 else "fmod", x, y)
            divisor = tirx.Select(y == zero, one, y)
            remainder = tirx.truncmod(x, divisor)
            if truncated or dtype.kind == "u":
                return tirx.Select(y == zero, zero, remainder)
            differs = tirx.all(
                remainder != zero, tirx.any(tirx.all(remainder < zero, y > zero), tirx.all(remainder > zero, y < zero))
            )
            return tirx.Select(y == zero, zero, tirx.Select(differs, remainder + divisor, remainder))

        return te.compute(shape, element, name="remainder")

    remainder = emitter.builder.compute("remainder", computation, lhs, rhs)
    if dtype.kind not in "iu" and not truncated:
        zero = emitter.constant(0, work)
        opposite = emitter.apply("less", emitter.multiply(remainder, emitter.apply("sign", rhs)), zero)
        remainder = emitter.select(opposite, emitter.add(remainder, rhs), remainder)
    return [emitter.cast(remainder, dtype)]


@onnx_rule("Pow")
def power(node: HostNode) -> list[Expr]:
    """Power in the base's type; integers by double precision, exact to 53 bits."""
    emitter, (base, exponent) = node.emitter, node.operands
    dtype, other = node.dtype(0), node.dtype(1)
    integers = dtype.kind in "iu"
    wide = integers or np.float64 in (dtype, other)
    work = np.dtype(np.float64) if wide else np.dtype(np.float32)
    result = emitter.power(emitter.cast(base, work), emitter.cast(exponent, work))
    if integers:
        result = emitter.apply("round", result)
    return [emitter.cast(result, dtype)]


@onnx_rule("Max", "Min", "Sum", "Mean")
def of_many(node: HostNode) -> list[Expr]:
    """A reduction over the operands, from left to right."""
    emitter, dtype = node.emitter, node.output_dtype()
    name = {"Max": "maximum", "Min": "minimum"}.get(node.op.op_type, "add")
    total = reduce(lambda lhs, rhs: emitter.apply(name, lhs, rhs), node.operands)
    if node.op.op_type == "Mean":
        total = emitter.divide(total, emitter.constant(len(node.operands), dtype))
    return [total]


@onnx_rule(*_COMPARISONS)
def comparison(node: HostNode) -> list[Expr]:
    """Comparison of two tensors; booleans as numbers."""
    operands = node.operands
    if node.dtype(0).kind == "b":
        operands = [node.emitter.cast(operand, np.int8) for operand in operands]
    return [node.emitter.apply(_COMPARISONS[node.op.op_type], *operands)]


@onnx_rule(*_LOGIC)
def logic(node: HostNode) -> list[Expr]:
    """Logic of booleans."""
    return [node.emitter.apply(_LOGIC[node.op.op_type], *node.operands)]


@onnx_rule("Not")
def negation(node: HostNode) -> list[Expr]:
    """Negation of booleans."""
    return [node.emitter.apply("logical_not", node.operands[0])]


@onnx_rule(*_BITWISE)
def bitwise(node: HostNode) -> list[Expr]:
    """Logic of bits."""
    return [node.emitter.apply(_BITWISE[node.op.op_type], *node.operands)]


@onnx_rule("BitwiseNot")
def bitwise_negation(node: HostNode) -> list[Expr]:
    """All bits inverted."""
    return [node.emitter.apply("bitwise_not", node.operands[0])]


@onnx_rule("BitShift")
def bit_shift(node: HostNode) -> list[Expr]:
    """Bits moved left or right, the sign kept; by the width or more, or a negative number, all are moved out.

    Such shifts are undefined in TVM.
    """
    emitter, (x, amount) = node.emitter, node.operands
    dtype = node.dtype(0)
    last = emitter.constant(8 * dtype.itemsize - 1, dtype)
    inside = emitter.apply("less_equal", amount, last)
    if dtype.kind == "i":
        positive = emitter.apply("greater_equal", amount, emitter.constant(0, dtype))
        inside = emitter.apply("logical_and", inside, positive)
    limited = emitter.select(inside, amount, last)
    if node.text("direction") != "LEFT" and dtype.kind == "i":
        return [emitter.apply("right_shift", x, limited)]
    shifted = emitter.apply("left_shift" if node.text("direction") == "LEFT" else "right_shift", x, limited)
    return [emitter.select(inside, shifted, emitter.constant(0, dtype))]


@onnx_rule("Where")
def where(node: HostNode) -> list[Expr]:
    """A choice for each element."""
    return [node.emitter.select(*node.operands)]


@onnx_rule("IsNaN")
def is_nan(node: HostNode) -> list[Expr]:
    """Whether an element is no number: then it differs from itself."""
    x = node.operands[0]
    if node.dtype(0).itemsize == 2:
        x = node.emitter.cast(x, np.float32)
    return [node.emitter.apply("isnan", x)]


@onnx_rule("IsInf")
def is_infinite(node: HostNode) -> list[Expr]:
    """Whether an element is one of the infinities asked for."""
    emitter, x = node.emitter, node.operands[0]
    dtype = node.dtype(0)
    if dtype.itemsize == 2:
        x, dtype = emitter.cast(x, np.float32), np.dtype(np.float32)
    signs = [(np.inf, node.integer("detect_positive", 1)), (-np.inf, node.integer("detect_negative", 1))]
    tests = [emitter.apply("equal", x, emitter.constant(value, dtype)) for value, wanted in signs if wanted]
    if not tests:
        return [emitter.constant(np.zeros(node.output_shape()), np.bool_)]
    return [reduce(lambda lhs, rhs: emitter.apply("logical_or", lhs, rhs), tests)]


@onnx_rule("Clip")
def clip(node: HostNode) -> list[Expr]:
    """Limits that may be inputs; the upper one wins when they cross, and NaN stays NaN."""
    emitter, x = node.emitter, node.operand("input")
    for name, operator in (("min", "maximum"), ("max", "minimum")):
        bound = node.expression(name)
        if bound is None and node.has(name):
            bound = emitter.constant(node.real(name), node.dtype("input"))
        if bound is not None:
            # TVM gives the second operand unless the first is larger or smaller.
            x = emitter.apply(operator, bound, x)
    return [x]


@onnx_rule("Relu")
def relu(node: HostNode) -> list[Expr]:
    """Limit below at zero."""
    return [node.emitter.apply("maximum", node.emitter.constant(0, node.dtype(0)), node.operands[0])]


@onnx_rule("PRelu")
def prelu(node: HostNode) -> list[Expr]:
    """`x` where it is positive, else `slope * x`."""
    emitter, (x, slope) = node.emitter, node.operands
    negative = emitter.apply("less", x, emitter.constant(0, node.dtype(0)))
    return [emitter.select(negative, emitter.multiply(slope, x), x)]


@onnx_rule("LeakyRelu")
def leaky_relu(node: HostNode) -> list[Expr]:
    """`x` where it is positive, else `alpha * x`."""
    emitter, x = node.emitter, node.operands[0]
    negative = emitter.apply("less", x, emitter.constant(0, node.dtype(0)))
    scaled = emitter.multiply(x, emitter.constant(node.real("alpha", 0.01), node.dtype(0)))
    return [emitter.select(negative, scaled, x)]


@onnx_rule("Softplus")
def softplus(node: HostNode) -> list[Expr]:
    """`log(1 + exp(x))` as `max(x, 0) + log1p(exp(-|x|))`, which neither overflows nor cancels."""
    emitter = node.emitter
    work = np.dtype(np.float64) if node.dtype(0).itemsize == 8 else np.dtype(np.float32)

    def compute(x: Expr) -> Expr:
        decay = emitter.apply("exp", emitter.apply("negative", emitter.apply("abs", x)))
        return emitter.add(emitter.apply("maximum", x, emitter.constant(0, work)), emitter.log1p(decay, work))

    return [in_single(emitter, node.dtype(0), node.operands, compute)]


@onnx_rule("Dropout")
def dropout(node: HostNode) -> list[Expr]:
    """The input, and a mask that keeps all: nothing is dropped in inference.

    Raises:
        UserError: the node is in training mode.
    """
    mode = node.known("training_mode") if node.input("training_mode") is not None else None
    if mode is not None and bool(mode) and (node.known_scalar("ratio", 0.5) != 0):
        raise node.refuse("dropping elements at random is for training")
    outputs = [node.operands[0]]
    if node.has_output(1):
        outputs.append(node.emitter.constant(np.ones(node.output_shape(1)), node.output_dtype(1)))
    return outputs
