"""Rules of softmax and normalizations."""

from __future__ import annotations

from intaglio.dialects import nn
from intaglio.dialects.nn.types import storage_bits
from intaglio.interpreter.nn_normalization import computes_as_litert
from intaglio.interpreter.values import quantization, value_dtype, value_shape
from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.host_to_relax.fixed_point import FixedPoint, requantized
from intaglio.lowering.host_to_relax.registry import rule
from intaglio.lowering.host_to_relax.tflite_softmax import softmax_of_litert
from intaglio.lowering.tvm import Expr
from intaglio.numerics.normalization import NORMALIZED_BITS, normalized_fraction_bits, stored_epsilon
from intaglio.numerics.softmax import PROBABILITY_BITS, exponential_tables, fraction_bits


@rule(nn.SoftmaxOp)
def softmax(emitter: Emitter, op: nn.SoftmaxOp, operands: list[Expr]) -> list[Expr]:
    """`exp(x - max) / sum(exp(x - max))` along the axis.

    In double precision and rounded once, as the interpreter does it: the last operation of many networks then gives
    the interpreter's result, not one that differs in the last bit. Along the last dimension, since LLVM does not come
    to an end with some shapes in double precision along another one.
    """
    rank, axis = len(value_shape(op.result)), op.axis.value.data
    if (kind := quantization(op.input)) is not None:
        if computes_as_litert(op):
            return [softmax_of_litert(emitter, operands[0], kind.scale, axis)]
        probabilities = _probabilities(emitter, operands[0], kind.scale, axis, value_shape(op.input)[axis])
        return [requantized(emitter, probabilities, 2.0**-PROBABILITY_BITS, op.result)]
    double = emitter.cast(operands[0], "float64")
    if axis == rank - 1:
        return [emitter.cast(emitter.apply("nn.softmax", double, axis=axis), value_dtype(op.result))]
    order = [dimension for dimension in range(rank) if dimension != axis] + [axis]
    result = emitter.apply("nn.softmax", emitter.apply("permute_dims", double, order), axis=rank - 1)
    back = [order.index(dimension) for dimension in range(rank)]
    return [emitter.cast(emitter.apply("permute_dims", result, back), value_dtype(op.result))]


def _probabilities(emitter: Emitter, stored: Expr, scale: float, axis: int, count: int) -> Expr:
    """Softmax along an axis in fixed point, as in `intaglio.numerics.softmax`."""
    fixed = FixedPoint(emitter)
    fraction = fraction_bits(count)
    upper, lower = exponential_tables(scale, fraction)
    values = emitter.cast(stored, "int64")
    distance = fixed("subtract", emitter.apply("max", values, axis=axis, keepdims=True), values)
    entries = [
        fixed.lookup(upper, fixed("right_shift", distance, 8)),
        fixed.lookup(lower, fixed("bitwise_and", distance, 255)),
    ]
    exponentials = fixed.rounding_shift(fixed("multiply", *entries), fraction)
    total = emitter.apply("sum", exponentials, axis=axis, keepdims=True)
    multiplier, shift = fixed.reciprocal(total)
    quotients = fixed("multiply", exponentials, multiplier)
    return fixed.rounding_shift(quotients, fixed("subtract", shift, PROBABILITY_BITS))


@rule(nn.BatchNormOp)
def batch_norm(emitter: Emitter, op: nn.BatchNormOp, operands: list[Expr]) -> list[Expr]:
    """`(x - mean) / sqrt(variance + epsilon) * scale + offset`."""
    x, scale, offset, mean, variance = operands
    epsilon = emitter.constant(op.epsilon.value.data, value_dtype(op.result))
    deviation = emitter.builder.operator("sqrt", emitter.add(variance, epsilon))
    normalized = emitter.divide(emitter.subtract(x, mean), deviation)
    return [emitter.add(emitter.multiply(normalized, scale), offset)]


def _along_axis(emitter: Emitter, op: nn.AxisNormOp, parameter: Expr) -> Expr:
    """A parameter with one element for each along the axis, in a shape that broadcasts over the input."""
    shape, axis = value_shape(op.result), op.axis.value.data
    return emitter.builder.operator("reshape", parameter, (shape[axis], *[1] * (len(shape) - 1 - axis)))


def _root_mean_square(emitter: Emitter, op: nn.AxisNormOp, x: Expr) -> Expr:
    """The root of the mean square along the axis, epsilon added to the square."""
    mean = emitter.builder.operator("mean", emitter.multiply(x, x), axis=op.axis.value.data, keepdims=True)
    epsilon = emitter.constant(op.epsilon.value.data, value_dtype(op.result))
    return emitter.builder.operator("sqrt", emitter.add(mean, epsilon))


def _integer_norm(emitter: Emitter, op: nn.AxisNormOp, operands: list[Expr], *, around_mean: bool) -> Expr:
    """A quantized normalization, as in `intaglio.numerics.normalization`."""
    fixed = FixedPoint(emitter)
    kind, unit = quantization(op.operands[0]), quantization(op.operands[1])
    assert kind is not None and unit is not None
    axis, bits = op.axis.value.data, storage_bits(op.result)
    count = value_shape(op.result)[axis]
    centered = emitter.centered(operands[0], kind)
    spread = fixed("multiply", _sum(emitter, fixed("multiply", centered, centered), axis), count)
    distance = fixed("multiply", centered, count)
    if around_mean:
        total = _sum(emitter, centered, axis)
        spread = fixed("subtract", spread, fixed("multiply", total, total))
        distance = fixed("subtract", distance, total)
    epsilon = stored_epsilon(op.epsilon.value.data, kind.scale, count)
    multiplier, shift = fixed.reciprocal_sqrt(fixed("maximum", fixed("add", spread, epsilon), 1))
    fraction, limit = normalized_fraction_bits(count, bits), 1 << (NORMALIZED_BITS[bits] - 1)
    element = fixed.rounding_shift(fixed("multiply", distance, multiplier), fixed("subtract", shift, fraction))
    element = fixed("maximum", fixed("minimum", element, limit - 1), -limit)
    scale, *offset = (emitter.cast(_along_axis(emitter, op, operand), "int64") for operand in operands[1:])
    accumulator = fixed("multiply", element, scale)
    if offset:
        accumulator = fixed("add", accumulator, offset[0])
    return requantized(emitter, accumulator, unit.scale * 2.0**-fraction, op.result, wide=bits > 8)


def _sum(emitter: Emitter, tensor: Expr, axis: int) -> Expr:
    return emitter.apply("sum", tensor, axis=axis, keepdims=True)


@rule(nn.LayerNormOp)
def layer_norm(emitter: Emitter, op: nn.LayerNormOp, operands: list[Expr]) -> list[Expr]:
    """Mean 0 and variance 1 along the axis, then scale and offset."""
    if quantization(op.input) is not None:
        return [_integer_norm(emitter, op, operands, around_mean=True)]
    x = operands[0]
    scale, offset = (_along_axis(emitter, op, parameter) for parameter in operands[1:])
    mean = emitter.builder.operator("mean", x, axis=op.axis.value.data, keepdims=True)
    distance = emitter.subtract(x, mean)
    normalized = emitter.divide(distance, _root_mean_square(emitter, op, distance))
    return [emitter.add(emitter.multiply(normalized, scale), offset)]


@rule(nn.RmsNormOp)
def rms_norm(emitter: Emitter, op: nn.RmsNormOp, operands: list[Expr]) -> list[Expr]:
    """Divided by the root of the mean square along the axis, then scaled."""
    if quantization(op.input) is not None:
        return [_integer_norm(emitter, op, operands, around_mean=False)]
    x, scale = operands[0], _along_axis(emitter, op, operands[1])
    return [emitter.multiply(emitter.divide(x, _root_mean_square(emitter, op, x)), scale)]


@rule(nn.LocalResponseNormOp)
def local_response_norm(emitter: Emitter, op: nn.LocalResponseNormOp, operands: list[Expr]) -> list[Expr]:
    """Divided by a power of the sum of squares over the channels around."""
    x, size, dtype = operands[0], op.size.value.data, value_dtype(op.result)
    shape, te = value_shape(op.result), emitter.builder.te
    before = [0] * (len(shape) - 1)
    squares = emitter.padded(emitter.multiply(x, x), [*before, (size - 1) // 2], [*before, size // 2], 0.0, dtype)

    def computation(tensor: Expr) -> Expr:
        tap = te.reduce_axis((0, size), name="tap")

        def element(*index: Expr) -> Expr:
            return te.sum(tensor[(*index[:-1], index[-1] + tap)], axis=[tap])

        return te.compute(shape, element, name="sum_of_neighbours")

    total = emitter.builder.compute("sum_of_neighbours", computation, squares)
    scaled = emitter.multiply(total, emitter.constant(op.alpha.value.data / size, dtype))
    base = emitter.add(scaled, emitter.constant(op.bias.value.data, dtype))
    power = emitter.power(base, emitter.constant(op.beta.value.data, dtype))
    return [emitter.divide(x, power)]
