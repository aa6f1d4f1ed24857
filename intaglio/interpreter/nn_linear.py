"""Rules of convolution, dense layers and matrix products.

Float: products and sums in double precision, rounded once to the result's type. With a quantized weight, the input is
quantized by its own range first, the sum of integers, which double precision holds exactly, gets its unit, and the bias
is added: two roundings in double precision, and one to the result's type.

Quantized: products of centered operands are summed exactly in 64 bits. The accelerator's accumulators have 32
bits for operands of at most 8 bits and 48 above; a sum that does not fit is an error here, as it is undefined in
TOSA 1.0 (the accumulator must not overflow), so nothing relies on how an overflow wraps. The sum is
requantized as the function's requantization mode says; sums of 48 bits with multipliers of 16.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from xdsl.ir import Operation, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.quant import UniformQuantizedPerAxisType, UniformQuantizedType, requantization_mode
from intaglio.errors import UserError
from intaglio.interpreter.registry import rule
from intaglio.interpreter.values import (
    Array,
    bits_of,
    centered,
    in_double,
    quantization,
    rounded,
    storage_bounds,
    tensor_type,
    value_dtype,
)
from intaglio.ir.locations import describe
from intaglio.numerics.dynamic import quantize_dynamically
from intaglio.numerics.requantization import tflite_apply_scale_once, tflite_quantize_multiplier
from intaglio.numerics.rescaling import rescale, store
from intaglio.params import RequantizationMode


def weight_scales(value: SSAValue) -> Array:
    """The scale of every output channel (or the one of all) of a symmetric quantized weight, in double."""
    kind = tensor_type(value).get_element_type()
    if isinstance(kind, UniformQuantizedType):
        return np.array([kind.scale])
    assert isinstance(kind, UniformQuantizedPerAxisType)
    return np.asarray(kind.scales, np.float64)


def accumulator_bits(*operands: UniformQuantizedType) -> int:
    """The width of an accumulator: 32 bits for operands of at most 8 bits, else 48."""
    return 32 if all(bits_of(kind) <= 8 for kind in operands) else 48


def checked_accumulator(op: Operation, accumulator: Array, *operands: UniformQuantizedType) -> Array:
    """The accumulator, if it fits.

    Raises:
        UserError: some sum does not fit.
    """
    bits = accumulator_bits(*operands)
    limit = 1 << (bits - 1)
    if accumulator.size and (accumulator.min() < -limit or accumulator.max() >= limit):
        worst = max(int(accumulator.max()), -int(accumulator.min()))
        raise UserError(f"the accumulator of {describe(op)} reaches {worst}, more than {bits} bits hold")
    return accumulator


def requantized(
    op: nn.Conv2dOp | nn.ConvTranspose2dOp | nn.DenseOp | nn.MatmulOp,
    accumulator: Array,
    scale: Array | float,
    *operands: UniformQuantizedType,
) -> Array:
    """The stored result of an operation from its accumulator.

    Args:
        op: the operation.
        accumulator: exact sums of products.
        scale: real value of one unit of the accumulator, or one for each channel.
        operands: types of the operands that are activations.

    Raises:
        UserError: some sum does not fit the accumulator.
    """
    result = quantization(op.result)
    assert result is not None
    wide = accumulator_bits(*operands) > 32
    accumulator = checked_accumulator(op, accumulator, *operands)
    mode, ratio = requantization_mode(op), scale / result.scale
    if isinstance(op, nn.DenseOp) and mode is RequantizationMode.TFLITE and not wide:
        scaled = tflite_apply_scale_once(accumulator, *tflite_quantize_multiplier(ratio))
    else:
        scaled = rescale(accumulator, ratio, mode, wide=wide)
    return store(scaled, result.zero_point, *storage_bounds(result, op.clamp)).astype(value_dtype(op.result))


def convolve(x: Array, w: Array, op: nn.Conv2dOp) -> Array:
    """Sum over window and channels, in the dtype of the operands.

    For each tap of the window the elements it meets form a strided view of the padded input; each group's view
    `[positions, C / groups]` times its weights `[C / groups, O / groups]` is added to the result.
    """
    top, left, bottom, right = op.pads.get_values()
    (stride_y, stride_x), (dilation_y, dilation_x) = op.strides.get_values(), op.dilations.get_values()
    groups = op.groups.value.data
    x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    batch, height, width, outputs = tensor_type(op.result).get_shape()
    taps_y, taps_x = w.shape[1:3]
    weights = w.reshape(groups, outputs // groups, taps_y, taps_x, -1)
    total = np.zeros((groups, batch * height * width, outputs // groups), x.dtype)
    for i in range(taps_y):
        for j in range(taps_x):
            y0, x0 = i * dilation_y, j * dilation_x
            met = x[:, y0 : y0 + stride_y * height : stride_y, x0 : x0 + stride_x * width : stride_x]
            met = np.moveaxis(met[:, :height, :width].reshape(batch * height * width, groups, -1), 1, 0)
            total += met @ np.swapaxes(weights[:, :, i, j], 1, 2)
    return np.moveaxis(total, 0, 1).reshape(batch, height, width, outputs)


def convolve_transposed(x: Array, w: Array, op: nn.ConvTranspose2dOp) -> Array:
    """Add the kernel times each input element to the result, in the dtype of the operands.

    Each tap of the kernel reaches a strided view of the full result; its pads are cut off, or added where negative.
    """
    (stride_y, stride_x), (dilation_y, dilation_x) = op.strides.get_values(), op.dilations.get_values()
    groups = op.groups.value.data
    batch, rows, columns, _ = x.shape
    outputs, taps_y, taps_x, _ = w.shape
    full_height = (rows - 1) * stride_y + (taps_y - 1) * dilation_y + 1
    full_width = (columns - 1) * stride_x + (taps_x - 1) * dilation_x + 1
    full = np.zeros((batch, full_height, full_width, outputs), x.dtype)
    inputs = np.moveaxis(x.reshape(batch * rows * columns, groups, -1), 1, 0)
    weights = w.reshape(groups, outputs // groups, taps_y, taps_x, -1)
    for i in range(taps_y):
        for j in range(taps_x):
            part = np.moveaxis(inputs @ np.swapaxes(weights[:, :, i, j], 1, 2), 0, 1)
            y0, x0 = i * dilation_y, j * dilation_x
            reached = full[:, y0 : y0 + (rows - 1) * stride_y + 1 : stride_y]
            reached[:, :, x0 : x0 + (columns - 1) * stride_x + 1 : stride_x] += part.reshape(
                batch, rows, columns, outputs
            )
    top, left, bottom, right = (int(pad) for pad in op.pads.get_values())
    full = np.pad(full, ((0, 0), (max(-top, 0), max(-bottom, 0)), (max(-left, 0), max(-right, 0)), (0, 0)))
    height, width = tensor_type(op.result).get_shape()[1:3]
    y0, x0 = max(top, 0), max(left, 0)
    return full[:, y0 : y0 + height, x0 : x0 + width]


def requantize_linear(op: nn.Conv2dOp | nn.ConvTranspose2dOp | nn.DenseOp, accumulator: Array) -> Array:
    """The stored result of a layer with constant weights, from its accumulator with the bias in it."""
    kind = quantization(op.input)
    assert kind is not None
    scales = kind.scale * weight_scales(op.weight)
    if not nn.is_accumulator(op.result):
        return requantized(op, accumulator, scales, kind)
    accumulator = checked_accumulator(op, accumulator, kind)
    low, high = op.clamp.bounds if op.clamp is not None else (-np.inf, np.inf)
    limit = 1 << (accumulator_bits(kind) - 1)
    bounds = [np.clip(np.rint(bound / scales), -limit, limit - 1).astype(np.int64) for bound in (low, high)]
    return np.clip(accumulator, *bounds).astype(value_dtype(op.result))


def float_layer(
    op: nn.Conv2dOp | nn.ConvTranspose2dOp | nn.DenseOp, operands: list[Array], product: Callable[[Array, Array], Array]
) -> list[Array]:
    """The result of a layer on floats, of which the weight may be quantized, and the input then is here.

    Args:
        op: the layer.
        operands: input, weight, and bias if there is one.
        product: sums of products of input and weight, in their dtype.
    """
    x, w, *bias = operands
    if nn.is_dynamic(op.input, op.weight):
        stored, scale, zero_point = quantize_dynamically(x)
        total = product(in_double(stored) - zero_point, in_double(w)) * (scale * weight_scales(op.weight))
    else:
        total = product(in_double(x), in_double(w))
    return [rounded(total + (in_double(bias[0]) if bias else 0.0), op.result, op.clamp)]


@rule(nn.Conv2dOp)
def conv2d(op: nn.Conv2dOp, operands: list[Array]) -> list[Array]:
    """Slide the window, add the bias, apply the clamp; quantized: requantize per output channel."""
    x, w, *bias = operands
    kind = quantization(op.input)
    if kind is None:
        return float_layer(op, operands, lambda x, w: convolve(x, w, op))
    accumulator = convolve(centered(x, kind), w.astype(np.int64), op) + (bias[0].astype(np.int64) if bias else 0)
    return [requantize_linear(op, accumulator)]


@rule(nn.ConvTranspose2dOp)
def conv_transpose2d(op: nn.ConvTranspose2dOp, operands: list[Array]) -> list[Array]:
    """Spread the kernel, add the bias, apply the clamp; quantized: requantize per output channel."""
    x, w, *bias = operands
    kind = quantization(op.input)
    if kind is None:
        return float_layer(op, operands, lambda x, w: convolve_transposed(x, w, op))
    accumulator = convolve_transposed(centered(x, kind), w.astype(np.int64), op)
    return [requantize_linear(op, accumulator + (bias[0].astype(np.int64) if bias else 0))]


@rule(nn.DenseOp)
def dense(op: nn.DenseOp, operands: list[Array]) -> list[Array]:
    """Multiply by the transposed weight, add the bias, apply the clamp; quantized: requantize per channel."""
    x, w, *bias = operands
    kind = quantization(op.input)
    if kind is None:
        return float_layer(op, operands, lambda x, w: x @ w.T)
    accumulator = centered(x, kind) @ w.astype(np.int64).T + (bias[0].astype(np.int64) if bias else 0)
    return [requantize_linear(op, accumulator)]


@rule(nn.MatmulOp)
def matmul(op: nn.MatmulOp, operands: list[Array]) -> list[Array]:
    """Multiply matrices batch by batch and apply the clamp; quantized: requantize."""
    lhs, rhs = operands
    lhs_kind, rhs_kind = quantization(op.lhs), quantization(op.rhs)
    if lhs_kind is None or rhs_kind is None:
        return [rounded(in_double(lhs) @ in_double(rhs), op.result, op.clamp)]
    accumulator = centered(lhs, lhs_kind) @ centered(rhs, rhs_kind)
    return [requantized(op, accumulator, lhs_kind.scale * rhs_kind.scale, lhs_kind, rhs_kind)]
