"""Convolutions, dense layers and matrix products: the sum, then RESCALE for each output channel.

TOSA asks that windows fill the padded input exactly. What they leave over at its end is taken from the padding first,
then sliced off. Groups become convolutions of slices, but for depthwise ones, which TOSA has; the kernel of a dilated
transposed convolution gets zeros between its elements.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import IntegerType
from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.dialects.nn.types import element
from intaglio.dialects.quant import UniformType
from intaglio.dialects.weights import array_of
from intaglio.interpreter.nn_linear import weight_scales
from intaglio.lowering.nn_to_tosa.steps import (
    joined,
    padded,
    parameters,
    requantized,
    reshaped,
    sliced,
    sliced_along,
    storage,
    zero_point,
)
from intaglio.lowering.nn_to_tosa.writer import Value, Writer, lowers, unsupported
from intaglio.numerics.rescaling import rescaling

ALL_CHANNELS = slice(None)

Layer = nn.Conv2dOp | nn.ConvTranspose2dOp | nn.DenseOp
Integers = np.ndarray[Any, np.dtype[np.integer[Any]]]
Float64Array = npt.NDArray[np.float64]


def stored(op: Layer, value: SSAValue) -> Integers:
    """The stored values of a weight or bias.

    Raises:
        UserError: it is no constant.
    """
    owner = value.owner
    if not isinstance(owner, nn.ConstantOp):
        raise unsupported(op, "its weight and bias must be constants")
    return array_of(owner.value)


def weight_of(op: Layer) -> Integers:
    """The stored weight, of at most 8 bits.

    Raises:
        UserError: it is wider, which TOSA's convolutions do not take, or no constant.
    """
    kind = element(op.weight)
    assert isinstance(kind, UniformType)
    if not isinstance(kind.storage_type, IntegerType) or kind.storage_type.bitwidth > 8:
        raise unsupported(op, f"weights have at most 8 bits, not {kind.storage_type}")
    return stored(op, op.weight)


def bias_of(op: Layer, channels: int) -> Integers:
    """The stored bias; zeros if there is none."""
    return np.zeros(channels, np.int64) if op.bias is None else stored(op, op.bias)


def accumulator_of(op: Layer) -> str:
    """The accumulator's type: 32 bits for 8-bit inputs, 48 for 16-bit ones."""
    return "i32" if storage(parameters(op.input)) == "i8" else "i48"


def finished(writer: Writer, op: Layer, accumulator: Value, channels: slice = ALL_CHANNELS) -> Value:
    """The result of a layer, or some channels of it, from their accumulator."""
    scales = weight_scales(op.weight)
    if nn.is_accumulator(op.result):
        return _unscaled(writer, op, accumulator, parameters(op.input).scale * scales, channels)
    ratio = parameters(op.input).scale * (scales[channels] if len(scales) > 1 else scales) / parameters(op.result).scale
    return requantized(writer, accumulator, *multipliers(accumulator, ratio), op.result, op.clamp)


def _unscaled(writer: Writer, op: Layer, accumulator: Value, scales: Float64Array, channels: slice) -> Value:
    """The accumulator itself as result, limited with MAXIMUM and MINIMUM, since CLAMP takes no 32 bits."""
    if accumulator.element != "i32":
        raise unsupported(op, "accumulators of 48 bits as results")
    if op.clamp is None:
        return accumulator
    selected = scales[channels] if len(scales) > 1 else scales
    for name, bound in zip(("maximum", "minimum"), op.clamp.bounds, strict=True):
        limits = np.clip(np.rint(bound / selected), -(1 << 31), (1 << 31) - 1).astype(np.int64)
        shaped = limits.reshape([1] * (len(accumulator.shape) - 1) + [-1])
        accumulator = writer.op(name, [accumulator, writer.constant(shaped, "i32")], accumulator.shape, "i32")
    return accumulator


def multipliers(accumulator: Value, ratio: npt.ArrayLike) -> tuple[npt.ArrayLike, npt.ArrayLike]:
    """Multiplier and shift: of 32 bits, or of 16 for an accumulator of 48."""
    return rescaling(wide=accumulator.element == "i48").multiplier(ratio)


def exact_window(size: int, taps: int, stride: int, before: int, after: int, dilation: int = 1) -> tuple[int, int]:
    """The input's used size and the padding after it with which windows fill one dimension exactly.

    The size is not positive where windows meet nothing but the padding before the input.

    Args:
        size: of the input.
        taps: of the window.
        stride: between windows.
        before: padding in front.
        after: padding behind.
        dilation: distance between taps.
    """
    rest = (size + before + after - (taps - 1) * dilation - 1) % stride
    from_padding = min(rest, after)
    return size - (rest - from_padding), after - from_padding


def fitted(
    writer: Writer,
    value: Value,
    taps: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int] = (1, 1),
    fill: int = 0,
) -> tuple[Value, tuple[int, int, int, int]]:
    """The rows and columns that windows use, and the padding in TOSA's order: top, bottom, left, right.

    Args:
        writer: what to write to.
        value: the input.
        taps: of the window, in rows and columns.
        strides: likewise.
        pads: top, left, bottom, right.
        dilations: likewise.
        fill: the stored value of padding, needed where windows meet nothing else.
    """
    before = list(pads[:2])
    after = [0, 0]
    for k in range(2):
        axis = 1 + k
        used, after[k] = exact_window(value.shape[axis], taps[k], strides[k], before[k], pads[k + 2], dilations[k])
        if used < 1:
            low = [before[k] if index == axis else 0 for index in range(4)]
            value = padded(writer, value, low, [0] * 4, fill)
            used, before[k] = used + before[k], 0
        value = sliced_along(writer, value, axis, 0, used)
    return value, (before[0], after[0], before[1], after[1])


def numbers(values: Sequence[int]) -> str:
    """An array attribute."""
    return f"array<i64: {', '.join(map(str, values))}>"


def window_sums(
    writer: Writer,
    op_name: str,
    source: Value,
    weight: Integers,
    bias: Integers,
    zero_in: int,
    accumulator: str,
    attributes: str,
    shape: Sequence[int],
) -> Value:
    """A convolution of any kind."""
    operands = [
        source,
        writer.constant(weight, "i8"),
        writer.constant(bias, accumulator),
        zero_point(writer, zero_in, source.element),
        zero_point(writer, 0, "i8"),
    ]
    return writer.op(op_name, operands, shape, accumulator, f"acc_type = {accumulator}, {attributes}")


@lowers(nn.Conv2dOp)
def conv2d(writer: Writer, op: nn.Conv2dOp) -> Value:
    """CONV2D, or DEPTHWISE_CONV2D where each group has one input channel."""
    weight, accumulator, groups = weight_of(op), accumulator_of(op), op.groups.value.data
    shape = nn.tensor_of(op.result).get_shape()
    bias = bias_of(op, shape[3])
    strides, dilations = op.strides.get_values(), op.dilations.get_values()
    zero_in = parameters(op.input).zero_point
    source, pads = fitted(
        writer, writer.value(op.input), weight.shape[1:3], strides, op.pads.get_values(), dilations, zero_in
    )
    attributes = f"pad = {numbers(pads)}, stride = {numbers(strides)}, dilation = {numbers(dilations)}"
    if groups > 1 and weight.shape[3] == 1:
        # [groups * multiplier, rows, columns, 1] to [rows, columns, groups, multiplier].
        by_channel = weight[..., 0].reshape(groups, -1, *weight.shape[1:3]).transpose(2, 3, 0, 1)
        total = window_sums(
            writer, "depthwise_conv2d", source, by_channel, bias, zero_in, accumulator, attributes, shape
        )
        return finished(writer, op, total)
    inputs, outputs = weight.shape[3], shape[3] // groups
    parts: list[Value] = []
    for group in range(groups):
        chosen = slice(group * outputs, (group + 1) * outputs)
        part = sliced_along(writer, source, 3, group * inputs, inputs)
        sizes = (*shape[:3], outputs)
        total = window_sums(
            writer, "conv2d", part, weight[chosen], bias[chosen], zero_in, accumulator, attributes, sizes
        )
        parts.append(finished(writer, op, total, chosen))
    return joined(writer, parts, 3)


@lowers(nn.ConvTranspose2dOp)
def conv_transpose2d(writer: Writer, op: nn.ConvTranspose2dOp) -> Value:
    """TRANSPOSE_CONV2D, whose padding may cut less than a kernel; SLICE cuts the rest."""
    weight, accumulator, groups = with_holes(op), accumulator_of(op), op.groups.value.data
    shape = nn.tensor_of(op.result).get_shape()
    bias = bias_of(op, shape[3])
    top, left, bottom, right = op.pads.get_values()
    strides = op.strides.get_values()
    kernel = weight.shape[1:3]
    cut = [
        min(pad, taps - 1)
        for pad, taps in ((top, kernel[0]), (bottom, kernel[0]), (left, kernel[1]), (right, kernel[1]))
    ]
    more = top - cut[0], bottom - cut[1], left - cut[2], right - cut[3]
    full = (shape[0], shape[1] + more[0] + more[1], shape[2] + more[2] + more[3])
    attributes = f"out_pad = {numbers([-amount for amount in cut])}, stride = {numbers(strides)}"
    source, zero_in = writer.value(op.input), parameters(op.input).zero_point
    inputs, outputs = weight.shape[3], shape[3] // groups
    parts: list[Value] = []
    for group in range(groups):
        chosen = slice(group * outputs, (group + 1) * outputs)
        part = sliced_along(writer, source, 3, group * inputs, inputs)
        total = window_sums(
            writer,
            "transpose_conv2d",
            part,
            weight[chosen],
            bias[chosen],
            zero_in,
            accumulator,
            attributes,
            (*full, outputs),
        )
        made = finished(writer, op, total, chosen)
        parts.append(sliced(writer, made, (0, more[0], more[2], 0), (*shape[:3], outputs)))
    return joined(writer, parts, 3)


def with_holes(op: nn.ConvTranspose2dOp) -> Integers:
    """The weight with zeros between the elements of a dilated kernel."""
    weight = weight_of(op)
    (step_y, step_x), (rows, columns) = op.dilations.get_values(), weight.shape[1:3]
    wide = np.zeros(
        (weight.shape[0], (rows - 1) * step_y + 1, (columns - 1) * step_x + 1, weight.shape[3]), weight.dtype
    )
    wide[:, ::step_y, ::step_x] = weight
    return wide


@lowers(nn.DenseOp)
def dense(writer: Writer, op: nn.DenseOp) -> Value:
    """CONV2D of one element, over the leading dimensions as rows."""
    weight, accumulator = weight_of(op), accumulator_of(op)
    source, shape = writer.value(op.input), nn.tensor_of(op.result).get_shape()
    rows = reshaped(writer, source, (math.prod(source.shape[:-1]), 1, 1, source.shape[-1]))
    attributes = f"pad = {numbers([0] * 4)}, stride = {numbers([1, 1])}, dilation = {numbers([1, 1])}"
    total = window_sums(
        writer,
        "conv2d",
        rows,
        weight[:, None, None],
        bias_of(op, shape[-1]),
        parameters(op.input).zero_point,
        accumulator,
        attributes,
        (rows.shape[0], 1, 1, shape[-1]),
    )
    return reshaped(writer, finished(writer, op, total), shape)


@lowers(nn.MatmulOp)
def matmul(writer: Writer, op: nn.MatmulOp) -> Value:
    """MATMUL over the leading dimensions as batches."""
    lhs, rhs, result = (parameters(value) for value in (op.lhs, op.rhs, op.result))
    operands = [
        reshaped(writer, value, (math.prod(value.shape[:-2]), *value.shape[-2:]))
        for value in (writer.value(op.lhs), writer.value(op.rhs))
    ]
    if operands[0].element != operands[1].element:
        raise unsupported(op, f"operands of {operands[0].element} and {operands[1].element}")
    accumulator = "i32" if operands[0].element == "i8" else "i48"
    zeros = [
        zero_point(writer, kind.zero_point, operand.element) for kind, operand in zip((lhs, rhs), operands, strict=True)
    ]
    shape = (*operands[0].shape[:2], operands[1].shape[2])
    total = writer.op("matmul", [*operands, *zeros], shape, accumulator)
    ratio = lhs.scale * rhs.scale / result.scale
    made = requantized(writer, total, *multipliers(total, ratio), op.result, op.clamp)
    return reshaped(writer, made, nn.tensor_of(op.result).get_shape())
