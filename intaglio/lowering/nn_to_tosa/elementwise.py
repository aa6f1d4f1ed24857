"""Elementwise operations, tables, limits and reductions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.dialects.quant import RequantizeOp
from intaglio.dialects.weights import array_of
from intaglio.interpreter.nn_reduction import axes_of, count_of
from intaglio.interpreter.table_functions import table_function
from intaglio.interpreter.values import bits_of, storage_bounds
from intaglio.lowering.nn_to_tosa.layers import Integers, fitted, numbers, window_sums
from intaglio.lowering.nn_to_tosa.steps import (
    NARROW_UNIT,
    UNIT,
    centered,
    gathered,
    joined,
    limited,
    multiplied,
    of_rank,
    padded,
    parameters,
    requantized,
    rescale,
    sliced_along,
    storage,
    zero_point,
)
from intaglio.lowering.nn_to_tosa.writer import Value, Writer, lowers, unsupported
from intaglio.numerics.addition import add_headroom_bits
from intaglio.numerics.averaging import is_wide_sum
from intaglio.numerics.requantization import add_multipliers, average_multiplier, quantize_multiplier
from intaglio.numerics.tables import table_int8, table_int16, table_int16_scale


def _operands(writer: Writer, op: nn.ElementwiseOp) -> tuple[Value, Value]:
    rank = len(nn.tensor_of(op.result).get_shape())
    lhs, rhs = (of_rank(writer, writer.value(operand), rank) for operand in op.operands)
    return lhs, rhs


@lowers(nn.AddOp, nn.SubOp)
def add_or_subtract(writer: Writer, op: nn.AddOp | nn.SubOp) -> Value:
    """RESCALE of both operands to a common scale, ADD or SUB, RESCALE."""
    lhs, rhs = _operands(writer, op)
    left, right, result = (parameters(value) for value in (op.lhs, op.rhs, op.result))
    left_multiplier, left_shift, right_multiplier, right_shift, multiplier, shift = add_multipliers(
        left.scale, right.scale, result.scale, add_headroom_bits(bits_of(left), bits_of(right))
    )
    operands = [
        rescale(writer, lhs, left_multiplier, left_shift, "i32", zero_in=left.zero_point),
        rescale(writer, rhs, right_multiplier, right_shift, "i32", zero_in=right.zero_point),
    ]
    name = "add" if isinstance(op, nn.AddOp) else "sub"
    total = writer.op(name, operands, nn.tensor_of(op.result).get_shape(), "i32")
    return requantized(writer, total, multiplier, shift, op.result, op.clamp)


@lowers(nn.MulOp)
def mul(writer: Writer, op: nn.MulOp) -> Value:
    """MUL of the centered operands, RESCALE."""
    lhs, rhs = _operands(writer, op)
    left, right, result = (parameters(value) for value in (op.lhs, op.rhs, op.result))
    product = multiplied(writer, centered(writer, lhs, left), centered(writer, rhs, right))
    multiplier, shift = quantize_multiplier(left.scale * right.scale / result.scale)
    return requantized(writer, product, multiplier, shift, op.result, op.clamp)


@lowers(nn.MaximumOp, nn.MinimumOp)
def extreme(writer: Writer, op: nn.MaximumOp | nn.MinimumOp) -> Value:
    """RESCALE of both operands to the result's scale, MAXIMUM or MINIMUM, zero point and saturation."""
    result = parameters(op.result)
    operands: list[Value] = []
    for value, source in zip(_operands(writer, op), (op.lhs, op.rhs), strict=True):
        kind = parameters(source)
        multiplier, shift = quantize_multiplier(kind.scale / result.scale)
        operands.append(rescale(writer, value, multiplier, shift, "i32", zero_in=kind.zero_point))
    name = "maximum" if isinstance(op, nn.MaximumOp) else "minimum"
    chosen = writer.op(name, operands, nn.tensor_of(op.result).get_shape(), "i32")
    return requantized(writer, chosen, *UNIT, op.result, op.clamp)


@lowers(nn.SelectOp)
def select(writer: Writer, op: nn.SelectOp) -> Value:
    """SELECT by a constant condition."""
    owner = op.condition.owner
    if not isinstance(owner, nn.ConstantOp):
        raise unsupported(op, "its condition must be a constant")
    shape = nn.tensor_of(op.result).get_shape()
    condition = writer.constant(array_of(owner.value), "i1")
    operands = [of_rank(writer, value, len(shape)) for value in (condition, *map(writer.value, (op.lhs, op.rhs)))]
    return writer.op("select", operands, shape, operands[1].element)


def _scaled(writer: Writer, source: SSAValue, result: SSAValue, clamp: nn.ClampAttr | None) -> Value:
    """A value in the parameters of another."""
    kind, target = parameters(source), parameters(result)
    multiplier, shift = quantize_multiplier(kind.scale / target.scale)
    value = centered(writer, writer.value(source), kind)
    return requantized(writer, value, multiplier, shift, result, clamp)


@lowers(RequantizeOp)
def requantize(writer: Writer, op: RequantizeOp) -> Value:
    """RESCALE."""
    return _scaled(writer, op.input, op.result, None)


@lowers(nn.ReluOp)
def relu(writer: Writer, op: nn.ReluOp) -> Value:
    """RESCALE and CLAMP."""
    return _scaled(writer, op.input, op.result, nn.ClampAttr.of(0.0, np.inf))


@lowers(nn.ClipOp)
def clip(writer: Writer, op: nn.ClipOp) -> Value:
    """RESCALE and CLAMP."""
    return _scaled(writer, op.input, op.result, op.clamp)


@lowers(*nn.TABLE_OPS)
def table(writer: Writer, op: nn.ActivationOp) -> Value:
    """TABLE, of 256 entries or of 513 with interpolation and RESCALE."""
    kind, result = parameters(op.input), parameters(op.result)
    value, function, bounds = writer.value(op.input), table_function(op), storage_bounds(parameters(op.result), None)
    if bits_of(kind) == 8:
        entries = table_int8(
            function,
            kind.scale,
            kind.zero_point,
            result.scale,
            result.zero_point,
            *bounds,
            dtype=np.dtype(f"i{bits_of(result) // 8}"),
        )
        return _lookup(writer, value, entries) if bits_of(result) == 8 else _wide_lookup(writer, value, entries)
    if bits_of(kind) != 16:
        raise unsupported(op, f"a table of {storage(kind)}")
    if isinstance(op, nn.LogOp):
        raise unsupported(op, "logarithms of 16-bit values are no interpolated table")
    scale = table_int16_scale(result.scale, bits_of(result))
    entries = table_int16(function, kind.scale, scale)
    steps = writer.op("table", [value, writer.constant(entries, "i16")], value.shape, "i32")
    multiplier, shift = quantize_multiplier(scale / result.scale / 128)
    return requantized(writer, steps, multiplier, shift, op.result)


def _lookup(writer: Writer, value: Value, entries: Integers) -> Value:
    return writer.op("table", [value, writer.constant(entries, "i8")], value.shape, "i8")


def _wide_lookup(writer: Writer, value: Value, entries: Integers) -> Value:
    """16-bit entries by 8-bit values, which TOSA has not: a table for each byte, put together in 32 bits."""
    upper = rescale(writer, _lookup(writer, value, entries >> 8), *UNIT, "i32")
    lower = rescale(writer, _lookup(writer, value, (entries & 255) - 128), *UNIT, "i32", zero_in=-128)
    weight = writer.constant(np.full([1] * len(value.shape), 256), "i32")
    whole = writer.op("add", [multiplied(writer, upper, weight), lower], value.shape, "i32")
    return rescale(writer, whole, *UNIT, "i16")


@lowers(nn.MaxPool2dOp)
def max_pool2d(writer: Writer, op: nn.MaxPool2dOp) -> Value:
    """MAX_POOL2D; with dilation, MAXIMUM of what the taps of the window meet, row by row and column by column."""
    if tuple(op.dilation()) != (1, 1):
        return _dilated_maximum(writer, op)
    kernel, strides = op.kernel.get_values(), op.strides.get_values()
    source, pads = fitted(writer, writer.value(op.input), kernel, strides, op.pads.get_values())
    attributes = f"kernel = {numbers(kernel)}, pad = {numbers(pads)}, stride = {numbers(strides)}"
    return writer.op("max_pool2d", [source], nn.tensor_of(op.result).get_shape(), source.element, attributes)


def _dilated_maximum(writer: Writer, op: nn.MaxPool2dOp) -> Value:
    """The maximum over each direction of the window after the other, in 32 bits, as MAXIMUM takes no less."""
    value, element = writer.value(op.input), storage(parameters(op.input))
    top, left, bottom, right = op.pads.get_values()
    least = -(1 << (int(element[1:]) - 1))
    value = padded(writer, value, (0, top, left, 0), (0, bottom, right, 0), least)
    value = rescale(writer, value, *UNIT, "i32")
    for k, size in enumerate(nn.tensor_of(op.result).get_shape()[1:3]):
        kernel, stride, dilation = (values.get_values()[k] for values in (op.kernel, op.strides, op.dilations))
        largest: Value | None = None
        for tap in range(kernel):
            met = gathered(writer, value, 1 + k, np.arange(size, dtype=np.int64) * stride + tap * dilation)
            largest = met if largest is None else writer.op("maximum", [largest, met], met.shape, "i32")
        assert largest is not None
        value = largest
    return rescale(writer, value, *UNIT, element)


@lowers(nn.AvgPool2dOp)
def avg_pool2d(writer: Writer, op: nn.AvgPool2dOp) -> Value:
    """AVG_POOL2D where the scales are equal and padding does not count.

    Otherwise the sum as a depthwise convolution with ones, rescaled part by part of equal counts.
    """
    kind, result = parameters(op.input), parameters(op.result)
    kernel, strides = op.kernel.get_values(), op.strides.get_values()
    shape = nn.tensor_of(op.result).get_shape()
    source, pads = fitted(writer, writer.value(op.input), kernel, strides, op.pads.get_values())
    counts = _counts(op)
    if is_wide_sum(int(counts[0].max() * counts[1].max()), bits_of(kind)):
        raise unsupported(op, "sums of more than 32 bits")
    uniform = all(len(np.unique(numbers_of)) == 1 for numbers_of in counts)
    if (
        kind.scale == result.scale
        and storage(kind) == storage(result)
        and (not op.count_include_pad.value.data or (uniform and not any(pads)))
    ):
        zeros = [zero_point(writer, known.zero_point, source.element) for known in (kind, result)]
        attributes = f"kernel = {numbers(kernel)}, pad = {numbers(pads)}, stride = {numbers(strides)}, acc_type = i32"
        mean = writer.op("avg_pool2d", [source, *zeros], shape, source.element, attributes)
        return _limited_to(writer, mean, op)
    channels = source.shape[3]
    attributes = f"pad = {numbers(pads)}, stride = {numbers(strides)}, dilation = {numbers([1, 1])}"
    ones = np.ones((*kernel, channels, 1), np.int8)
    total = window_sums(
        writer,
        "depthwise_conv2d",
        source,
        ones,
        np.zeros(channels, np.int64),
        kind.zero_point,
        "i32" if source.element == "i8" else "i48",
        attributes,
        shape,
    )
    if total.element == "i48":
        total = rescale(writer, total, *NARROW_UNIT, "i32")
    rows: list[Value] = []
    for top, bottom in _runs(counts[0]):
        row = sliced_along(writer, total, 1, top, bottom - top)
        parts: list[Value] = []
        for left, right in _runs(counts[1]):
            multiplier, shift = average_multiplier(int(counts[0][top] * counts[1][left]), kind.scale, result.scale)
            part = sliced_along(writer, row, 2, left, right - left)
            parts.append(requantized(writer, part, multiplier, shift, op.result, op.clamp))
        rows.append(joined(writer, parts, 2))
    return joined(writer, rows, 1)


def _limited_to(writer: Writer, value: Value, op: nn.AvgPool2dOp) -> Value:
    return limited(writer, value, *storage_bounds(parameters(op.result), op.clamp))


def _counts(op: nn.AvgPool2dOp) -> tuple[np.ndarray, np.ndarray]:
    """For the rows and for the columns of the result, how many elements of a window count."""
    source, shape = nn.tensor_of(op.input).get_shape(), nn.tensor_of(op.result).get_shape()
    found: list[np.ndarray] = []
    for k in range(2):
        starts = np.arange(shape[1 + k]) * op.strides.get_values()[k] - op.pads.get_values()[k]
        ends = starts + op.kernel.get_values()[k]
        inside = np.minimum(ends, source[1 + k]) - np.maximum(starts, 0)
        found.append(ends - starts if op.count_include_pad.value.data else inside)
    return found[0], found[1]


def _runs(values: np.ndarray) -> list[tuple[int, int]]:
    """Start and end of each run of equal values."""
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    return list(pairwise(edges))


@lowers(nn.ReduceSumOp, nn.ReduceMeanOp)
def sum_or_mean(writer: Writer, op: nn.ReduceSumOp | nn.ReduceMeanOp) -> Value:
    """REDUCE_SUM over one dimension after another, RESCALE."""
    kind, result, count = parameters(op.input), parameters(op.result), count_of(op)
    if is_wide_sum(count, bits_of(kind)):
        raise unsupported(op, "sums of more than 32 bits")
    total = _reduced(writer, "reduce_sum", centered(writer, writer.value(op.input), kind), op)
    if isinstance(op, nn.ReduceMeanOp):
        return requantized(writer, total, *average_multiplier(count, kind.scale, result.scale), op.result)
    return requantized(writer, total, *quantize_multiplier(kind.scale / result.scale), op.result)


@lowers(nn.ReduceMaxOp)
def reduce_max(writer: Writer, op: nn.ReduceMaxOp) -> Value:
    """REDUCE_MAX over one dimension after another."""
    return _reduced(writer, "reduce_max", writer.value(op.input), op)


@lowers(nn.ReduceMinOp)
def reduce_min(writer: Writer, op: nn.ReduceMinOp) -> Value:
    """REDUCE_MIN over one dimension after another."""
    return _reduced(writer, "reduce_min", writer.value(op.input), op)


def _reduced(writer: Writer, name: str, value: Value, op: nn.ReduceOp) -> Value:
    for axis in axes_of(op):
        shape = [1 if index == axis else size for index, size in enumerate(value.shape)]
        value = writer.op(name, [value], shape, value.element, f"axis = {axis} : i32")
    return value
